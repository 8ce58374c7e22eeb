/* The batches that batch normalization takes its statistics of. */
#include "nn/layer_private.h"
#include "nn/network.h"

static bool normalizes_by_batch(const struct layer *layer, enum layer_mode mode)
{
    bool trains = mode == LAYER_TRAIN && !layer->frozen;
    return layer_normalizes(layer) && (trains || layer->spec.batchnorm.batch_stats_only);
}

bool network_needs_batches(const struct network *network)
{
    for (int i = 0; i < network->layer_count; i++)
        if (normalizes_by_batch(&network->layers[i], LAYER_EVALUATE)) return true;
    return false;
}

const struct layer *network_find_single_value(const struct network *network, int64_t n, enum layer_mode mode)
{
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (normalizes_by_batch(layer, mode) && n * layer->input[0].h * layer->input[0].w == 1) return layer;
    }
    return NULL;
}
