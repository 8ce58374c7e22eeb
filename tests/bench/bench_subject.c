/* Sets up, runs and counts the work of one case of bench_ops (bench_subject.h). */
#include "bench_subject.h"

#include <string.h>

#include "support.h"
#include "trainer/check.h"

static bool is_fused(const struct bench_case *c)
{
    return c->pass == PASS_FUSED_FORWARD || c->pass == PASS_FUSED_BACKWARD;
}

/* ReLU and, where pooled, the ConvNet's max-pool. */
static struct batchnorm_fused_params fused_params(const struct bench_case *c)
{
    struct batchnorm_fused_params params = {.batchnorm = c->op.batchnorm, .pooled = c->pooled};
    params.activation = (struct activation_params){ACTIVATION_RELU, 0};
    params.pool = (struct pool_params){POOL_MAX, {3, 2, 1}};
    return params;
}

bool subject_offered(const struct backend *backend, const struct bench_case *c)
{
    struct batchnorm_fused_params params = fused_params(c);
    if (!is_fused(c)) return true;
    return backend->ops->batchnorm_fused_offered && backend->ops->batchnorm_fused_offered(backend, &params);
}

/* The number of states of the optimizer that the case is of. */
static int states_of(const struct bench_case *c)
{
    return optimizer_state_count(c->op.update.kind, &c->op.update.params);
}

/* --- tensors --- */

static struct shape output_shape(const struct bench_case *c)
{
    struct shape s = c->op.x;
    struct window window = {3, 2, 1};
    if (c->op.op == CASE_CONV2D) window = c->op.conv2d.window, s.c = c->op.conv2d.channels;
    if (c->op.op == CASE_POOL) window = c->op.pool.window;
    if (c->op.op == CASE_CONV2D || c->op.op == CASE_POOL || c->pooled) {
        s.h = window_output_size(s.h, window), s.w = window_output_size(s.w, window);
    }
    return s;
}

static struct tensor fresh(struct subject *subject, const struct tensor *like)
{
    return tensor_alloc(subject->backend, like->kind, like->shape);
}

/* Uploads the inputs of the case by their names. */
static void upload(struct subject *subject, const struct op_arrays *inputs)
{
    const struct {
        const char *name;
        struct tensor *tensor;
    } places[] = {{"x", &subject->x},
                  {"w", &subject->x},
                  {"dy", &subject->dy},
                  {"weight", &subject->weight},
                  {"bias", &subject->bias},
                  {"gamma", &subject->gamma},
                  {"beta", &subject->beta},
                  {"running_mean", &subject->running_mean},
                  {"running_var", &subject->running_var},
                  {"dw0", &subject->dx}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const struct op_array *array = op_arrays_find(inputs, places[i].name);
        if (array) *places[i].tensor = support_tensor(subject->backend, array->kind, array->shape, array->values);
    }
    const struct op_array *labels = op_arrays_find(inputs, "labels");
    if (labels) subject->labels = support_labels(subject->backend, labels->values, shape_count(labels->shape));
}

static void open_batchnorm(struct subject *subject)
{
    subject->mean = fresh(subject, &subject->gamma), subject->rstd = fresh(subject, &subject->gamma);
    subject->dweight = fresh(subject, &subject->gamma), subject->dbias = fresh(subject, &subject->gamma);
    subject->fused = fused_params(subject->c);
    if (!subject->c->pooled) return;
    tensor_free(subject->backend, &subject->dy);
    subject->dy = fresh(subject, &subject->y);
}

