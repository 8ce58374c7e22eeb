/* Lists the tensors and texts of a checkpoint, for writing and reading alike. */
#include "train/checkpoint_private.h"

#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/memory.h"

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

static bool each_weight(const struct network *network, const char *prefix,
                        bool (*visit)(void *, const struct checkpoint_item *), void *argument)
{
    bool good = true;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        for (int p = 0; good && p < layer->parameter_count; p++)
            good = visit_tensor(layer, prefix, layer->parameter[p].name, layer->parameter[p].value, visit, argument);
        for (int b = 0; good && b < layer->buffer_count; b++)
            good = visit_tensor(layer, prefix, layer->buffer[b].name, layer->buffer[b].value, visit, argument);
    }
    return good;
}

bool checkpoint_each_weight(const struct network *network, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument)
{
    return each_weight(network, "", visit, argument);
}

/* Visits the weights that evaluations use under the plain names, so that programs that read the file need not know of
 * the average. */
bool checkpoint_each_trained(struct trainer *trainer, bool (*visit)(void *, const struct checkpoint_item *),
                             void *argument)
{
    ema_show(&trainer->ema, true);
    bool good = each_weight(trainer->network, "", visit, argument);
    ema_show(&trainer->ema, false);
    if (trainer->ema.decay == 0) return good;
    return good && each_weight(trainer->network, "training.", visit, argument);
}

bool checkpoint_each_moment(const struct optimizer *optimizer, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument)
{
    const struct network *network = optimizer->network;
    bool good = true;
    for (int s = 0; s < optimizer->state_count; s++) {
        char *prefix = memory_format("optimizer.%s.", optimizer_row(optimizer->kind)->states[s]);
        for (int i = 0; i < network->layer_count; i++) {
            const struct layer *layer = &network->layers[i];
            for (int p = 0; good && p < layer->parameter_count; p++) {
                struct tensor moment = layer->parameter[p].value;
                size_t place = (size_t)((char *)moment.data - (char *)network->parameters);
                moment.data = (char *)optimizer->state[s] + place;
                good = visit_tensor(layer, prefix, layer->parameter[p].name, moment, visit, argument);
            }
        }
        free(prefix);
    }
    return good;
}
