/* Makes the parameters of the optimizer and of the schedule that an experiment describes. */
#include "build/build.h"

struct optimizer_params optimizer_from_experiment(const struct experiment *experiment)
{
    double rate = experiment->optimizer.learning_rate, rest = experiment->optimizer.adamw_learning_rate;
    return (struct optimizer_params){
        .weight_decay = experiment->optimizer.weight_decay,
        .momentum = experiment->optimizer.momentum,
        .nesterov = experiment->optimizer.nesterov,
        .beta1 = experiment->optimizer.beta1,
        .beta2 = experiment->optimizer.beta2,
        .epsilon = experiment->optimizer.epsilon,
        .adjust_rate = experiment->optimizer.adjust_rate,
        .rest_rate = rest > 0 ? rest / rate : 1,
    };
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
