/* Tests that a newcomer's backend is small: eleven functions on the defaults of the host (host.h) train the network of
 * configs/mlp_numpy.ini, with the losses of the reference backend. */
#include <float.h>
#include <math.h>
#include <signal.h>
#include <criterion/criterion.h>

#include "backend/host.h"
#include "nn/gradcheck.h"
#include "session_support.h"
#include "train/diverged.h"

/* --- the operations: linear layers, ReLU, softmax, cross-entropy, plain SGD, in doubles --- */

/* x[n,d] = (pixel[d] - offset[d]) scale[channel of d] */
static void small_gather(struct backend *backend, const struct op_call *call)
{
    const struct dataset_view *view = host_dataset_view(call->input->data);
    const struct tensor *x = &call->tensor[GATHER_X];
    double *to = x->data;
    int32_t *labels = call->tensor[GATHER_LABELS].data;
    (void)backend;
    for (int64_t n = 0; n < x->shape.n; n++) {
        int64_t sample = host_dataset_sample(call->input->data, call->input->state.batch_first + n);
        const uint8_t *pixels = host_dataset_pixels(call->input->data, sample);
        labels[n] = view->labels[sample];
        for (int64_t d = 0; d < x->shape.c; d++)
            *to++ =
                ((double)pixels[d] - (double)view->offset[d]) * (double)view->scale[d / (view->height * view->width)];
    }
}

/* y[n,o] = b[o] + sum_i weight[o,i] x[n,i] */
static void small_linear(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CONV2D_X], *y = &call->tensor[CONV2D_Y];
    const double *bias = call->tensor[CONV2D_BIAS].data, *weight = call->tensor[CONV2D_WEIGHT].data;
    int64_t inputs = x->shape.c, outputs = y->shape.c;
    (void)backend;
    for (int64_t n = 0; n < x->shape.n; n++)
        for (int64_t o = 0; o < outputs; o++) {
            const double *of_x = (const double *)x->data + n * inputs;
            double sum = bias[o];
            for (int64_t i = 0; i < inputs; i++) sum += weight[o * inputs + i] * of_x[i];
            ((double *)y->data)[n * outputs + o] = sum;
        }
}

/* dx[n,i] = sum_o weight[o,i] dy[n,o],   dweight[o,i] = sum_n x[n,i] dy[n,o],   dbias[o] = sum_n dy[n,o] */
static void small_linear_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    const double *x = t[CONV2D_BACKWARD_X].data, *weight = t[CONV2D_BACKWARD_WEIGHT].data;
    const double *dy = t[CONV2D_BACKWARD_DY].data;
    double *dx = t[CONV2D_BACKWARD_DX].data, *dweight = t[CONV2D_BACKWARD_DWEIGHT].data;
    double *dbias = t[CONV2D_BACKWARD_DBIAS].data;
    int64_t samples = t[CONV2D_BACKWARD_X].shape.n, inputs = t[CONV2D_BACKWARD_X].shape.c;
    int64_t outputs = t[CONV2D_BACKWARD_DY].shape.c;
    for (int slot = CONV2D_BACKWARD_DX; slot <= CONV2D_BACKWARD_DBIAS; slot++)
        if (t[slot].data) backend->table->zero(backend, t[slot].data, (size_t)shape_count(t[slot].shape) * sizeof *dx);
    for (int64_t n = 0; n < samples; n++)
        for (int64_t o = 0; o < outputs; o++) {
            double of_dy = dy[n * outputs + o];
            dbias[o] += of_dy;
            for (int64_t i = 0; i < inputs; i++) {
                dweight[o * inputs + i] += x[n * inputs + i] * of_dy;
                if (dx) dx[n * inputs + i] += weight[o * inputs + i] * of_dy;
            }
        }
}

static void small_relu(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[ACTIVATION_X];
    const double *from = x->data;
    double *y = call->tensor[ACTIVATION_Y].data;
    (void)backend;
    for (int64_t i = 0; i < shape_count(x->shape); i++) y[i] = from[i] > 0 ? from[i] : 0;
}

static void small_relu_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[ACTIVATION_BACKWARD_X];
    const double *from = x->data, *dy = call->tensor[ACTIVATION_BACKWARD_DY].data;
    double *dx = call->tensor[ACTIVATION_BACKWARD_DX].data;
    (void)backend;
    for (int64_t i = 0; i < shape_count(x->shape); i++) dx[i] = from[i] > 0 ? dy[i] : 0;
}

/* y_i = exp(x_i - max) / sum_k exp(x_k - max) */
static void small_softmax(struct backend *backend, const struct op_call *call)
{
    struct shape s = call->tensor[SOFTMAX_X].shape;
    const double *x = call->tensor[SOFTMAX_X].data;
    double *y = call->tensor[SOFTMAX_Y].data;
    (void)backend;
    for (int64_t n = 0; n < s.n; n++, x += s.c, y += s.c) {
        double largest = x[0], sum = 0;
        for (int64_t i = 1; i < s.c; i++) largest = fmax(largest, x[i]);
        for (int64_t i = 0; i < s.c; i++) sum += y[i] = exp(x[i] - largest);
        for (int64_t i = 0; i < s.c; i++) y[i] /= sum;
    }
}

