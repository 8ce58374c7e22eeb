/* Evaluates the sets of a trainer, batch by batch. */
#include "data/read_ahead.h"
#include "train/train.h"

/* Evaluates the batch whose first sample is sample `first` of the set. */
static void evaluate_batch(struct trainer *trainer, const struct evaluation_set *set, struct evaluation_batch batch,
                           int64_t first, bool refresh)
{
    struct run_input input = {.state = {.step = (uint64_t)trainer->step, .batch_first = first},
                              .n = batch.n,
                              .skipped = batch.skipped,
                              .data = set->data,
                              .refresh = refresh};
    prepared_run(trainer->evaluate, &input);
}

/* Shows that `done` samples of the set are evaluated; returns true where the evaluation is to be abandoned. */
static bool show_and_ask(const struct evaluation_watch *watch, const struct evaluation_set *set, int64_t done)
{
    if (!watch) return false;
    if (watch->progress && progress_due(watch->progress))
        progress_evaluating(watch->progress, set->name, done, set->count);
    return watch->stop && watch->stop(watch->argument);
}

bool trainer_evaluate_unless(struct trainer *trainer, const struct evaluation_set *set,
                             const struct evaluation_watch *watch, struct evaluation *evaluation)
{
    struct backend *backend = trainer->backend;
    /* The set is visited in an order of its own, so that the figures do not depend on when it is evaluated, not even in
     * their last digit. */
    bool shuffled = set->data == trainer->train_set.data && trainer->epoch >= 0, stopped = false;
    if (shuffled || set->order) backend->table->dataset_set_order(backend, set->data, set->order);
    network_set_metrics(trainer->network, (struct metrics){0});
    read_ahead_rest(trainer->ahead, true);
    int64_t first = 0;
    for (; first + set->full.n <= set->count && !stopped; first += set->full.n) {
        evaluate_batch(trainer, set, set->full, first, first == 0);
        stopped = show_and_ask(watch, set, first);
    }
    if (set->tail.n > 0 && !stopped) evaluate_batch(trainer, set, set->tail, first - set->tail.skipped, first == 0);
    read_ahead_rest(trainer->ahead, false);
    struct metrics sums = network_metrics(trainer->network);
    network_set_metrics(trainer->network, (struct metrics){0});
    if (shuffled || set->order) backend->table->dataset_set_order(backend, set->data, shuffled ? trainer->order : NULL);
    *evaluation = evaluation_mean(sums);
    return !stopped;
}

/* Leaves out an empty set, and every set but `only`. */
static bool evaluate_set(struct trainer *trainer, const struct evaluation_set *set, const struct evaluation_set *only,
                         const struct evaluation_watch *watch, struct evaluation *evaluation)
{
    *evaluation = (struct evaluation)EVALUATION_NONE;
    return set->count == 0 || (only && set != only) || trainer_evaluate_unless(trainer, set, watch, evaluation);
}

bool trainer_evaluate_row(struct trainer *trainer, const struct evaluation_set *only,
                          const struct evaluation_watch *watch, struct metrics_row *row)
{
    int64_t step = trainer->step;
    struct metrics window = network_metrics(trainer->network);
    *row = (struct metrics_row){.step = step, .epoch = step / trainer->batches_per_epoch};
    row->learning_rate = schedule_learning_rate(&trainer->schedule, step > 0 ? step - 1 : 0);
    bool done = evaluate_set(trainer, &trainer->train_part, only, watch, &row->train) &&
                evaluate_set(trainer, &trainer->validation_set, only, watch, &row->validation) &&
                evaluate_set(trainer, &trainer->test_set, only, watch, &row->test);
    if (trainer->experiment->train.eval_train == EVAL_TRAIN_OFF) row->train = evaluation_mean(window);
    if (done)
        network_set_metrics(trainer->network, (struct metrics){0}); /* nothing may have been evaluated */
    else
        network_set_metrics(trainer->network, window);
    return done;
}

struct metrics_columns trainer_columns(const struct trainer *trainer)
{
    return (struct metrics_columns){.running = trainer->experiment->train.eval_train == EVAL_TRAIN_OFF,
                                    .validation = trainer->validation_set.count > 0,
                                    .test = trainer->test_set.count > 0};
}

enum best_by trainer_best_by(enum checkpoint_best wish, struct metrics_columns columns)
{
    switch (wish) {
    case CHECKPOINT_BEST_BY_VALIDATION:
        return BEST_BY_VALIDATION;
    case CHECKPOINT_BEST_BY_TEST:
        return BEST_BY_TEST;
    case CHECKPOINT_BEST_AUTO:
        break;
    }
    return columns.validation ? BEST_BY_VALIDATION : columns.test ? BEST_BY_TEST : BEST_BY_NONE;
}

struct evaluation trainer_evaluate(struct trainer *trainer, const struct evaluation_set *set)
{
    struct evaluation evaluation;
    trainer_evaluate_unless(trainer, set, NULL, &evaluation);
    return evaluation;
}
