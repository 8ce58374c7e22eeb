/* Training on several ranks (comm.h): each computes its part of the slices of every step and of the batches of every
 * evaluation, and the results are those of one rank to the bit, at any number of ranks.
 *
 * Rank 0 leads. It alone reads and writes the run's folder, prints, and decides: before a step, an evaluation or the end it
 * sends the others a command. So nothing that a rank finds out alone (a signal, a clock, a row of metrics.csv) can lead it
 * another way than the others. In a step rank r computes slices r*S/R .. (r+1)*S/R - 1, which are a subtree of the tree of
 * sums (slices.h). The arena of parameters is cut into buckets, and each of them into a piece for each rank (optimizer_cut). A
 * rank gets its own pieces of the gradients of all others, adds them in the tree's order, updates its pieces of the weights,
 * whose optimizer's states it alone has, and sends them to all. Where something needs the whole gradient, the sums are sent
 * to all as well. Running statistics and metrics, which are small, go to everyone whole.
 *
 * A bucket of gradients is sent as soon as the backward pass has left it, and a bucket of weights as soon as it is updated: so
 * the network works while the rank computes. Every bucket is an exchange of its own, and all ranks start them in the
 * same order. How the arena is cut changes no bit, as sums and updates are per element.
 *
 * A rank that dies or hangs is found by the deadline of the exchange that waits for it. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H

#include "comm/comm.h"
#include "config/experiment.h"
#include "data/dataset.h"
#include "nn/network.h"
#include "optim/optimizer.h"
#include "train/slices.h"

enum rank_order { RANK_ORDER_SHARE, RANK_ORDER_STEP, RANK_ORDER_EVALUATE, RANK_ORDER_COLLECT, RANK_ORDER_END };

/* What rank 0 tells the others to do. */
struct rank_command {
    enum rank_order order;
    int set;              /* RANK_ORDER_EVALUATE: of the trainer's sets, by its own numbering */
    int code;             /* RANK_ORDER_END: of the run */
    int64_t step;         /* RANK_ORDER_STEP: steps done */
    bool restored;        /* RANK_ORDER_SHARE: the optimizer's states come from a file */
    double learning_rate; /* RANK_ORDER_STEP: struct trainer's; 0: the schedule's */
};

enum { RANK_SIGNAL = 16 };

/* What a rank sends with the sums of its slices. */
struct rank_words {
    struct metrics metrics;
    char signal[RANK_SIGNAL]; /* that asks this rank to stop; "": none */
};

/* An exchange of a step that is on its way. */
struct rank_flow {
    struct comm *comm;
    struct comm_exchange exchange;
    struct comm_message *messages; /* room for 2 with each other rank */
    const char *what;
};

struct ranks {
    struct comm *comm;
    struct comm *devices; /* for messages in backend memory that is not the host's; NULL: they go through the host */
    const struct network *network;
    int64_t slices;           /* S */
    struct optimizer_cut cut; /* of the arenas of parameters and gradients; `at` is its own */
    bool whole_gradient;      /* every rank needs the sum of all gradients */
    char *incoming;           /* this rank's pieces of the gradient: of each bucket, from each rank; backend memory */
    char *statistics;         /* arenas of statistics, from each rank; backend memory */
    struct rank_words *words; /* from each rank */
    struct rank_flow *flows;  /* room for one of each bucket, and two more */
    int flowing;              /* of these, started and not finished */
    struct comm_message *messages;
    /* Where what is in backend memory goes through the host, what is sent and received there; else NULL. */
    char *host_arena, *host_incoming, *host_statistics;
    bool failed;              /* an exchange did; then no other follows, and the step at hand is void */
    struct status status;     /* why */
    int stopped;              /* rank on which a signal asks the run to stop */
    char signal[RANK_SIGNAL]; /* its name; "": none does */
};

/* Checks that so many ranks can share the experiment's slices (STATUS_USAGE). comm may be NULL. */
bool ranks_check(const struct experiment *experiment, const struct comm *comm, struct status *status);

