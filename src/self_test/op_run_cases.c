/* The operations that each kind of case is made of (op_case.h has the inputs, op_run.h the outputs). */
#include <string.h>

#include "data/mix.h"
#include "self_test/op_run_private.h"
#include "util/check.h"

static const struct step_state still = {0};

/* An op with the parameters that its forward op has: those of all kinds share their memory. */
static struct op backward_of(struct op forward, enum op_kind kind)
{
    forward.kind = kind;
    return forward;
}

static void write_conv2d(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *weight = op_run_in(run, "weight"), *bias = op_run_in(run, "bias");
    const struct tensor *dy = op_run_in(run, "dy"), *y = op_run_like(run, "y", dy);
    struct op op = op_make(OP_CONV2D);
    op.conv2d = (struct conv2d_params){c->conv2d.window, c->conv2d.groups};
    op_run_add(run, op, still,
               OPERANDS([CONV2D_X] = x, [CONV2D_WEIGHT] = weight, [CONV2D_BIAS] = bias, [CONV2D_Y] = y));
    if (op_run_forward_only(run)) return;
    op_run_add(run, backward_of(op, OP_CONV2D_BACKWARD), still,
               OPERANDS([CONV2D_BACKWARD_X] = x, [CONV2D_BACKWARD_WEIGHT] = weight, [CONV2D_BACKWARD_DY] = dy,
                        [CONV2D_BACKWARD_DX] = op_run_like(run, "dx", x),
                        [CONV2D_BACKWARD_DWEIGHT] = op_run_like(run, "dweight", weight),
                        [CONV2D_BACKWARD_DBIAS] = op_run_like(run, "dbias", bias)));
}

static void write_norm(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *gamma = op_run_in(run, "gamma"), *beta = op_run_in(run, "beta");
    const struct tensor *dy = op_run_in(run, "dy"), *addend = op_run_in(run, "addend");
    const struct tensor *old_mean = op_run_in(run, "running_mean"), *old_var = op_run_in(run, "running_var");
    const struct tensor *running_mean = op_run_in_out(run, "running_mean");
    const struct tensor *running_var = op_run_in_out(run, "running_var"), *y = op_run_like(run, "y", dy);
    const struct tensor *mean = op_run_like(run, "mean", gamma), *rstd = op_run_like(run, "rstd", gamma);
    struct op op = op_make(OP_NORM);
    op.norm = c->norm.params;
    const struct tensor *saved = op_run_saved(run, &op, y->shape);
    op_run_add(run, op, still,
               OPERANDS([NORM_X] = x, [NORM_GAMMA] = gamma, [NORM_BETA] = beta, [NORM_ADDEND] = addend,
                        [NORM_RUNNING_MEAN] = running_mean, [NORM_RUNNING_VAR] = running_var, [NORM_Y] = y,
                        [NORM_MEAN] = mean, [NORM_RSTD] = rstd, [NORM_SAVED] = saved));
    if (op_run_forward_only(run)) return;
    op_run_add(run, backward_of(op, OP_NORM_BACKWARD), still,
               OPERANDS([NORM_BACKWARD_X] = x, [NORM_BACKWARD_GAMMA] = gamma, [NORM_BACKWARD_BETA] = beta,
                        [NORM_BACKWARD_MEAN] = mean, [NORM_BACKWARD_RSTD] = rstd, [NORM_BACKWARD_SAVED] = saved,
                        [NORM_BACKWARD_ADDEND] = addend, [NORM_BACKWARD_DY] = dy,
                        [NORM_BACKWARD_DX] = op_run_like(run, "dx", x),
                        [NORM_BACKWARD_DADDEND] = op_run_like(run, "daddend", addend),
                        [NORM_BACKWARD_DGAMMA] = op_run_like(run, "dgamma", gamma),
                        [NORM_BACKWARD_DBETA] = op_run_like(run, "dbeta", beta)));
    op_run_add(run, backward_of(op, OP_NORM_EVALUATE), still,
               OPERANDS([NORM_EVALUATE_X] = x, [NORM_EVALUATE_GAMMA] = gamma, [NORM_EVALUATE_BETA] = beta,
                        [NORM_EVALUATE_MEAN] = old_mean, [NORM_EVALUATE_VAR] = old_var, [NORM_EVALUATE_ADDEND] = addend,
                        [NORM_EVALUATE_Y] = op_run_like(run, "y_evaluate", y)));
}

