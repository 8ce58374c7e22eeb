/* Compares the optimizers, in a network's arenas, with the formulas of optimizer_row.h written out in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "optim/optimizer.h"
#include "program/passes.h"

enum { STEPS = 7, KINDS = OPTIMIZER_CHOICES(CHOICE_COUNT) };

static struct experiment with_optimizer(enum optimizer_kind kind)
{
    struct experiment experiment = {0};
    experiment.optimizer.name = kind;
    experiment.optimizer.beta1 = 0.9;
    experiment.optimizer.beta2 = 0.99;
    experiment.optimizer.epsilon = 1e-8;
    experiment.optimizer.ns_steps = 5;
    strcpy(experiment.model.freeze, "none");
    strcpy(experiment.optimizer.rates, "none");
    strcpy(experiment.optimizer.decays, "none");
    return experiment;
}

static double learning_rate(int step)
{
    return 0.1 / (step + 1);
}

/* The state of one weight in the formulas. */
struct reference {
    double w, first, second;
};

/* A step of one weight. */
struct reference_step {
    const struct experiment *experiment;
    int step;
    double rate, momentum, decay;
};

static void reference_sgd(struct reference_step of, struct reference *r, double dw)
{
    double g = dw + of.decay * r->w;
    r->first = of.momentum * r->first + g;
    r->w -= of.rate * (of.experiment->optimizer.nesterov ? g + of.momentum * r->first : r->first);
}

/* Adam of the gradient g. */
static void reference_adam_of(struct reference_step of, struct reference *r, double g)
{
    double beta1 = of.experiment->optimizer.beta1, beta2 = of.experiment->optimizer.beta2;
    r->first = beta1 * r->first + (1 - beta1) * g;
    r->second = beta2 * r->second + (1 - beta2) * g * g;
    double first = r->first / (1 - pow(beta1, of.step + 1)), second = r->second / (1 - pow(beta2, of.step + 1));
    r->w -= of.rate * first / (sqrt(second) + of.experiment->optimizer.epsilon);
}

static void reference_adam(struct reference_step of, struct reference *r, double dw)
{
    reference_adam_of(of, r, dw + of.decay * r->w);
}

static void reference_adamw(struct reference_step of, struct reference *r, double dw)
{
    r->w -= of.rate * of.decay * r->w;
    reference_adam_of(of, r, dw);
}

static void reference_lion(struct reference_step of, struct reference *r, double dw)
{
    double beta1 = of.experiment->optimizer.beta1, beta2 = of.experiment->optimizer.beta2;
    double u = beta1 * r->first + (1 - beta1) * dw;
    r->w -= of.rate * ((u > 0) - (u < 0) + of.decay * r->w);
    r->first = beta2 * r->first + (1 - beta2) * dw;
}

/* X (o,n) <- a X + b A X + c A A X with A = X X^T (o,o), by plain loops. */
static void iterate(double *x, int64_t o, int64_t n)
{
    double *gram = memory_alloc((size_t)(o * o), sizeof *gram), *once = memory_alloc((size_t)(o * n), sizeof *once);
    double *twice = memory_alloc((size_t)(o * n), sizeof *twice);
    for (int64_t i = 0; i < o * o; i++)
        for (int64_t j = 0; j < n; j++) gram[i] += x[i / o * n + j] * x[i % o * n + j];
    for (int64_t i = 0; i < o * n; i++)
        for (int64_t k = 0; k < o; k++) once[i] += gram[i / n * o + k] * x[k * n + i % n];
    for (int64_t i = 0; i < o * n; i++)
        for (int64_t k = 0; k < o; k++) twice[i] += gram[i / n * o + k] * once[k * n + i % n];
    for (int64_t i = 0; i < o * n; i++) x[i] = 3.4445 * x[i] - 4.7750 * once[i] + 2.0315 * twice[i];
    free(gram), free(once), free(twice);
}

