/* Holds an optimizer's state and lets the backend take its steps (optimizer.h). */
#include "trainer/optimizer.h"

#include "trainer/check.h"

static int state_count_of(const struct optimizer *optimizer)
{
    if (optimizer->kind == OPTIMIZER_SGD) return optimizer->sgd.momentum != 0 ? 1 : 0;
    return 2;
}

void optimizer_create(struct optimizer *optimizer, const struct experiment *experiment, struct network *network)
{
    struct backend *backend = network->backend;
    *optimizer = (struct optimizer){
        .kind = experiment->optimizer.name,
        .sgd = {.momentum = experiment->optimizer.momentum,
                .weight_decay = experiment->optimizer.weight_decay,
                .nesterov = experiment->optimizer.nesterov},
        .adam = {.beta1 = experiment->optimizer.beta1,
                 .beta2 = experiment->optimizer.beta2,
                 .epsilon = experiment->optimizer.epsilon,
                 .weight_decay = experiment->optimizer.weight_decay,
                 .decoupled = experiment->optimizer.name == OPTIMIZER_ADAMW},
        .network = network,
    };
    optimizer->state_count = state_count_of(optimizer);
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

void optimizer_step(struct optimizer *optimizer)
{
    struct network *network = optimizer->network;
    struct backend *backend = network->backend;
    switch (optimizer->kind) {
    case OPTIMIZER_SGD:
        backend->ops->sgd_step(backend, optimizer->sgd, network->arena_count, network->parameters, network->gradients,
                               optimizer->state[0]);
        return;
    case OPTIMIZER_ADAM:
    case OPTIMIZER_ADAMW:
        backend->ops->adam_step(backend, optimizer->adam, network->arena_count, network->parameters, network->gradients,
                                optimizer->state[0], optimizer->state[1]);
        return;
    }
    CHECK(!"a known optimizer");
}

bool optimizer_begin(struct optimizer *optimizer)
{
    struct network *network = optimizer->network;
    struct backend *backend = network->backend;
    if (!backend->fuse || !backend->ops->update_begin) return false;
    struct update update = {
        .rule = optimizer->kind == OPTIMIZER_SGD ? UPDATE_SGD : UPDATE_ADAM,
        .sgd = optimizer->sgd,
        .adam = optimizer->adam,
        .count = network->arena_count,
        .w = network->parameters,
        .dw = network->gradients,
        .state = {optimizer->state[0], optimizer->state[1]},
    };
    backend->ops->update_begin(backend, &update);
    return true;
}

void optimizer_end(struct optimizer *optimizer)
{
    struct backend *backend = optimizer->network->backend;
    backend->ops->update_end(backend);
}