static void write_fold(struct op_run *run, const struct op_case *c)
{
    const struct tensor *weight = op_run_in(run, "weight"), *bias = op_run_in(run, "bias");
    const struct tensor *beta = op_run_in(run, "beta");
    struct op op = op_make(OP_FOLD);
    op.fold = c->fold.params;
    op_run_add(
        run, op, still,
        OPERANDS([FOLD_WEIGHT] = weight, [FOLD_BIAS] = bias, [FOLD_GAMMA] = op_run_in(run, "gamma"), [FOLD_BETA] = beta,
                 [FOLD_MEAN] = op_run_in(run, "running_mean"), [FOLD_VAR] = op_run_in(run, "running_var"),
                 [FOLD_TO_WEIGHT] = op_run_like(run, "to_weight", weight),
                 [FOLD_TO_BIAS] = op_run_like(run, "to_bias", beta)));
}

static void write_pool(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *dy = op_run_in(run, "dy"), *y = op_run_like(run, "y", dy);
    struct op op = op_make(OP_POOL);
    op.pool = c->pool;
    const struct tensor *saved = op_run_saved(run, &op, y->shape);
    op_run_add(run, op, still, OPERANDS([POOL_X] = x, [POOL_Y] = y, [POOL_SAVED] = saved));
    if (op_run_forward_only(run)) return;
    op_run_add(run, backward_of(op, OP_POOL_BACKWARD), still,
               OPERANDS([POOL_BACKWARD_DY] = dy, [POOL_BACKWARD_SAVED] = saved,
                        [POOL_BACKWARD_DX] = op_run_like(run, "dx", x)));
}

/* The kinds with x and y in the first two slots and a backward pass from dy to dx. */
static void write_pair(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *dy = op_run_in(run, "dy"), *y = op_run_like(run, "y", dy);
    struct op op = op_make(c->kind);
    if (c->kind == OP_ACTIVATION) op.activation = c->activation;
    op_run_add(run, op, still, OPERANDS(x, y));
    if (op_run_forward_only(run)) return;
    const struct tensor *dx = op_run_like(run, "dx", x);
    switch (c->kind) {
    case OP_ACTIVATION:
        op_run_add(run, backward_of(op, OP_ACTIVATION_BACKWARD), still,
                   OPERANDS([ACTIVATION_BACKWARD_X] = x, [ACTIVATION_BACKWARD_DY] = dy, [ACTIVATION_BACKWARD_DX] = dx));
        return;
    case OP_SOFTMAX:
        op_run_add(run, backward_of(op, OP_SOFTMAX_BACKWARD), still,
                   OPERANDS([SOFTMAX_BACKWARD_Y] = y, [SOFTMAX_BACKWARD_DY] = dy, [SOFTMAX_BACKWARD_DX] = dx));
        return;
    case OP_FLATTEN:
        op_run_add(run, backward_of(op, OP_FLATTEN_BACKWARD), still,
                   OPERANDS([FLATTEN_BACKWARD_DY] = dy, [FLATTEN_BACKWARD_DX] = dx));
        return;
    default:
        CHECK(c->kind == OP_GLOBAL_POOL);
        op_run_add(run, backward_of(op, OP_GLOBAL_POOL_BACKWARD), still,
                   OPERANDS([GLOBAL_POOL_BACKWARD_DY] = dy, [GLOBAL_POOL_BACKWARD_DX] = dx));
    }
}