static void reference_muon(struct reference_step of, struct reference *r, const double *dw, int64_t o, int64_t n)
{
    const struct experiment *experiment = of.experiment;
    double momentum = experiment->optimizer.momentum, *x = memory_alloc((size_t)(o * n), sizeof *x), squares = 0;
    for (int64_t i = 0; i < o * n; i++) {
        r[i].first = momentum * r[i].first + (1 - momentum) * dw[i];
        x[i] = experiment->optimizer.nesterov ? momentum * r[i].first + (1 - momentum) * dw[i] : r[i].first;
        squares += x[i] * x[i];
    }
    for (int64_t i = 0; i < o * n; i++) x[i] /= sqrt(squares);
    for (int64_t k = 0; k < experiment->optimizer.ns_steps; k++) iterate(x, o, n);
    if (experiment->optimizer.normalize_weights) {
        double weights = 0;
        for (int64_t i = 0; i < o * n; i++) weights += r[i].w * r[i].w;
        for (int64_t i = 0; i < o * n; i++) r[i].w *= sqrt((double)o / weights);
    }
    bool original = experiment->optimizer.adjust_rate == ADJUST_RATE_ORIGINAL;
    double scale = original ? sqrt(fmax(1, (double)o / (double)n)) : 0.2 * sqrt((double)(o > n ? o : n));
    for (int64_t i = 0; i < o * n; i++) r[i].w -= of.rate * (of.decay * r[i].w + scale * x[i]);
    free(x);
}

static void (*const elementwise[KINDS])(struct reference_step of, struct reference *r, double dw) = {
    [OPTIMIZER_SGD] = reference_sgd,
    [OPTIMIZER_ADAM] = reference_adam,
    [OPTIMIZER_ADAMW] = reference_adamw,
    [OPTIMIZER_LION] = reference_lion,
};

/* Steps one parameter tensor of the network and its references with the same made-up gradients. Muon steps the hidden
 * layer's weights alone. */
static void write_gradients(struct network *network, int layer, int p, const struct experiment *experiment,
                            struct reference *references, int step)
{
    struct parameter *parameter = &network->layers[layer].parameter[p];
    enum optimizer_kind kind = experiment->optimizer.name;
    struct reference_step of = {experiment, step, learning_rate(step), experiment->optimizer.momentum,
                                experiment->optimizer.weight_decay * parameter->decay};
    bool muon = kind == OPTIMIZER_MUON && layer == 0 && p == 0;
    if (kind == OPTIMIZER_MUON && !muon) {
        bool sgd = experiment->optimizer.rest == MUON_REST_SGD;
        double rate = sgd ? experiment->optimizer.sgd_learning_rate : experiment->optimizer.adamw_learning_rate;
        kind = sgd ? OPTIMIZER_SGD : OPTIMIZER_ADAMW;
        if (rate > 0) of.rate *= rate / experiment->optimizer.learning_rate;
        if (sgd) of.momentum = experiment->optimizer.sgd_momentum;
    }
    int64_t count = shape_count(parameter->value.shape);
    double *dw = memory_alloc((size_t)count, sizeof *dw);
    support_fill(dw, count, 42, (uint32_t)(step * 10 + layer * 2 + p), 0, 1);
    network->backend->table->tensor_write(network->backend, &parameter->gradient, dw);
    struct shape shape = parameter->value.shape;
    if (muon) reference_muon(of, references, dw, shape.n, shape_sample_count(shape));
    for (int64_t i = 0; !muon && i < count; i++) elementwise[kind](of, &references[i], dw[i]);
    free(dw);
}

static struct reference *references_of(struct backend *backend, const struct parameter *parameter)
{
    int64_t count = shape_count(parameter->value.shape);
    struct reference *references = memory_alloc((size_t)count, sizeof *references);
    double *values = support_read(backend, &parameter->value);
    for (int64_t i = 0; i < count; i++) references[i].w = values[i];
    free(values);
    return references;
}

