/* Lists the tensors and texts of a checkpoint, for writing and reading alike. */
#include "train/checkpoint_private.h"

#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"

const char checkpoint_version[] = "1";
const char checkpoint_rng[] = "philox4x32-10";

/* clang-format off */
#define PLACE(field) offsetof(struct metrics_row, field)
const struct checkpoint_column checkpoint_columns[CHECKPOINT_COLUMNS] = {
    {"best_step", PLACE(step), true, NULL},
    {"best_epoch", PLACE(epoch), true, NULL},
    {"best_train_loss", PLACE(train.loss), false, "best_train_accuracy"},
    {"best_train_accuracy", PLACE(train.accuracy), false, "best_train_loss"},
    {"best_validation_loss", PLACE(validation.loss), false, "best_validation_accuracy"},
    {"best_validation_accuracy", PLACE(validation.accuracy), false, "best_validation_loss"},
    {"best_test_loss", PLACE(test.loss), false, "best_test_accuracy"},
    {"best_test_accuracy", PLACE(test.accuracy), false, "best_test_loss"},
    {"best_learning_rate", PLACE(learning_rate), false, NULL},
};
#undef PLACE
/* clang-format on */

/* Describes a layer's tensor as in PyTorch: a linear layer's filter has two dimensions in a file, a vector one. */
static void describe(struct checkpoint_item *item, const struct layer *layer)
{
    struct shape shape = item->tensor.shape;
    if (item->tensor.kind == TENSOR_VECTOR) {
        item->rank = 1;
        item->shape[0] = shape.c;
        return;
    }
    item->rank = layer->spec.kind == LAYER_LINEAR ? 2 : 4;
    const int64_t sizes[4] = {shape.n, shape.c, shape.h, shape.w};
    for (int i = 0; i < item->rank; i++) item->shape[i] = sizes[i];
}

static bool visit_tensor(const struct layer *layer, const char *prefix, const char *name, struct tensor tensor,
                         bool (*visit)(void *, const struct checkpoint_item *), void *argument)
{
    struct checkpoint_item item = {.tensor = tensor};
    item.name = memory_format("%slayers.%d.%s", prefix, layer->index, name);
    describe(&item, layer);
    bool good = visit(argument, &item);
    free(item.name);
    return good;
}

/* The tensor as it lies in another arena of the same layout. */
static struct tensor tensor_at(struct tensor tensor, void *arena, int64_t offset)
{
    tensor.data = (char *)arena + offset;
    return tensor;
}

/* Visits parameters and running statistics of the network as they are in these arenas. */
static bool each_weight(const struct network *network, const char *prefix, void *parameters, void *buffers,
                        bool (*visit)(void *, const struct checkpoint_item *), void *argument)
{
    bool good = true;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        for (int p = 0; good && p < layer->parameter_count; p++)
            good = visit_tensor(layer, prefix, layer->parameter[p].name,
                                tensor_at(layer->parameter[p].value, parameters, layer->parameter[p].offset), visit,
                                argument);
        for (int b = 0; good && b < layer->buffer_count; b++)
            good = visit_tensor(layer, prefix, layer->buffer[b].name,
                                tensor_at(layer->buffer[b].value, buffers, layer->buffer[b].offset), visit, argument);
    }
    return good;
}

bool checkpoint_each_weight(const struct network *network, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument)
{
    return each_weight(network, "", network->parameters, network->buffers, visit, argument);
}

/* Visits the weights that evaluations use under the plain names, so that programs that read the file need not know of
 * the average. */
bool checkpoint_each_trained(struct trainer *trainer, bool (*visit)(void *, const struct checkpoint_item *),
                             void *argument)
{
    const struct network *network = trainer->network;
    const struct ema *ema = &trainer->ema;
    if (ema->decay == 0) return checkpoint_each_weight(network, visit, argument);
    return each_weight(network, "", ema->parameters, ema->buffers, visit, argument) &&
           each_weight(network, "training.", network->parameters, network->buffers, visit, argument);
}

/* Visits state number s of a parameter of the layer, if its optimizer keeps so many. */
static bool visit_moment(const struct optimizer *optimizer, int s, const struct layer *layer, int p,
                         bool (*visit)(void *, const struct checkpoint_item *), void *argument)
{
    const struct parameter *parameter = &layer->parameter[p];
    const struct optimizer_slot *slot = optimizer_slot_of(optimizer, parameter->offset);
    if (s >= slot->state_count) return true;
    char *prefix = memory_format("optimizer.%s.", optimizer_row(slot->kind)->states[s]);
    struct tensor moment = tensor_at(parameter->value, optimizer->state[s], slot->state[s]);
    bool good = visit_tensor(layer, prefix, parameter->name, moment, visit, argument);
    free(prefix);
    return good;
}

bool checkpoint_each_moment(const struct optimizer *optimizer, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument)
{
    const struct network *network = optimizer->network;
    bool good = true;
    for (int s = 0; s < OPTIMIZER_STATES; s++)
        for (int i = 0; i < network->layer_count; i++)
            for (int p = 0; good && p < network->layers[i].parameter_count; p++)
                good = visit_moment(optimizer, s, &network->layers[i], p, visit, argument);
    return good;
}