static void write_gate(struct op_run *run, const struct op_case *c)
{
    (void)c;
    const struct tensor *x = op_run_in(run, "x"), *z = op_run_in(run, "z"), *dy = op_run_in(run, "dy");
    op_run_add(run, op_make(OP_GATE), still,
               OPERANDS([GATE_X] = x, [GATE_Z] = z, [GATE_Y] = op_run_like(run, "y", dy)));
    if (op_run_forward_only(run)) return;
    op_run_add(
        run, op_make(OP_GATE_BACKWARD), still,
        OPERANDS([GATE_BACKWARD_X] = x, [GATE_BACKWARD_Z] = z, [GATE_BACKWARD_DY] = dy,
                 [GATE_BACKWARD_DX] = op_run_like(run, "dx", x), [GATE_BACKWARD_DZ] = op_run_like(run, "dz", z)));
}

static void write_dropout(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x");
    struct op op = op_make(OP_DROPOUT);
    op.dropout = c->dropout.params;
    op_run_add(run, op, (struct step_state){.step = c->dropout.step},
               OPERANDS([DROPOUT_FROM] = x, [DROPOUT_TO] = op_run_like(run, "y", x)));
}

static void write_elementwise(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *b = op_run_in(run, "b");
    struct op op = op_make(OP_ELEMENTWISE);
    op.elementwise = c->elementwise;
    op_run_add(run, op, still,
               OPERANDS([ELEMENTWISE_A] = x, [ELEMENTWISE_B] = b, [ELEMENTWISE_Y] = op_run_like(run, "y", x)));
}

static void write_add(struct op_run *run, const struct op_case *c)
{
    (void)c;
    const struct tensor *x = op_run_in(run, "x");
    op_run_add(run, op_make(OP_ADD), still,
               OPERANDS([ADD_A] = x, [ADD_B] = op_run_in(run, "b"), [ADD_C] = op_run_in(run, "c"),
                        [ADD_D] = op_run_in(run, "d"), [ADD_Y] = op_run_like(run, "y", x)));
}

static void write_channel(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *v = op_run_in(run, "v");
    struct op op = op_make(OP_CHANNEL_SUM);
    op.channel = c->channel;
    op_run_add(run, op, still, OPERANDS([CHANNEL_SUM_X] = x, [CHANNEL_SUM_Y] = op_run_like(run, "sum", v)));
    op_run_add(run, backward_of(op, OP_CHANNEL_BROADCAST), still,
               OPERANDS([CHANNEL_BROADCAST_Y] = v, [CHANNEL_BROADCAST_X] = op_run_like(run, "spread", x)));
}

static void write_loss(struct op_run *run, const struct op_case *c)
{
    const struct tensor *x = op_run_in(run, "x"), *labels = op_run_labels(run, "labels");
    const struct tensor *weights = op_run_in(run, "weights"), *dx = op_run_like(run, "dx", x);
    const struct tensor *metrics = op_run_zeros(run, "metrics", TENSOR_METRICS, (struct shape){1, 3, 1, 1});
    struct op op = op_make(c->kind);
    if (c->kind == OP_CROSS_ENTROPY) {
        op_run_add(run, op, still,
                   OPERANDS([CROSS_ENTROPY_PROBABILITIES] = x, [CROSS_ENTROPY_LABELS] = labels,
                            [CROSS_ENTROPY_WEIGHTS] = weights, [CROSS_ENTROPY_METRICS] = metrics,
                            [CROSS_ENTROPY_DPROBABILITIES] = dx));
        return;
    }
    struct step_state state = {.mix = {.kind = MIX_BLEND, .second = c->loss.mix}};
    op.loss.smoothing = c->loss.smoothing;
    op.loss.mixed = c->loss.mix > 0;
    op_run_add(run, op, state,
               OPERANDS([SOFTMAX_CROSS_ENTROPY_LOGITS] = x, [SOFTMAX_CROSS_ENTROPY_LABELS] = labels,
                        [SOFTMAX_CROSS_ENTROPY_WEIGHTS] = weights, [SOFTMAX_CROSS_ENTROPY_METRICS] = metrics,
                        [SOFTMAX_CROSS_ENTROPY_DLOGITS] = dx));
}

