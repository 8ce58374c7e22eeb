/* Creates or refuses a backend: the one place that knows which are built. */
#include "trainer/backend.h"

#include "backend/cpu/shared/cpu_create.h"

bool backend_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    if (options->device == DEVICE_CUDA)
        return status_fail(status, STATUS_USAGE,
                           "backend.device: this trainer was built without CUDA; use cpu or auto");
    return cpu_backend_create(backend, options, status);
}

void backend_destroy(struct backend *backend)
{
    if (backend) backend->ops->destroy(backend);
}

size_t tensor_bytes(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    return backend->ops->tensor_count(backend, kind, shape) * backend->scalar_size;
}

struct tensor tensor_alloc(struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    void *data = backend->ops->alloc(backend, tensor_bytes(backend, kind, shape));
    return (struct tensor){data, shape, kind};
}

void tensor_free(struct backend *backend, struct tensor *tensor)
{
    backend->ops->free(backend, tensor->data);
    tensor->data = NULL;
}