/* dx_j = y_j (dy_j - sum_i dy_i y_i) */
static void small_softmax_backward(struct backend *backend, const struct op_call *call)
{
    struct shape s = call->tensor[SOFTMAX_BACKWARD_Y].shape;
    const double *y = call->tensor[SOFTMAX_BACKWARD_Y].data, *dy = call->tensor[SOFTMAX_BACKWARD_DY].data;
    double *dx = call->tensor[SOFTMAX_BACKWARD_DX].data;
    (void)backend;
    for (int64_t n = 0; n < s.n; n++, y += s.c, dy += s.c, dx += s.c) {
        double sum = 0;
        for (int64_t i = 0; i < s.c; i++) sum += dy[i] * y[i];
        for (int64_t j = 0; j < s.c; j++) dx[j] = y[j] * (dy[j] - sum);
    }
}

/* L = -1/N sum_n log p[n,t],   dp[n,i] = -[i = t] / (N p[n,t]) */
static void small_cross_entropy(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[CROSS_ENTROPY_PROBABILITIES];
    const int32_t *labels = call->tensor[CROSS_ENTROPY_LABELS].data;
    struct metrics *metrics = call->tensor[CROSS_ENTROPY_METRICS].data;
    double *dp = call->tensor[CROSS_ENTROPY_DPROBABILITIES].data;
    (void)backend;
    for (int64_t n = 0; n < x->shape.n; n++) {
        const double *p = (const double *)x->data + n * x->shape.c;
        double found = fmax(p[labels[n]], DBL_MIN);
        int64_t best = 0;
        for (int64_t i = 0; i < x->shape.c; i++) {
            if (p[i] > p[best]) best = i;
            if (dp) *dp++ = i == labels[n] ? -1 / ((double)x->shape.n * found) : 0;
        }
        if (n < call->input->skipped) continue;
        metrics->loss -= log(found);
        metrics->correct += best == labels[n];
        metrics->count++;
    }
}

/* w <- w - rate dw */
static void small_sgd(struct backend *backend, const struct op_call *call)
{
    const struct tensor *t = call->tensor;
    const double *dw = t[UPDATE_DW].data, rate = call->input->state.learning_rate * call->op->update.rate;
    double *w = t[UPDATE_W].data;
    (void)backend;
    for (int64_t i = 0; i < shape_count(t[UPDATE_W].shape); i++) w[i] -= rate * dw[i];
}

/* y = sqrt(sum x^2), by which a run finds a weight that is not finite */
static void small_magnitude(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[MAGNITUDE_X].data;
    double sum = 0;
    (void)backend;
    for (int64_t i = 0; i < shape_count(call->tensor[MAGNITUDE_X].shape); i++) sum += x[i] * x[i];
    *(double *)call->tensor[MAGNITUDE_Y].data = sqrt(sum);
}

static bool small_supports(const struct backend *backend, const struct op *op)
{
    const struct optimizer_params *params = &op->update.params;
    (void)backend;
    switch (op->kind) {
    case OP_GATHER:
        return !op->gather.augmented;
    case OP_CONV2D:
    case OP_CONV2D_BACKWARD:
        return op->conv2d.window.kernel == 1 && op->conv2d.window.padding == 0 && op->conv2d.groups == 1;
    case OP_ACTIVATION:
    case OP_ACTIVATION_BACKWARD:
        return op->activation.kind == ACTIVATION_RELU;
    case OP_CROSS_ENTROPY:
        return op->tensor[CROSS_ENTROPY_WEIGHTS] < 0;
    case OP_UPDATE:
        return op->update.kind == OPTIMIZER_SGD && params->momentum == 0 && params->weight_decay == 0;
    default:
        return true;
    }
}

static const struct op_function small_functions[OP_KIND_COUNT] = {
    [OP_GATHER] = {.run = small_gather, .supports = small_supports},
    [OP_CONV2D] = {.run = small_linear, .supports = small_supports},
    [OP_CONV2D_BACKWARD] = {.run = small_linear_backward, .supports = small_supports},
    [OP_ACTIVATION] = {.run = small_relu, .supports = small_supports},
    [OP_ACTIVATION_BACKWARD] = {.run = small_relu_backward, .supports = small_supports},
    [OP_SOFTMAX] = {.run = small_softmax},
    [OP_SOFTMAX_BACKWARD] = {.run = small_softmax_backward},
    [OP_CROSS_ENTROPY] = {.run = small_cross_entropy, .supports = small_supports},
    [OP_UPDATE] = {.run = small_sgd, .supports = small_supports},
    [OP_MAGNITUDE] = {.run = small_magnitude},
};

static struct backend *small_create(void)
{
    struct backend *backend = host_backend_create(small_functions);
    snprintf(backend->description, sizeof backend->description, "small, 1 thread, fp64");
    return backend;
}

/* --- training --- */

