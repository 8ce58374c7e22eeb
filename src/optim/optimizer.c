/* Holds an optimizer's state and lets the backend take its steps (optimizer.h). */
#include "trainer/optimizer.h"

void optimizer_create(struct optimizer *optimizer, const struct experiment *experiment, struct network *network)
{
    struct backend *backend = network->backend;
    *optimizer = (struct optimizer){
        .kind = experiment->optimizer.name,
        .params = {.weight_decay = experiment->optimizer.weight_decay,
                   .momentum = experiment->optimizer.momentum,
                   .nesterov = experiment->optimizer.nesterov,
                   .beta1 = experiment->optimizer.beta1,
                   .beta2 = experiment->optimizer.beta2,
                   .epsilon = experiment->optimizer.epsilon},
        .network = network,
    };
    optimizer->state_count = optimizer_state_count(optimizer->kind, &optimizer->params);
    for (int i = 0; i < optimizer->state_count; i++)
        optimizer->state[i] = backend->ops->alloc(backend, network->arena_count * backend->scalar_size);
}

void optimizer_destroy(struct optimizer *optimizer)
{
    for (int i = 0; i < optimizer->state_count; i++) {
        struct backend *backend = optimizer->network->backend;
        backend->ops->free(backend, optimizer->state[i]);
    }
    *optimizer = (struct optimizer){0};
}

static struct update update_of(const struct optimizer *optimizer)
{
    const struct network *network = optimizer->network;
    struct update update = {.kind = optimizer->kind,
                            .params = optimizer->params,
                            .count = network->arena_count,
                            .w = network->parameters,
                            .dw = network->gradients};
    for (int i = 0; i < optimizer->state_count; i++) update.state[i] = optimizer->state[i];
    return update;
}

void optimizer_step(struct optimizer *optimizer)
{
    struct backend *backend = optimizer->network->backend;
    struct update update = update_of(optimizer);
    backend->ops->update(backend, &update);
}

bool optimizer_begin(struct optimizer *optimizer)
{
    struct backend *backend = optimizer->network->backend;
    if (!backend->fuse || !backend->ops->update_begin) return false;
    struct update update = update_of(optimizer);
    backend->ops->update_begin(backend, &update);
    return true;
}

void optimizer_end(struct optimizer *optimizer)
{
    struct backend *backend = optimizer->network->backend;
    backend->ops->update_end(backend);
}
