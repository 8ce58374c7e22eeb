/* Makes the parameters of the optimizer and of the schedule that an experiment describes. */
#include "build/build.h"

static struct optimizer_params params_of(const struct experiment *experiment)
{
    return (struct optimizer_params){
        .weight_decay = experiment->optimizer.weight_decay,
        .momentum = experiment->optimizer.momentum,
        .nesterov = experiment->optimizer.nesterov,
        .beta1 = experiment->optimizer.beta1,
        .beta2 = experiment->optimizer.beta2,
        .epsilon = experiment->optimizer.epsilon,
        .adjust_rate = experiment->optimizer.adjust_rate,
        .ns_steps = experiment->optimizer.ns_steps,
        .normalize_weights = experiment->optimizer.normalize_weights,
    };
}

static struct optimizer_rest rest_of(const struct experiment *experiment)
{
    bool sgd = experiment->optimizer.rest == MUON_REST_SGD;
    double rate = sgd ? experiment->optimizer.sgd_learning_rate : experiment->optimizer.adamw_learning_rate;
    struct optimizer_rest rest = {.kind = sgd ? OPTIMIZER_SGD : OPTIMIZER_ADAMW,
                                  .params = params_of(experiment),
                                  .rate = rate > 0 ? rate / experiment->optimizer.learning_rate : 1};
    if (sgd) rest.params.momentum = experiment->optimizer.sgd_momentum;
    return rest;
}

struct optimizer_settings optimizer_from_experiment(const struct experiment *experiment)
{
    return (struct optimizer_settings){experiment->optimizer.name, params_of(experiment), rest_of(experiment)};
}

struct schedule_params schedule_from_experiment(const struct experiment *experiment)
{
    return (struct schedule_params){
        .kind = experiment->schedule.name,
        .learning_rate = experiment->optimizer.learning_rate,
        .warmup_steps = experiment->schedule.warmup_steps,
        .step_size = experiment->schedule.step_size,
        .gamma = experiment->schedule.gamma,
        .minimum = experiment->schedule.minimum,
        .max_steps = experiment->train.max_steps,
    };
}