static void write_gather(struct op_run *run, const struct op_case *c)
{
    struct shape labels = {c->x.n, 1, 1, 1};
    struct op op = op_make(OP_GATHER);
    struct step_state state = {.step = 5, .batch_first = 2};
    op.gather = c->gather;
    if (c->gather.augmented) state.mix = mix_draw(&c->gather.augment, state.step, c->x.h, c->x.w);
    op_run_dataset(run, c->x);
    op_run_add(run, op, state,
               OPERANDS([GATHER_X] = op_run_out(run, "x", TENSOR_ACTIVATION, c->x), [GATHER_LABELS] = op_run_scratch(
                                                                                        run, TENSOR_LABELS, labels)));
}

/* --- arenas --- */

static void write_rounded_update(struct op_run *run, const struct op_case *c);

static void write_update(struct op_run *run, const struct op_case *c)
{
    if (c->rounded) {
        write_rounded_update(run, c);
        return;
    }
    const struct tensor *w = op_run_in_out(run, "w"), *states[OPTIMIZER_STATES] = {NULL};
    struct op op = op_make(OP_UPDATE);
    op.update = c->update;
    for (int i = 0; i < optimizer_state_count(c->update.kind, &c->update.params); i++)
        states[i] = op_run_zeros(run, optimizer_row(c->update.kind)->states[i], w->kind, w->shape);
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        struct step_state now = {.step = (uint64_t)step, .learning_rate = op_case_learning_rate(step)};
        op_run_add(run, op, now,
                   OPERANDS([UPDATE_W] = w, [UPDATE_DW] = op_run_in(run, name), [UPDATE_STATE_0] = states[0],
                            [UPDATE_STATE_1] = states[1]));
    }
}

/* The same with a copy of w. Where activations are of another type, the update writes it, and its gradients are of that
 * type; its dw, which does not count, is 0. Elsewhere an operation of its own copies w in the end. */
static void write_rounded_update(struct op_run *run, const struct op_case *c)
{
    const struct tensor *w = op_run_in_out(run, "w"), *states[OPTIMIZER_STATES] = {NULL};
    const struct tensor *rounded = op_run_out(run, "rounded", TENSOR_ROUNDED, w->shape), *dw[OP_OPTIMIZER_STEPS];
    bool rounds = op_run_rounds(run);
    const struct tensor *zeros = rounds ? op_run_scratch(run, w->kind, w->shape) : NULL;
    struct op op = op_make(OP_UPDATE), copy = op_make(OP_ELEMENTWISE);
    struct step_state now = {0};
    op.update = c->update;
    copy.elementwise.op = ELEMENTWISE_ROUND;
    for (int i = 0; i < optimizer_state_count(c->update.kind, &c->update.params); i++)
        states[i] = op_run_zeros(run, optimizer_row(c->update.kind)->states[i], w->kind, w->shape);
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        dw[step] = rounds ? op_run_in_rounded(run, name) : op_run_in(run, name);
    }
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        now = (struct step_state){.step = (uint64_t)step, .learning_rate = op_case_learning_rate(step)};
        op_run_add(run, op, now,
                   OPERANDS([UPDATE_W] = w, [UPDATE_DW] = rounds ? zeros : dw[step], [UPDATE_STATE_0] = states[0],
                            [UPDATE_STATE_1] = states[1], [UPDATE_ROUNDED] = rounds ? rounded : NULL,
                            [UPDATE_DW_ROUNDED] = rounds ? dw[step] : NULL));
    }
    if (rounds)
        op_run_round_gradient(run, w);
    else
        op_run_add(run, copy, now, OPERANDS([ELEMENTWISE_A] = w, [ELEMENTWISE_Y] = rounded));
}