static void assert_equal(struct backend *backend, const struct parameter *parameter, struct reference *references,
                         double tolerance)
{
    char message[256];
    int64_t count = shape_count(parameter->value.shape);
    double *values = support_read(backend, &parameter->value),
           *expected = memory_alloc((size_t)count, sizeof *expected);
    for (int64_t i = 0; i < count; i++) expected[i] = references[i].w;
    /* Some ten roundings per step of numbers below 1; Muon multiplies an error of its first iterations by some 100. */
    bool close = support_close(values, expected, count, tolerance, tolerance, message, sizeof message);
    cr_assert(close, "%s: %s", parameter->name, message);
    cr_assert(support_padding_is_zero(backend, &parameter->value));
    free(values), free(expected);
}

/* Checks two linear layers, 5-19-3: no size is a multiple of a block. */
static void check(const struct experiment *experiment)
{
    enum { LAYERS = 2, PARAMETERS = 2 };
    const struct layer_spec specs[LAYERS] = {{.kind = LAYER_LINEAR, .linear = {.units = 19}},
                                             {.kind = LAYER_LINEAR, .linear = {.units = 3}}};
    struct backend *backend = backend_of(PRECISION_FP64, 2);
    struct network *network;
    struct optimizer optimizer;
    struct status status;
    cr_assert(network_build(&network, backend, specs, LAYERS, LOSS_FUSED, (struct shape){2, 5, 1, 1}, 1, &status));
    cr_assert(network_tune_from_experiment(network, experiment, &status), "%s", status.message);
    const struct optimizer_settings settings = optimizer_from_experiment(experiment);
    optimizer_create(&optimizer, &settings, network);
    struct network_request request = {.mode = LAYER_TRAIN, .n = 2, .last = LAYERS};
    struct program *program = network_write(network, &request).program;
    program->op_count = 0; /* the parameters' tensors are there, and only the update is of interest */
    optimizer_write(&optimizer, program);
    program_coalesce(program);
    void *base[SPACES] = {0};
    network_bases(network, base);
    optimizer_bases(&optimizer, base);
    struct prepared *update = prepared_create(program, backend, base);
    struct reference *references[LAYERS][PARAMETERS];
    for (int l = 0; l < LAYERS; l++)
        for (int p = 0; p < PARAMETERS; p++)
            references[l][p] = references_of(backend, &network->layers[l].parameter[p]);
    for (int step = 0; step < STEPS; step++) {
        struct step_state state = {.step = (uint64_t)step, .learning_rate = learning_rate(step)};
        for (int l = 0; l < LAYERS; l++)
            for (int p = 0; p < PARAMETERS; p++) write_gradients(network, l, p, experiment, references[l][p], step);
        prepared_run(update, &(struct run_input){.state = state, .n = 2});
    }
    for (int l = 0; l < LAYERS; l++)
        for (int p = 0; p < PARAMETERS; p++) {
            assert_equal(backend, &network->layers[l].parameter[p], references[l][p],
                         experiment->optimizer.name == OPTIMIZER_MUON ? 1e-12 : 1e-14);
            free(references[l][p]);
        }
    prepared_free(update);
    program_free(program);
    optimizer_destroy(&optimizer);
    network_destroy(network);
    backend_destroy(backend);
}

Test(optimizer, sgd)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_SGD);
    check(&experiment);
}

Test(optimizer, sgd_weight_decay)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_SGD);
    experiment.optimizer.weight_decay = 0.3;
    check(&experiment);
}

Test(optimizer, sgd_momentum)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_SGD);
    experiment.optimizer.momentum = 0.9;
    check(&experiment);
}

Test(optimizer, sgd_nesterov_weight_decay)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_SGD);
    experiment.optimizer.momentum = 0.8;
    experiment.optimizer.nesterov = true;
    experiment.optimizer.weight_decay = 0.2;
    check(&experiment);
}

Test(optimizer, adam)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_ADAM);
    check(&experiment);
}

