/* Folds batch normalization into the weights before it, for evaluation (network_fold in network.h). */
#include "nn/fold.h"

#include "nn/layer_private.h"

/* True where layer i is a batch normalization that the weights of the layer before it can contain: it has running
 * statistics. */
static bool is_foldable(const struct network *network, int i)
{
    if (i == 0 || i + 1 == network->layer_count || !network->backend->fuse || !network->backend->ops->batchnorm_fold)
        return false;
    const struct layer *before = &network->layers[i - 1], *layer = &network->layers[i];
    bool weights = before->spec.kind == LAYER_CONV2D || before->spec.kind == LAYER_LINEAR;
    return weights && layer_normalizes(layer) && layer->buffer_count > 0;
}

int64_t fold_bytes(const struct network *network, int i)
{
    int64_t bytes = 0;
    if (!is_foldable(network, i)) return 0;
    for (int p = 0; p < network->layers[i - 1].parameter_count; p++) {
        const struct tensor *value = &network->layers[i - 1].parameter[p].value;
        bytes += (int64_t)tensor_bytes(network->backend, value->kind, value->shape);
    }
    return bytes;
}

void fold_create(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *before = &network->layers[i - (i > 0)];
        for (int p = 0; is_foldable(network, i) && p < before->parameter_count; p++) {
            struct tensor *folded = &before->parameter[p].folded;
            *folded = tensor_alloc(network->backend, folded->kind, folded->shape);
        }
    }
}

void fold_destroy(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++)
            tensor_free(network->backend, &network->layers[i].parameter[p].folded);
}

void network_fold(struct network *network)
{
    struct backend *backend = network->backend;
    for (int i = 0; i < network->layer_count; i++) {
        if (!is_foldable(network, i)) continue;
        struct layer *before = &network->layers[i - 1], *layer = &network->layers[i];
        const struct parameter *weight = &before->parameter[0], *bias = &before->parameter[1];
        backend->ops->batchnorm_fold(backend, layer->spec.batchnorm.params, &weight->value, &bias->value,
                                     &layer->parameter[0].value, &layer->parameter[1].value, &layer->buffer[0].value,
                                     &layer->buffer[1].value, &weight->folded, &bias->folded);
        before->folded = layer->folded = true;
    }
}

void network_unfold(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) network->layers[i].folded = false;
}

bool fold_leaves_nothing(const struct layer *layer)
{
    return layer->folded && layer_normalizes(layer) && layer->spec.kind != LAYER_BATCHNORM_FUSED;
}