void subject_open(struct subject *subject, struct backend *backend, const struct bench_case *c)
{
    struct op_arrays inputs;
    *subject = (struct subject){.backend = backend, .c = c};
    op_case_inputs(&c->op, &inputs);
    upload(subject, &inputs);
    op_arrays_free(&inputs);
    const struct backend_ops *ops = backend->ops;
    struct shape y = output_shape(c);
    if (c->op.op == CASE_UPDATE) {
        for (int i = 0; i < states_of(c); i++)
            subject->state[i] = ops->alloc(backend, tensor_bytes(backend, TENSOR_FILTER, c->op.x));
        if (optimizer_row(c->op.update.kind)->matrix)
            subject->update_plan = ops->update_plan_create(backend, c->op.update.kind, c->op.x);
    } else {
        subject->y = tensor_alloc(backend, TENSOR_ACTIVATION, y);
        subject->dx = fresh(subject, &subject->x);
    }
    if (c->op.op == CASE_BATCHNORM) open_batchnorm(subject);
    if (c->op.op == CASE_CONV2D) {
        subject->plan = ops->conv2d_plan_create(backend, c->op.conv2d.window, c->op.x, c->op.conv2d.channels);
        subject->dweight = fresh(subject, &subject->weight);
        if (c->op.conv2d.bias) subject->dbias = fresh(subject, &subject->bias);
    }
    struct pool_params pool = c->op.op == CASE_POOL ? c->op.pool : subject->fused.pool;
    if (c->op.op == CASE_POOL || c->pooled)
        subject->saved = ops->alloc(backend, ops->pool_saved_bytes(backend, pool, y));
    if (c->pass == PASS_FORWARD || c->pass == PASS_FUSED_FORWARD) return;
    struct bench_case forward = *c; /* the backward pass reads its results */
    forward.pass = c->pass == PASS_FUSED_BACKWARD ? PASS_FUSED_FORWARD : PASS_FORWARD;
    subject->c = &forward;
    subject_run(subject);
    subject->c = c;
}

void subject_close(struct subject *subject)
{
    const struct backend_ops *ops = subject->backend->ops;
    struct tensor *tensors[] = {&subject->x,      &subject->y,    &subject->dy,           &subject->dx,
                                &subject->weight, &subject->bias, &subject->dweight,      &subject->dbias,
                                &subject->gamma,  &subject->beta, &subject->running_mean, &subject->running_var,
                                &subject->mean,   &subject->rstd};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) tensor_free(subject->backend, tensors[i]);
    if (subject->plan) ops->conv2d_plan_destroy(subject->backend, subject->plan);
    ops->update_plan_destroy(subject->backend, subject->update_plan);
    ops->free(subject->backend, subject->saved), ops->free(subject->backend, subject->labels);
    for (int i = 0; i < OPTIMIZER_STATES; i++) ops->free(subject->backend, subject->state[i]);
}

/* --- running --- */

static const struct tensor *wanted(const struct tensor *tensor)
{
    return tensor->data ? tensor : NULL;
}

static void run_batchnorm(struct subject *s)
{
    const struct backend_ops *ops = s->backend->ops;
    const struct batchnorm_params params = s->c->op.batchnorm;
    switch (s->c->pass) {
    case PASS_FORWARD:
        ops->batchnorm_forward(s->backend, params, &s->x, &s->gamma, &s->beta, &s->running_mean, &s->running_var, &s->y,
                               &s->mean, &s->rstd);
        break;
    case PASS_BACKWARD:
        ops->batchnorm_backward(s->backend, &s->x, &s->gamma, &s->mean, &s->rstd, &s->dy, &s->dx, &s->dweight,
                                &s->dbias);
        break;
    case PASS_EVALUATE:
        ops->batchnorm_evaluate(s->backend, params, &s->x, &s->gamma, &s->beta, &s->running_mean, &s->running_var,
                                &s->y);
        break;
    case PASS_FUSED_FORWARD:
        ops->batchnorm_fused_forward(s->backend, &s->fused, &s->x, &s->gamma, &s->beta, &s->running_mean,
                                     &s->running_var, &s->y, &s->mean, &s->rstd, s->saved);
        break;
    case PASS_FUSED_BACKWARD:
        ops->batchnorm_fused_backward(s->backend, &s->fused, &s->x, &s->gamma, &s->beta, &s->mean, &s->rstd, &s->dy,
                                      s->saved, &s->dx, &s->dweight, &s->dbias);
        break;
    }
}

