/* A step in slices (slices.h), which several ranks may share (ranks.h). */
#include <stdlib.h>

#include "train/class_weights.h"
#include "train/trainer_private.h"
#include "util/memory.h"

/* W of the whole batch, over the number of slices. */
static double weight_sum(const struct trainer *trainer, const struct run_input *input)
{
    int64_t slices = trainer->slices.count;
    if (!trainer->class_weights) return 0;
    double second = trainer->network->labels_mixed ? input->state.mix.second / 65536.0 : 0;
    return class_weights_sum(trainer->class_weights, trainer->dataset, trainer->order + input->state.batch_first,
                             input->n, input->n / slices, second) /
           (double)slices;
}

static void tell(void (*what)(void *argument), const struct step_watch *watch)
{
    if (what) what(watch->argument);
}

static void run_end(struct prepared *program, const struct run_input *input, const struct step_watch *watch)
{
    if (watch)
        prepared_watch(program, input, watch->op_done, watch->argument);
    else
        prepared_run(program, input);
}

/* --- gradients --- */

static void send_gradients(void *argument, int bucket)
{
    struct trainer *trainer = argument;
    ranks_send_gradients(&trainer->ranks, &trainer->slices.sums[0], bucket);
}

static void move(void *argument)
{
    struct trainer *trainer = argument;
    ranks_move(&trainer->ranks);
}

void trainer_listen(struct trainer *trainer)
{
    const struct optimizer_cut *cut = &trainer->ranks.cut;
    if (!trainer->ranks.comm || cut->buckets == 1) return;
    int64_t *at = memory_alloc((size_t)cut->buckets + 1, sizeof *at);
    for (int b = 0; b <= cut->buckets; b++) at[b] = cut->at[b * cut->ranks];
    slices_listen(&trainer->slices, &(struct slice_listener){cut->buckets, at, send_gradients, move, trainer});
    free(at);
}

/* Sums over the ranks, where there are any, and takes over what is no gradient. */
static void sum_slices(struct trainer *trainer, const struct step_watch *watch)
{
    struct ranks *ranks = &trainer->ranks;
    const struct slice_sums *sums = &trainer->slices.sums[0];
    if (ranks->comm) {
        if (ranks->cut.buckets == 1) ranks_send_gradients(ranks, sums, 0);
        ranks_send_others(ranks, sums);
        ranks_receive_sums(ranks);
        if (watch) tell(watch->exchanged, watch);
        ranks_sum(ranks, sums);
    }
    if (ranks->failed) return;
    slices_finish(&trainer->slices);
    if (watch) tell(watch->summed, watch);
    if (!ranks->comm || !ranks->whole_gradient) return;
    for (int b = 0; b < ranks->cut.buckets; b++) ranks_send_arena(ranks, sums->gradients, b, "summed gradients");
    ranks_receive_arena(ranks, sums->gradients);
    if (watch) tell(watch->exchanged, watch);
}

/* --- weights --- */

/* The update program, whose buckets of weights are sent as soon as their last op is done. */
struct updating {
    struct trainer *trainer;
    const struct step_watch *watch;
    int sent; /* buckets */
};

/* The last op of the update program that touches this rank's piece of a bucket; -1: none does. */
static int last_op(const struct trainer *trainer, int bucket)
{
    const struct ranks *ranks = &trainer->ranks;
    const int64_t *piece = ranks->cut.at + bucket * ranks->cut.ranks + ranks->comm->rank;
    return program_last_touch(trainer->update, SPACE_PARAMETERS, piece[0], piece[1]);
}

static void send_weights(struct updating *updating, int op)
{
    struct trainer *trainer = updating->trainer;
    struct ranks *ranks = &trainer->ranks;
    while (updating->sent < ranks->cut.buckets && last_op(trainer, updating->sent) <= op)
        ranks_send_arena(ranks, trainer->network->parameters, updating->sent++, "updated weights");
}

static void op_updated(void *argument, const struct prepared *prepared, int op)
{
    struct updating *updating = argument;
    const struct step_watch *watch = updating->watch;
    if (watch && watch->op_done) watch->op_done(watch->argument, prepared, op);
    send_weights(updating, op);
    ranks_move(&updating->trainer->ranks);
    if (watch) tell(watch->exchanged, watch);
}

/* Updates this rank's pieces of the weights, and gets those of the others. */
static void update_weights(struct trainer *trainer, const struct run_input *input, const struct step_watch *watch)
{
    struct ranks *ranks = &trainer->ranks;
    struct updating updating = {trainer, watch, 0};
    if (ranks->comm && ranks->cut.buckets > 1)
        prepared_watch(trainer->updating, input, op_updated, &updating);
    else
        run_end(trainer->updating, input, watch);
    if (!ranks->comm) return;
    send_weights(&updating, trainer->update->op_count);
    ranks_receive_arena(ranks, trainer->network->parameters);
    if (watch) tell(watch->exchanged, watch);
}

/* --- the step --- */

void trainer_run_slices(struct trainer *trainer, struct run_input *input, const struct step_watch *watch)
{
    input->state.weight_sum = weight_sum(trainer, input);
    slices_run(&trainer->slices, input, watch);
    sum_slices(trainer, watch);
    if (trainer->ranks.failed) return;
    update_weights(trainer, input, watch);
    if (trainer->averaging && !trainer->ranks.failed) run_end(trainer->averaging, input, watch);
}
