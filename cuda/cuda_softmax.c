/* The host side of softmax, the losses and the metrics; cuda_softmax.cu has the kernels. The metrics are summed in
 * device memory until they are read. */
#include "cuda_backend.h"

static void check_vectors(const struct tensor *a, const struct tensor *b)
{
    CHECK(shape_equal(a->shape, b->shape) && a->shape.h == 1 && a->shape.w == 1);
}

static void softmax_forward(struct backend *backend, const struct tensor *x, const struct tensor *y)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    check_vectors(x, y);
    CUDA_CHECK(cuda_softmax_forward_launch(cuda->stream, cuda->type, x->shape.n, x->shape.c, x->data, y->data));
}

static void softmax_backward(struct backend *backend, const struct tensor *y, const struct tensor *dy,
                             const struct tensor *dx)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    check_vectors(y, dy);
    check_vectors(y, dx);
    CUDA_CHECK(
        cuda_softmax_backward_launch(cuda->stream, cuda->type, y->shape.n, y->shape.c, y->data, dy->data, dx->data));
}

static void metrics_reset(struct backend *backend)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CUDA_CHECK(cudaMemsetAsync(cuda->metrics, 0, sizeof *cuda->metrics, cuda->stream));
}

static void sums_write(struct backend *backend, struct metrics metrics)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_metrics host = {.loss = metrics.loss, .correct = metrics.correct, .count = metrics.count};
    CUDA_CHECK(cudaMemcpyAsync(cuda->metrics, &host, sizeof host, cudaMemcpyHostToDevice, cuda->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->stream));
}

static struct metrics sums_read(struct backend *backend)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_metrics host;
    CHECK(!cuda->recording);
    CUDA_CHECK(cudaMemcpyAsync(&host, cuda->metrics, sizeof host, cudaMemcpyDeviceToHost, cuda->stream));
    CUDA_CHECK(cudaStreamSynchronize(cuda->stream));
    return (struct metrics){host.loss, host.correct, host.count};
}

static void loss(struct backend *backend, bool of_logits, const struct loss_params *params, const struct tensor *x,
                 const int32_t *labels, const struct tensor *dx)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    check_vectors(x, dx ? dx : x);
    CHECK(params->smoothing >= 0 && params->smoothing < 1);
    CHECK(params->skipped >= 0 && params->skipped < x->shape.n && !(dx && params->skipped > 0));
    CHECK(!params->mixed || of_logits);
    const struct tensor *weights = params->class_weights;
    CHECK(!weights || weights->shape.c == x->shape.c);
    const struct tensor *logits = of_logits ? NULL : params->logits;
    CHECK(!logits || shape_equal(logits->shape, x->shape));
    struct cuda_loss_params of_device = {(float)params->smoothing, params->skipped, weights ? weights->data : NULL,
                                         logits ? logits->data : NULL, params->mixed ? &cuda->state->mix : NULL};
    CUDA_CHECK(cuda_cross_entropy_launch(cuda->stream, cuda->type, of_logits, of_device, x->shape.n, x->shape.c,
                                         x->data, labels, cuda->metrics, dx ? dx->data : NULL));
}

static void cross_entropy(struct backend *backend, const struct loss_params *params, const struct tensor *probabilities,
                          const int32_t *labels, const struct tensor *dprobabilities)
{
    loss(backend, false, params, probabilities, labels, dprobabilities);
}

static void softmax_cross_entropy(struct backend *backend, const struct loss_params *params,
                                  const struct tensor *logits, const int32_t *labels, const struct tensor *dlogits)
{
    loss(backend, true, params, logits, labels, dlogits);
}

void cuda_softmax_install(struct backend_ops *ops)
{
    ops->softmax_forward = softmax_forward;
    ops->softmax_backward = softmax_backward;
    ops->metrics_reset = metrics_reset;
    ops->metrics_write = sums_write;
    ops->metrics_read = sums_read;
    ops->cross_entropy = cross_entropy;
    ops->softmax_cross_entropy = softmax_cross_entropy;
}