/* Gives all ranks rank 0's experiment. `loaded` is false where rank 0 has none: then all ranks return false, rank 0 with the
 * status that it came with. So they do where one of them cannot read it, or is another version of the program. The
 * experiment is to be freed after success alone. */
bool ranks_share_experiment(struct comm *comm, bool loaded, struct experiment *experiment, struct status *status);

/* Creates the backend of a rank: where the config leaves the number of threads open, ranks on one machine share its cores. On
 * rank 0 it warns of ranks that have too few. comm may be NULL. */
bool ranks_create_backend(struct backend **backend, const struct experiment *experiment, const struct comm *comm,
                          struct status *status);

/* Every rank says whether it is ready, and what it computes with. False on all ranks where one of them is not ready, where
 * two have the same GPU, or where they would not compute the same: on rank 0 the status is then that of the first such rank, with its number and machine
 * before it. A rank that is not ready passes `ready` false and its own status. dataset and backend are NULL then, or where
 * there are none yet. */
bool ranks_agree(struct comm *comm, bool ready, const struct dataset *dataset, const struct backend *backend,
                 struct status *status);

/* Takes memory for the exchanges of a run with S slices, whose arenas are cut so; cut.at is then the ranks' own. comm may be
 * NULL. Destroy with ranks_destroy. */
void ranks_create(struct ranks *ranks, struct comm *comm, const struct network *network, int64_t slices,
                  struct optimizer_cut cut);
void ranks_destroy(struct ranks *ranks); /* a struct of zeros is allowed */

/* Before the first exchange of backend memory, on all ranks together once they agree: joins their devices as backend.exchange
 * says. Where that cannot be, rank 0 warns of it, or, where it must be, all ranks return false with the same status. */
bool ranks_connect(struct ranks *ranks, const struct experiment *experiment, struct status *status);

/* ranks_step.c: a step. First each bucket of this rank's gradients is sent, from the last to the first, then its statistics,
 * metrics and signals. */
void ranks_send_gradients(struct ranks *ranks, const struct slice_sums *sums, int bucket);
void ranks_send_others(struct ranks *ranks, const struct slice_sums *sums);
/* Waits for these of all ranks, and makes the sums of this rank's slices those of all ranks, divided by S: of the gradient its
 * own pieces. */
void ranks_receive_sums(struct ranks *ranks);
void ranks_sum(struct ranks *ranks, const struct slice_sums *sums);

/* Sends everyone this rank's piece of a bucket of an arena: of all buckets, from the first to the last. Then waits for the
 * others'. */
void ranks_send_arena(struct ranks *ranks, void *arena, int bucket, const char *what);
void ranks_receive_arena(struct ranks *ranks, void *arena);

/* Moves what was sent on, without waiting for it. */
void ranks_move(struct ranks *ranks);

/* Rank 0 gets memory of all ranks' devices, one after the other in `whole`, of bytes[k] in piece k, by the numbering of the
 * cut; the pieces of a rank are one after the other in its `own`. Or gives them back. */
void ranks_collect_pieces(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what);
void ranks_deal_pieces(struct ranks *ranks, void *whole, void *own, const size_t *bytes, const char *what);

/* Rank 0: sends a command. Others: waits for the next one. False after a failure, which ranks->status has. */
bool ranks_command(struct ranks *ranks, struct rank_command *command);

/* Rank 0 gets the metrics of the batches of an evaluation, of which rank r has those from ranks_first(count, r) to
 * ranks_first(count, r + 1) - 1. */
int64_t ranks_first(const struct ranks *ranks, int64_t count, int rank);
void ranks_collect(struct ranks *ranks, struct metrics *batches, int64_t count);

/* False after a failure, which is then copied to `status`. */
bool ranks_good(const struct ranks *ranks, struct status *status);

/* Give all ranks rank 0's memory: that of the host, and that of the device. */
void ranks_copy(struct ranks *ranks, void *data, size_t bytes, const char *what);
void ranks_copy_arena(struct ranks *ranks, void *data, size_t bytes, const char *what);

#endif