/* configs/mlp_numpy.ini with synthetic data, and with one setting more. */
static struct experiment load(const char *setting)
{
    const char *const settings[] = {"data.dataset=synthetic",
                                    "data.synthetic_train=100",
                                    "data.synthetic_test=30",
                                    "data.synthetic_size=6",
                                    "train.batch_size=20",
                                    "model.init_std=1e-2",
                                    setting};
    enum { SETTINGS = sizeof settings / sizeof *settings };
    struct experiment_override overrides[SETTINGS];
    struct experiment experiment;
    struct status status = {0};
    for (int i = 0; i < SETTINGS; i++)
        cr_assert(experiment_override_parse(&overrides[i], settings[i], i + 1, &status), "%s", status.message);
    bool loaded = experiment_load(&experiment, CONFIG_FOLDER "/mlp_numpy.ini", overrides, SETTINGS, &status);
    cr_assert(loaded, "%s", status.message);
    return experiment;
}

static struct session *open(struct backend *backend)
{
    return session_of(load("train.max_steps=40"), backend);
}

Test(small_backend, trains_like_the_reference)
{
    enum { STEPS = 40 };
    struct session *small = open(small_create()), *reference = open(reference_create());
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        double expected = session_step_loss(reference);
        last = session_step_loss(small);
        if (step == 0) first = last;
        /* Both sum in double; some steps carry a rounding on. */
        cr_expect(fabs(last - expected) <= 1e-9 * expected, "step %d: %.17g, expected %.17g", step, last, expected);
    }
    cr_expect(last < 0.7 * first, "from %g to %g", first, last);
    struct evaluation found = trainer_evaluate(&small->trainer, &small->trainer.test_set);
    struct evaluation expected = trainer_evaluate(&reference->trainer, &reference->trainer.test_set);
    cr_expect(fabs(found.loss - expected.loss) <= 1e-9 * expected.loss, "%.17g, %.17g", found.loss, expected.loss);
    cr_expect_eq(found.accuracy, expected.accuracy);
    struct status status = {0};
    cr_expect(diverged_check_weights(&small->trainer, NULL, &status), "%s", status.message);
    session_close(small), session_close(reference);
}

/* --- what it does not compute --- */

static void expect_refused(const char *setting, const char *message)
{
    struct session session = {.experiment = load(setting), .backend = small_create()};
    struct status status = {0};
    cr_assert(dataset_from_experiment(&session.dataset, &session.experiment, NULL, &status), "%s", status.message);
    cr_expect_not(
        trainer_create(&session.trainer, &session.experiment, &session.dataset, session.backend, NULL, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message);
    trainer_destroy(&session.trainer);
    dataset_free(&session.dataset);
    cr_expect_eq(session.backend->allocated, 0);
    backend_destroy(session.backend);
    experiment_free(&session.experiment);
}

Test(small_backend, an_operation_that_it_lacks_is_refused_by_name)
{
    expect_refused("model.dropout=0.5",
                   "layer 2 (dropout 0.5): the backend (small, 1 thread, fp64) does not compute \"dropout 0.5\"");
    expect_refused("model.activation=elu",
                   "layer 1 (elu): the backend (small, 1 thread, fp64) does not compute \"elu\"");
    expect_refused("model.loss=fused",
                   "the backend (small, 1 thread, fp64) does not compute \"softmax cross-entropy\"");
    expect_refused("optimizer.name=adam",
                   "layer 0 (linear): the backend (small, 1 thread, fp64) does not compute \"update adam\"");
    expect_refused("augment.flip=true", "the backend (small, 1 thread, fp64) does not compute \"gather\"");
    expect_refused("train.ema_decay=0.9", "the backend (small, 1 thread, fp64) does not compute \"average\"");
    expect_refused("train.clip_norm=1", "the backend (small, 1 thread, fp64) does not compute \"clip\"");
}

Test(small_backend, gradients_of_an_operation_that_it_lacks_are_not_checked)
{
    struct experiment experiment = load("model.activation=leaky_relu");
    struct backend *backend = small_create();
    struct status status = {0};
    struct network *network = network_from(&experiment, backend, (struct shape){GRADCHECK_BATCH, 3, 6, 6}, 10, &status);
    cr_assert_not_null(network, "%s", status.message);
    cr_expect_not(gradcheck_check_support(network, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message,
                     "layer 1 (leaky_relu): the backend (small, 1 thread, fp64) does not compute \"leaky_relu\"");
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

/* --- its tables --- */

Test(small_backend, its_tables_are_complete)
{
    struct backend *backend = small_create();
    backend_check(backend);
    backend_destroy(backend);
}

Test(small_backend, a_missing_entry_stops_the_program, .signal = SIGABRT)
{
    struct backend *backend = small_create();
    struct backend_table table = *backend->table;
    table.tensor_read = NULL;
    backend->table = &table;
    backend_check(backend);
}

Test(small_backend, a_kind_without_run_stops_the_program, .signal = SIGABRT)
{
    struct op_function functions[OP_KIND_COUNT] = {[OP_POOL] = {.supports = small_supports}};
    struct backend *backend = small_create();
    backend->functions = functions;
    backend_check(backend);
}
