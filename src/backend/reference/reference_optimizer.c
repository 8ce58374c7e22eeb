/* One step of an optimizer, the moving average of the weights and sums of gradients, element by element. The optimizers' formulas are
 * those of optimizer_row.h, with lr the learning rate of the step, t = step + 1 and s = step; Muon's are in
 * reference_muon.c. And
 *
 *   average <- average + (1 - d) (w - average),   d = min(decay, (1 + s) / (10 + s)) */
#include <math.h>

#include "backend/reference/reference.h"
#include "util/check.h"

/* The operands of an update, and the numbers of its step. */
struct step {
    const struct optimizer_params *params;
    double *w, *state[OPTIMIZER_STATES];
    const double *dw;
    double lr, t;
};

static void step_sgd(const struct step *step, int64_t i)
{
    const struct optimizer_params *params = step->params;
    double *w = step->w, *v = step->state[0], g = step->dw[i] + params->weight_decay * w[i];
    if (!v) {
        w[i] -= step->lr * g;
        return;
    }
    v[i] = params->momentum * v[i] + g;
    w[i] -= step->lr * (params->nesterov ? g + params->momentum * v[i] : v[i]);
}

/* The part that Adam and AdamW share. */
static void step_moments(const struct step *step, int64_t i, double g)
{
    double beta1 = step->params->beta1, beta2 = step->params->beta2, *m = step->state[0], *v = step->state[1];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    step->w[i] -= step->lr * (m[i] / (1 - pow(beta1, step->t))) /
                  (sqrt(v[i] / (1 - pow(beta2, step->t))) + step->params->epsilon);
}

static void step_adam(const struct step *step, int64_t i)
{
    step_moments(step, i, step->dw[i] + step->params->weight_decay * step->w[i]);
}

static void step_adamw(const struct step *step, int64_t i)
{
    step->w[i] -= step->lr * step->params->weight_decay * step->w[i];
    step_moments(step, i, step->dw[i]);
}

static void step_lion(const struct step *step, int64_t i)
{
    const struct optimizer_params *params = step->params;
    double *w = step->w, *m = step->state[0];
    double u = params->beta1 * m[i] + (1 - params->beta1) * step->dw[i];
    u = u > 0 ? 1 : u < 0 ? -1 : u; /* 0 and NaN stay */
    w[i] -= step->lr * (u + params->weight_decay * w[i]);
    m[i] = params->beta2 * m[i] + (1 - params->beta2) * step->dw[i];
}

void reference_update(struct backend *backend, const struct op_call *call)
{
    static void (*const steps[])(const struct step *step, int64_t i) = {
        [OPTIMIZER_SGD] = step_sgd,   [OPTIMIZER_ADAM] = step_adam, [OPTIMIZER_ADAMW] = step_adamw,
        [OPTIMIZER_LION] = step_lion, [OPTIMIZER_MUON] = NULL, /* a step of whole filters */
    };
    _Static_assert(sizeof steps / sizeof *steps == OPTIMIZER_CHOICES(CHOICE_COUNT), "a step for each optimizer");
    const struct update *update = &call->op->update;
    struct step step = {.params = &update->params,
                        .w = call->tensor[UPDATE_W].data,
                        .state = {call->tensor[UPDATE_STATE_0].data, call->tensor[UPDATE_STATE_1].data},
                        .dw = call->tensor[UPDATE_DW].data,
                        .lr = call->input->state.learning_rate * update->rate,
                        .t = (double)call->input->state.step + 1};
    (void)backend;
    CHECK(!call->tensor[UPDATE_ROUNDED].data && !call->tensor[UPDATE_DW_ROUNDED].data); /* no rewrite adds them */
    if (optimizer_row(update->kind)->matrix) {
        reference_muon(call);
        return;
    }
    for (int i = 0; i < optimizer_state_count(update->kind, &update->params); i++) CHECK(step.state[i]);
    for (int64_t i = 0; i < shape_count(call->tensor[UPDATE_W].shape); i++) steps[update->kind](&step, i);
}

void reference_average(struct backend *backend, const struct op_call *call)
{
    double *average = call->tensor[AVERAGE_AVERAGE].data, s = (double)call->input->state.step;
    const double *w = call->tensor[AVERAGE_W].data;
    double d = fmin(call->op->average, (1 + s) / (10 + s));
    (void)backend;
    for (int64_t i = 0; i < shape_count(call->tensor[AVERAGE_W].shape); i++)
        average[i] += (1 - d) * (w[i] - average[i]);
}

void reference_accumulate(struct backend *backend, const struct op_call *call)
{
    const struct tensor *to = &call->tensor[ACCUMULATE_TO], *from = &call->tensor[ACCUMULATE_FROM];
    if (to->kind == TENSOR_METRICS) {
        CHECK(call->op->accumulate == 1);
        metrics_add(to->data, from->data);
        return;
    }
    (void)backend;
    double *sums = to->data;
    const double *terms = from->data;
    for (int64_t i = 0; i < shape_count(to->shape); i++) sums[i] = (sums[i] + terms[i]) * call->op->accumulate;
}