static void write_average(struct op_run *run, const struct op_case *c)
{
    const struct tensor *average = op_run_in_out(run, "w");
    struct op op = op_make(OP_AVERAGE);
    op.average = c->decay;
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        op_run_add(run, op, (struct step_state){.step = (uint64_t)step},
                   OPERANDS([AVERAGE_AVERAGE] = average, [AVERAGE_W] = op_run_in(run, name)));
    }
}

static void write_accumulate(struct op_run *run, const struct op_case *c)
{
    const struct tensor *to = op_run_in_out(run, "w");
    struct op op = op_make(OP_ACCUMULATE);
    op.accumulate = c->factor;
    for (int step = 0; step < OP_OPTIMIZER_STEPS; step++) {
        char name[4] = {'d', 'w', (char)('0' + step), '\0'};
        op_run_add(run, op, still, OPERANDS([ACCUMULATE_TO] = to, [ACCUMULATE_FROM] = op_run_in(run, name)));
    }
}

static void write_clip(struct op_run *run, const struct op_case *c)
{
    struct op op = op_make(OP_CLIP);
    op.clip = c->clip;
    op_run_add(run, op, still, OPERANDS([CLIP_X] = op_run_in_out(run, "w")));
}

static void write_magnitude(struct op_run *run, const struct op_case *c)
{
    (void)c;
    const struct tensor *y = op_run_zeros(run, "y", TENSOR_SCALAR, (struct shape){1, 1, 1, 1});
    op_run_add(run, op_make(OP_MAGNITUDE), still, OPERANDS([MAGNITUDE_X] = op_run_in(run, "w"), [MAGNITUDE_Y] = y));
}

bool op_case_offered(const struct op_case *c, const struct backend *backend)
{
    struct op op = op_make(c->kind);
    if (c->kind == OP_UPDATE && c->rounded) { /* who has no such type has no such update */
        op = op_make(OP_ELEMENTWISE);
        op.elementwise.op = ELEMENTWISE_ROUND;
    }
    if (c->kind == OP_NORM) {
        op.norm = c->norm.params;
        if (c->norm.addend) op.tensor[NORM_ADDEND] = 0;
    }
    return backend_supports(backend, &op);
}

bool op_case_comparable(const struct op_case *c, const struct backend *backend)
{
    bool rounded = backend->activation_size < sizeof(float);
    return !(rounded && c->kind == OP_NORM && c->norm.params.pooled && c->norm.params.pool.kind == POOL_MAX);
}

static void (*const writers[OP_KIND_COUNT])(struct op_run *run, const struct op_case *c) = {
    [OP_GATHER] = write_gather,
    [OP_CONV2D] = write_conv2d,
    [OP_NORM] = write_norm,
    [OP_FOLD] = write_fold,
    [OP_POOL] = write_pool,
    [OP_GLOBAL_POOL] = write_pair,
    [OP_GATE] = write_gate,
    [OP_ACTIVATION] = write_pair,
    [OP_FLATTEN] = write_pair,
    [OP_SOFTMAX] = write_pair,
    [OP_DROPOUT] = write_dropout,
    [OP_CROSS_ENTROPY] = write_loss,
    [OP_SOFTMAX_CROSS_ENTROPY] = write_loss,
    [OP_ADD] = write_add,
    [OP_ELEMENTWISE] = write_elementwise,
    [OP_CHANNEL_SUM] = write_channel,
    [OP_CLIP] = write_clip,
    [OP_MAGNITUDE] = write_magnitude,
    [OP_UPDATE] = write_update,
    [OP_AVERAGE] = write_average,
    [OP_ACCUMULATE] = write_accumulate,
};

void op_run_write(struct op_run *run, const struct op_case *c)
{
    CHECK(writers[c->kind]);
    writers[c->kind](run, c);
}