static void run_update(struct subject *s)
{
    struct update update = {.kind = s->c->op.update.kind,
                            .params = s->c->op.update.params,
                            .rate = 1,
                            .plan = s->update_plan,
                            .count = (size_t)shape_count(s->c->op.x),
                            .w = s->x.data,
                            .dw = s->dx.data};
    for (int i = 0; i < states_of(s->c); i++) update.state[i] = s->state[i];
    s->backend->ops->update(s->backend, &update);
}

static void run_forward(struct subject *s)
{
    const struct backend_ops *ops = s->backend->ops;
    const struct op_case *c = &s->c->op;
    switch (c->op) {
    case CASE_CONV2D:
        ops->conv2d_forward(s->backend, s->plan, &s->x, &s->weight, wanted(&s->bias), &s->y);
        break;
    case CASE_POOL:
        ops->pool_forward(s->backend, c->pool, &s->x, &s->y, s->saved);
        break;
    case CASE_ACTIVATION:
        ops->activation_forward(s->backend, c->activation, &s->x, &s->y);
        break;
    case CASE_DROPOUT:
        ops->dropout(s->backend, &c->dropout.params, &s->x, &s->y);
        break;
    case CASE_ELEMENTWISE:
        ops->elementwise(s->backend, c->elementwise, &s->x, NULL, &s->y);
        break;
    case CASE_SOFTMAX_CROSS_ENTROPY:
        ops->softmax_cross_entropy(s->backend, &(struct loss_params){0}, &s->x, s->labels, &s->dx);
        break;
    case CASE_UPDATE:
        run_update(s);
        break;
    default:
        CHECK(!"an operation that bench_ops runs");
    }
}

void subject_run(struct subject *s)
{
    const struct backend_ops *ops = s->backend->ops;
    if (s->c->op.op == CASE_BATCHNORM)
        run_batchnorm(s);
    else if (s->c->pass == PASS_FORWARD)
        run_forward(s);
    else if (s->c->op.op == CASE_CONV2D)
        ops->conv2d_backward(s->backend, s->plan, &s->x, &s->weight, &s->dy, &s->dx, &s->dweight, wanted(&s->dbias));
    else if (s->c->op.op == CASE_POOL)
        ops->pool_backward(s->backend, s->c->op.pool, &s->dy, s->saved, &s->dx);
    else
        ops->activation_backward(s->backend, s->c->op.activation, &s->x, &s->dy, &s->dx);
}

/* --- the least cost --- */

static double bytes_of(const struct subject *subject, const struct tensor *tensor)
{
    return tensor->data ? (double)tensor_bytes(subject->backend, tensor->kind, tensor->shape) : 0;
}

double subject_bytes(const struct subject *s)
{
    double x = bytes_of(s, &s->x), y = bytes_of(s, &s->y), weight = bytes_of(s, &s->weight);
    bool backward = s->c->pass == PASS_BACKWARD || s->c->pass == PASS_FUSED_BACKWARD;
    switch (s->c->op.op) {
    case CASE_UPDATE:
        return (3 + 2 * states_of(s->c)) * x; /* w, dw and the states are read, w and the states written */
    case CASE_SOFTMAX_CROSS_ENTROPY:
        return 2 * x;
    case CASE_POOL:
        return x + y + (double)s->backend->ops->pool_saved_bytes(s->backend, s->c->op.pool, s->y.shape);
    default:
        return backward ? 2 * x + y + 2 * weight : x + y + weight; /* backward: x and dy read, dx written */
    }
}

double subject_flops(const struct subject *s)
{
    if (s->c->op.op != CASE_CONV2D) return 0;
    struct window window = s->c->op.conv2d.window;
    struct shape x = s->x.shape;
    double taps = (double)window_useful_taps(x.h, window) * (double)window_useful_taps(x.w, window);
    double forward = 2 * taps * (double)x.n * (double)x.c * (double)s->c->op.conv2d.channels;
    return s->c->pass == PASS_BACKWARD ? 2 * forward : forward;
}
