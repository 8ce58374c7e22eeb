/* What a session does with other ranks: rank 0 leads, and the others follow (ranks.h). */
#include <stdlib.h>

#include "train/trainer_private.h"
#include "util/memory.h"

bool trainer_lead_step(struct trainer *trainer)
{
    struct rank_command command = {
        .order = RANK_ORDER_STEP, .step = trainer->step, .learning_rate = trainer->learning_rate};
    return !trainer->ranks.comm || ranks_command(&trainer->ranks, &command);
}

/* Calls move for each state of the optimizer: rank 0 has those of all ranks in `whole`. */
static void move_states(struct trainer *trainer, void *const *whole, const char *what,
                        void (*move)(struct ranks *ranks, void *whole, void *own, const size_t *bytes,
                                     const char *what))
{
    struct ranks *ranks = &trainer->ranks;
    int pieces = ranks->cut.buckets * ranks->cut.ranks;
    size_t *bytes = memory_alloc((size_t)pieces, OPTIMIZER_STATES * sizeof *bytes);
    optimizer_piece_bytes(&trainer->optimizer.settings, trainer->network, &ranks->cut, bytes);
    for (int s = 0; s < OPTIMIZER_STATES; s++)
        move(ranks, whole ? whole[s] : NULL, trainer->optimizer.state[s], bytes + s * pieces, what);
    free(bytes);
}

const struct optimizer *trainer_empty_optimizer(struct trainer *trainer)
{
    if (!trainer->ranks.comm) return &trainer->optimizer;
    trainer_release_whole(trainer);
    trainer->whole = memory_alloc(1, sizeof *trainer->whole);
    optimizer_create(trainer->whole, &trainer->optimizer.settings, trainer->network);
    return trainer->whole;
}

const struct optimizer *trainer_whole_optimizer(struct trainer *trainer, struct status *status)
{
    struct rank_command command = {.order = RANK_ORDER_COLLECT};
    if (!trainer->ranks.comm) return &trainer->optimizer;
    trainer_empty_optimizer(trainer);
    if (ranks_command(&trainer->ranks, &command))
        move_states(trainer, trainer->whole->state, "the optimizer's states", ranks_collect_pieces);
    return ranks_good(&trainer->ranks, status) ? trainer->whole : NULL;
}

void trainer_release_whole(struct trainer *trainer)
{
    if (trainer->whole) optimizer_destroy(trainer->whole);
    free(trainer->whole);
    trainer->whole = NULL;
}

/* All that rank 0 may have read from a file. */
static void share_state(struct trainer *trainer, bool restored)
{
    struct ranks *ranks = &trainer->ranks;
    const struct network *network = trainer->network;
    size_t scalar = trainer->backend->scalar_size;
    size_t parameters = network->arena_count * scalar, statistics = network->buffer_count * scalar;
    struct metrics sums = network_metrics(network);
    ranks_copy(ranks, &trainer->step, sizeof trainer->step, "the state");
    ranks_copy(ranks, &sums, sizeof sums, "the state");
    ranks_copy_arena(ranks, network->parameters, parameters, "the weights");
    ranks_copy_arena(ranks, network->buffers, statistics, "the running statistics");
    if (restored)
        move_states(trainer, trainer->whole ? trainer->whole->state : NULL, "the optimizer's states",
                    ranks_deal_pieces);
    trainer_release_whole(trainer);
    if (trainer->ema.decay > 0) {
        ranks_copy_arena(ranks, trainer->ema.parameters, parameters, "the moving average");
        ranks_copy_arena(ranks, trainer->ema.buffers, statistics, "the moving average");
    }
    network_set_metrics(network, sums);
    trainer->refresh = true;
}

bool trainer_lead_share(struct trainer *trainer, struct status *status)
{
    struct rank_command command = {.order = RANK_ORDER_SHARE, .restored = trainer->whole != NULL};
    if (!trainer->ranks.comm) return true;
    if (ranks_command(&trainer->ranks, &command)) share_state(trainer, command.restored);
    return ranks_good(&trainer->ranks, status);
}

bool trainer_lead_end(struct trainer *trainer, int code, struct status *status)
{
    struct rank_command command = {.order = RANK_ORDER_END, .code = code};
    if (!trainer->ranks.comm) return true;
    ranks_command(&trainer->ranks, &command);
    return ranks_good(&trainer->ranks, status);
}

static void follow_step(struct trainer *trainer, const struct rank_command *command)
{
    trainer->learning_rate = command->learning_rate;
    trainer->step = command->step;
    trainer_take_step(trainer, NULL);
}

bool trainer_follow(struct trainer *trainer, int *code, struct status *status)
{
    struct rank_command command;
    while (ranks_command(&trainer->ranks, &command)) {
        switch (command.order) {
        case RANK_ORDER_SHARE:
            share_state(trainer, command.restored);
            break;
        case RANK_ORDER_STEP:
            follow_step(trainer, &command);
            break;
        case RANK_ORDER_EVALUATE:
            trainer_evaluate_share(trainer, command.set);
            break;
        case RANK_ORDER_COLLECT:
            move_states(trainer, NULL, "the optimizer's states", ranks_collect_pieces);
            break;
        case RANK_ORDER_END:
            *code = command.code;
            return true;
        }
    }
    return ranks_good(&trainer->ranks, status);
}
