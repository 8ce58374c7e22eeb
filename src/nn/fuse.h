/* Fuses layers that one operation of the backend can do together. */
#ifndef NN_FUSE_H
#define NN_FUSE_H

#include "trainer/layer.h"

/* Returns the same network in a new array (free with free(); the origins stay the caller's). A batch normalization, the
 * activation after it and a pool right after that become one LAYER_BATCHNORM_FUSED, where backend->fuse is set and the
 * backend offers that combination. */
struct layer_spec *fuse_specs(const struct backend *backend, const struct layer_spec *specs, int count,
                              int *fused_count);

#endif