Test(optimizer, adam_weight_decay)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_ADAM);
    experiment.optimizer.weight_decay = 0.3;
    check(&experiment);
}

Test(optimizer, adamw)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_ADAMW);
    experiment.optimizer.weight_decay = 0.3;
    check(&experiment);
}

Test(optimizer, lion)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_LION);
    check(&experiment);
}

Test(optimizer, lion_weight_decay)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_LION);
    experiment.optimizer.weight_decay = 0.3;
    check(&experiment);
}

Test(optimizer, muon)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_MUON);
    experiment.optimizer.momentum = 0.9;
    experiment.optimizer.nesterov = true;
    experiment.optimizer.adjust_rate = ADJUST_RATE_MATCH_RMS_ADAMW;
    check(&experiment);
}

Test(optimizer, muon_weight_decay_and_own_rate_of_the_rest)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_MUON);
    experiment.optimizer.weight_decay = 0.3;
    experiment.optimizer.learning_rate = 0.1;
    experiment.optimizer.adamw_learning_rate = 0.02;
    check(&experiment);
}

Test(optimizer, muon_normalizes_weights_and_leaves_the_rest_to_sgd)
{
    struct experiment experiment = with_optimizer(OPTIMIZER_MUON);
    experiment.optimizer.momentum = 0.6;
    experiment.optimizer.nesterov = true;
    experiment.optimizer.weight_decay = 0.3;
    experiment.optimizer.ns_steps = 3;
    experiment.optimizer.normalize_weights = true;
    experiment.optimizer.rest = MUON_REST_SGD;
    experiment.optimizer.learning_rate = 0.1;
    experiment.optimizer.sgd_learning_rate = 0.03;
    experiment.optimizer.sgd_momentum = 0.85;
    check(&experiment);
}

/* Each parameter has a decay of its own, so that no two updates can be one. */
Test(optimizer, weight_decays_of_groups)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct experiment experiment = with_optimizer((enum optimizer_kind)kind);
        experiment.optimizer.weight_decay = 0.3;
        strcpy(experiment.optimizer.decays, "layers.*.bias 0, head 0.5, layers.0.weight 2");
        check(&experiment);
    }
}

/* A weight whose gradient is not finite must not go on as if nothing had happened. */
static void keeps_nan(struct backend *backend, enum optimizer_kind kind)
{
    const struct shape one = {1, 1, 1, 1};
    struct op op = op_make(OP_UPDATE);
    struct tensor w = support_tensor(backend, TENSOR_FILTER, one, (double[]){1}), states[OPTIMIZER_STATES];
    struct tensor dw = support_tensor(backend, TENSOR_FILTER, one, (double[]){NAN});
    op.update = (struct update){
        .kind = kind, .params = {.momentum = 0.5, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8}, .rate = 1};
    int count = optimizer_state_count(kind, &op.update.params);
    for (int i = 0; i < count; i++) states[i] = tensor_alloc(backend, TENSOR_FILTER, one);
    backend_run_op(backend, op, (struct run_input){.state.learning_rate = 0.1},
                   OPERANDS([UPDATE_W] = &w, [UPDATE_DW] = &dw, [UPDATE_STATE_0] = count > 0 ? &states[0] : NULL,
                            [UPDATE_STATE_1] = count > 1 ? &states[1] : NULL));
    double *value = support_read(backend, &w);
    cr_expect(isnan(value[0]), "%s: %g", optimizer_name(kind), value[0]);
    free(value), tensor_free(backend, &w), tensor_free(backend, &dw);
    for (int i = 0; i < count; i++) tensor_free(backend, &states[i]);
}

Test(optimizer, a_gradient_that_is_not_a_number_shows_in_the_weight)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int i = 0; i < count; i++) {
        struct backend *backend = variant_create(&variants[i], 1);
        for (int kind = 0; backend && kind < KINDS; kind++) keeps_nan(backend, (enum optimizer_kind)kind);
        backend_destroy(backend);
    }
}
