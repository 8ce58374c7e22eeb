/* Evaluates the sets of a trainer, batch by batch. */
#include <string.h>

#include "data/read_ahead.h"
#include "train/train.h"
#include "util/check.h"

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

/* A batch of a set's cover: its size, and its first sample. */
static struct evaluation_batch batch_of(const struct evaluation_set *set, int64_t batch, int64_t *first)
{
    bool tail = (batch + 1) * set->full.n > set->count;
    *first = batch * set->full.n - (tail ? set->tail.skipped : 0);
    return tail ? set->tail : set->full;
}

int64_t evaluation_set_batches(const struct evaluation_set *set)
{
    if (set->count == 0) return 0;
    return set->count / set->full.n + (set->tail.n > 0);
}

/* Adds batches first .. last-1 of the set to the network's metrics, and leaves those of each in `apart` where it is not NULL.
 * Returns true where it was abandoned. */
static bool evaluate_batches(struct trainer *trainer, const struct evaluation_set *set, int64_t first, int64_t last,
                             struct metrics *apart, const struct evaluation_watch *watch)
{
    bool stopped = false;
    for (int64_t b = first; b < last && !stopped; b++) {
        int64_t sample;
        struct evaluation_batch batch = batch_of(set, b, &sample);
        if (apart) network_set_metrics(trainer->network, (struct metrics){0});
        evaluate_batch(trainer, set, batch, sample, b == first);
        if (apart) apart[b] = network_metrics(trainer->network);
        if (b + 1 < last || set->tail.n == 0) stopped = show_and_ask(watch, set, sample);
    }
    return stopped;
}

/* With slices, each batch is summed for itself, and then batch after batch, so that ranks can share the batches. On the
 * ranks behind the first the sums are none. */
static bool evaluate_apart(struct trainer *trainer, const struct evaluation_set *set,
                           const struct evaluation_watch *watch, struct metrics *sums)
{
    struct ranks *ranks = &trainer->ranks;
    int64_t count = evaluation_set_batches(set);
    struct metrics *apart = trainer->batch_sums;
    memset(apart, 0, (size_t)count * sizeof *apart);
    int64_t first = ranks->comm ? ranks_first(ranks, count, ranks->comm->rank) : 0;
    int64_t last = ranks->comm ? ranks_first(ranks, count, ranks->comm->rank + 1) : count;
    bool stopped = evaluate_batches(trainer, set, first, last, apart, watch);
    if (ranks->comm) ranks_collect(ranks, apart, count);
    *sums = (struct metrics){0};
    for (int64_t b = 0; b < count; b++) metrics_add(sums, &apart[b]);
    return stopped;
}

static bool evaluate(struct trainer *trainer, const struct evaluation_set *set, const struct evaluation_watch *watch,
                     struct metrics *sums)
{
    struct backend *backend = trainer->backend;
    /* The set is visited in an order of its own, so that the figures do not depend on when it is evaluated, not even in
     * their last digit. */
    bool shuffled = set->data == trainer->train_set.data && trainer->epoch >= 0, stopped;
    if (shuffled || set->order) backend->table->dataset_set_order(backend, set->data, set->order);
    network_set_metrics(trainer->network, (struct metrics){0});
    read_ahead_rest(trainer->ahead, true);
    if (trainer->update) {
        stopped = evaluate_apart(trainer, set, watch, sums);
    } else {
        stopped = evaluate_batches(trainer, set, 0, evaluation_set_batches(set), NULL, watch);
        *sums = network_metrics(trainer->network);
    }
    read_ahead_rest(trainer->ahead, false);
    network_set_metrics(trainer->network, (struct metrics){0});
    if (shuffled || set->order) backend->table->dataset_set_order(backend, set->data, shuffled ? trainer->order : NULL);
    return stopped;
}

/* The sets by number, for commands to other ranks. */
static const struct evaluation_set *set_of(const struct trainer *trainer, int number)
{
    const struct evaluation_set *sets[] = {&trainer->train_part, &trainer->validation_set, &trainer->test_set,
                                           &trainer->train_set};
    CHECK(number >= 0 && number < (int)(sizeof sets / sizeof *sets));
    return sets[number];
}

/* Lets the other ranks evaluate their batches of the set. */
static bool lead_evaluation(struct trainer *trainer, const struct evaluation_set *set)
{
    struct rank_command command = {.order = RANK_ORDER_EVALUATE, .step = trainer->step};
    if (!trainer->ranks.comm) return true;
    while (set_of(trainer, command.set) != set) command.set++;
    return ranks_command(&trainer->ranks, &command);
}

void trainer_evaluate_share(struct trainer *trainer, int set)
{
    struct metrics window = network_metrics(trainer->network), sums;
    evaluate(trainer, set_of(trainer, set), NULL, &sums);
    network_set_metrics(trainer->network, window);
}

bool trainer_evaluate_unless(struct trainer *trainer, const struct evaluation_set *set,
                             const struct evaluation_watch *watch, struct evaluation *evaluation)
{
    struct metrics sums;
    *evaluation = (struct evaluation)EVALUATION_NONE;
    if (!lead_evaluation(trainer, set)) return false;
    bool stopped = evaluate(trainer, set, watch, &sums);
    if (!trainer->ranks.failed) *evaluation = evaluation_mean(sums);
    return !stopped && !trainer->ranks.failed;
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
