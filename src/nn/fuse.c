/* Puts one fused layer in the place of layers that one operation of the backend can do together. */
#include "nn/fuse.h"

#include <stdlib.h>

#include "nn/layer_private.h"
#include "trainer/memory.h"

static bool offers(const struct backend *backend, const struct layer_spec *fused)
{
    struct batchnorm_fused_params params = layer_batchnorm_fused_params(fused);
    return backend->ops->batchnorm_fused_offered(backend, &params);
}

/* Fuses as many of the `left` specs from here on as possible. Returns their number; 1: none is fused. */
static int fuse_first(const struct backend *backend, const struct layer_spec *specs, int left, struct layer_spec *fused)
{
    *fused = specs[0];
    if (!backend->fuse || !backend->ops->batchnorm_fused_offered || left < 2) return 1;
    if (specs[0].kind != LAYER_BATCHNORM || specs[1].kind != LAYER_ACTIVATION) return 1;
    struct layer_spec pair = {.kind = LAYER_BATCHNORM_FUSED, .origin = specs[0].origin};
    pair.batchnorm_fused.batchnorm = specs[0].batchnorm;
    pair.batchnorm_fused.activation = specs[1].activation;
    if (left > 2 && specs[2].kind == LAYER_POOL) {
        struct layer_spec triple = pair;
        triple.batchnorm_fused.pooled = true;
        triple.batchnorm_fused.pool = specs[2].pool;
        triple.batchnorm_fused.pool_origin = specs[2].origin;
        if (offers(backend, &triple)) {
            *fused = triple;
            return 3;
        }
    }
    if (!offers(backend, &pair)) return 1;
    *fused = pair;
    return 2;
}

struct layer_spec *fuse_specs(const struct backend *backend, const struct layer_spec *specs, int count,
                              int *fused_count)
{
    struct layer_spec *fused = memory_alloc((size_t)count, sizeof *fused);
    int made = 0;
    for (int i = 0; i < count; made++) i += fuse_first(backend, specs + i, count - i, &fused[made]);
    *fused_count = made;
    return fused;
}
