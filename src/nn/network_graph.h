/* Which layers each layer reads. A layer names them (struct layer_spec), or reads the layer before it. */
#ifndef NN_NETWORK_GRAPH_H
#define NN_NETWORK_GRAPH_H

#include "nn/layer.h"

/* Finds what each layer of the list reads, in a new array (count); free with free(). Returns NULL, and STATUS_USAGE with
 * the origin of the spec at fault, where a name is unknown, given twice or that of a layer further on, where a layer has
 * more or fewer inputs than its kind takes, and where no layer reads the output of one before the last. */
struct layer_sources *network_graph_resolve(const struct layer_spec *specs, int count, struct status *status);

#endif
