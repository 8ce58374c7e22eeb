/* The host side of softmax and the losses; cuda_softmax.cu has the kernels. Losses add up in a tensor of metrics in device
 * memory. */
#include "cuda_backend.h"

static void check_vectors(const struct tensor *a, const struct tensor *b)
{
    CHECK(shape_equal(a->shape, b->shape) && a->shape.h == 1 && a->shape.w == 1);
}

static void run_softmax(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *x = &call->tensor[SOFTMAX_X], *y = &call->tensor[SOFTMAX_Y];
    check_vectors(x, y);
    CUDA_CHECK(cuda_softmax_forward_launch(cuda->lane->stream, cuda->type, x->shape.n, x->shape.c, x->data, y->data));
}

static void run_softmax_backward(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct tensor *y = &call->tensor[SOFTMAX_BACKWARD_Y], *dy = &call->tensor[SOFTMAX_BACKWARD_DY];
    const struct tensor *dx = &call->tensor[SOFTMAX_BACKWARD_DX];
    check_vectors(y, dy);
    check_vectors(y, dx);
    CUDA_CHECK(cuda_softmax_backward_launch(cuda->lane->stream, cuda->type, y->shape.n, y->shape.c, y->data, dy->data,
                                            dx->data));
}

/* The operands of a loss; those that may be left out have no data then. */
struct loss {
    bool of_logits;                                 /* x has logits, else probabilities */
    const struct tensor *x, *labels, *weights, *dx; /* (N,D,1,1), (N), [(D)], [(N,D,1,1)] */
    const struct tensor *logits;                    /* [(N,D,1,1)]; NULL where x has them */
    const struct tensor *metrics;
};

static void check_loss(const struct loss *loss, const struct loss_params *params, int64_t skipped)
{
    const struct tensor *x = loss->x;
    check_vectors(x, loss->dx->data ? loss->dx : x);
    CHECK(params->smoothing >= 0 && params->smoothing < 1);
    CHECK(skipped >= 0 && skipped < x->shape.n && !(loss->dx->data && skipped > 0));
    CHECK(!params->mixed || loss->of_logits);
    CHECK(!loss->weights->data || loss->weights->shape.c == x->shape.c);
    CHECK(!loss->logits || !loss->logits->data || shape_equal(loss->logits->shape, x->shape));
}

static void run_loss(struct backend *backend, const struct op_call *call, const struct loss *loss)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    const struct loss_params *params = &call->op->loss;
    const struct tensor *x = loss->x;
    check_loss(loss, params, call->input->skipped);
    struct cuda_loss_params of_device = {
        .smoothing = (float)params->smoothing,
        .skipped = call->input->skipped,
        .class_weights = loss->weights->data,
        .logits = loss->logits ? loss->logits->data : NULL,
        .weight_sum = &cuda_state(cuda)->weight_sum,
        .mix = params->mixed ? &cuda_state(cuda)->mix : NULL,
    };
    CUDA_CHECK(cuda_cross_entropy_launch(cuda->lane->stream, cuda->type, loss->of_logits, of_device, x->shape.n,
                                         x->shape.c, x->data, loss->labels->data, loss->metrics->data, loss->dx->data));
}

static void run_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct loss loss = {.of_logits = false,
                        .x = &t[CROSS_ENTROPY_PROBABILITIES],
                        .labels = &t[CROSS_ENTROPY_LABELS],
                        .weights = &t[CROSS_ENTROPY_WEIGHTS],
                        .dx = &t[CROSS_ENTROPY_DPROBABILITIES],
                        .logits = &t[CROSS_ENTROPY_LOGITS],
                        .metrics = &t[CROSS_ENTROPY_METRICS]};
    run_loss(backend, call, &loss);
}

static void run_softmax_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    struct loss loss = {.of_logits = true,
                        .x = &t[SOFTMAX_CROSS_ENTROPY_LOGITS],
                        .labels = &t[SOFTMAX_CROSS_ENTROPY_LABELS],
                        .weights = &t[SOFTMAX_CROSS_ENTROPY_WEIGHTS],
                        .dx = &t[SOFTMAX_CROSS_ENTROPY_DLOGITS],
                        .metrics = &t[SOFTMAX_CROSS_ENTROPY_METRICS]};
    run_loss(backend, call, &loss);
}

void cuda_softmax_install(struct op_function *functions)
{
    functions[OP_SOFTMAX] = (struct op_function){.run = run_softmax};
    functions[OP_SOFTMAX_BACKWARD] = (struct op_function){.run = run_softmax_backward};
    functions[OP_CROSS_ENTROPY] = (struct op_function){.run = run_cross_entropy};
    functions[OP_SOFTMAX_CROSS_ENTROPY] = (struct op_function){.run = run_softmax_cross_entropy};
}
