/* Finds a loss or a weight that is not finite, and explains it. */
#include "train/diverged.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "backend/prepared.h"
#include "train/checkpoint_private.h"
#include "util/memory.h"

static bool is_finite(struct backend *backend, const struct tensor *tensor)
{
    int64_t count = shape_count(tensor->shape), i = 0;
    double *values = memory_alloc((size_t)count, sizeof *values);
    backend->table->tensor_read(backend, tensor, values);
    while (i < count && isfinite(values[i])) i++;
    free(values);
    return i == count;
}

/* Describes the layer's first tensor that is not finite in words, or returns NULL. */
static const char *find_in_layer(const struct layer *layer)
{
    for (int p = 0; p < layer->parameter_count; p++)
        if (!is_finite(layer->backend, &layer->parameter[p].value)) return layer->parameter[p].name;
    for (int b = 0; b < layer->buffer_count; b++)
        if (!is_finite(layer->backend, &layer->buffer[b].value)) return layer->buffer[b].name;
    for (int p = 0; p < layer->parameter_count; p++)
        if (!is_finite(layer->backend, &layer->parameter[p].gradient)) return "gradient";
    return NULL;
}

static char *describe_place(const struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const char *found = find_in_layer(layer);
        char kind[64];
        if (!found) continue;
        layer_describe(layer, kind, sizeof kind);
        return memory_format("it shows first in layer %d (%s): %s", layer->index, kind, found);
    }
    return memory_copy_string("every weight is still finite");
}

/* Describes it as the end of a message, in a new string. */
static char *describe_checkpoint(const char *run)
{
    if (!run) return memory_copy_string("");
    int64_t last = checkpoint_last_step(run, INT64_MAX);
    if (last < 0) return memory_copy_string("; there is no checkpoint from before");
    char *path = checkpoint_step_path(run, last);
    char *text = memory_format("; the last good checkpoint is %s", path);
    free(path);
    return text;
}

static bool fail(struct trainer *trainer, const char *run, const char *what, struct status *status)
{
    char *place = describe_place(trainer->network), *checkpoint = describe_checkpoint(run);
    status_fail(status, STATUS_DIVERGED, "step %" PRId64 ": %s is not finite, at learning rate %g; %s%s", trainer->step,
                what, schedule_learning_rate(&trainer->schedule, trainer->step - 1), place, checkpoint);
    free(place);
    free(checkpoint);
    return false;
}

bool diverged_check_loss(struct trainer *trainer, const char *run, const char *what, double loss, struct status *status)
{
    return isfinite(loss) || fail(trainer, run, what, status);
}

static bool is_arena_finite(const struct trainer *trainer, void *data, size_t count)
{
    struct backend *backend = trainer->backend;
    const struct tensor arena = {data, shape_vector((int64_t)count), TENSOR_FLAT};
    double magnitude;
    if (count == 0) return true;
    backend_run_op(backend, op_make(OP_MAGNITUDE), (struct run_input){.n = 1},
                   OPERANDS([MAGNITUDE_X] = &arena, [MAGNITUDE_Y] = &trainer->magnitude));
    backend->table->tensor_read(backend, &trainer->magnitude, &magnitude);
    return isfinite(magnitude);
}

bool diverged_check_weights(struct trainer *trainer, const char *run, struct status *status)
{
    const struct network *network = trainer->network;
    if (!is_arena_finite(trainer, network->parameters, network->arena_count))
        return fail(trainer, run, "a weight", status);
    return is_arena_finite(trainer, network->buffers, network->buffer_count) ||
           fail(trainer, run, "a running statistic", status);
}
