/* The moving average of a network's parameters and running statistics (ema.h). */
#include "trainer/ema.h"

void ema_create(struct ema *ema, double decay, struct network *network)
{
    *ema = (struct ema){.network = network, .decay = decay};
    if (decay == 0) return;
    struct backend *backend = network->backend;
    ema->parameters = backend->ops->alloc(backend, network->arena_count * backend->scalar_size);
    ema->buffers = backend->ops->alloc(backend, network->buffer_count * backend->scalar_size);
    /* With decay 0 the average becomes w. */
    backend->ops->average_step(backend, 0, network->arena_count, ema->parameters, network->parameters);
    backend->ops->average_step(backend, 0, network->buffer_count, ema->buffers, network->buffers);
}

void ema_destroy(struct ema *ema)
{
    if (ema->decay > 0) {
        struct backend *backend = ema->network->backend;
        backend->ops->free(backend, ema->parameters);
        backend->ops->free(backend, ema->buffers);
    }
    *ema = (struct ema){0};
}

void ema_step(struct ema *ema)
{
    const struct network *network = ema->network;
    if (ema->decay == 0) return;
    const struct backend_ops *ops = network->backend->ops;
    ops->average_step(network->backend, ema->decay, network->arena_count, ema->parameters, network->parameters);
    ops->average_step(network->backend, ema->decay, network->buffer_count, ema->buffers, network->buffers);
}

void ema_show(struct ema *ema, bool average)
{
    if (ema->decay == 0) return;
    if (average) {
        network_use(ema->network, ema->parameters, ema->buffers);
    } else {
        network_use(ema->network, ema->network->parameters, ema->network->buffers);
    }
}
