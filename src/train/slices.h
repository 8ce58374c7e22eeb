/* A training step in slices: the batch of N samples is cut into S slices of N/S, and each makes one pass of its own through
 * the network, with batch statistics of its own. Slice s is samples s*N/S .. (s+1)*N/S - 1 of the batch. Its gradient g_s is
 * that of a batch of N/S; the step's gradient is T(g_0 .. g_{S-1}) / S, where T sums by a balanced binary tree whose leaves s
 * and s^1 meet first. Floating-point addition is commutative, so the tree alone decides the bits, whoever computes which
 * slice. The running statistics that a slice leaves, starting from those of the step before, are averaged in the same way,
 * and the metrics are summed by the same tree.
 *
 * A slice takes the memory of a batch of N/S: slices are also the accumulation of gradients. Beside the sums of the step
 * itself, log2(S) more are kept while it runs; where ranks share the slices (ranks.h), log2 of a rank's own number. */
#ifndef TRAIN_SLICES_H
#define TRAIN_SLICES_H

#include "backend/prepared.h"
#include "nn/network.h"

enum { SLICES_LOG_MOST = 12, SLICES_MOST = 1 << SLICES_LOG_MOST };

/* What slices leave: one, or the sum of neighbours. */
struct slice_sums {
    void *gradients;  /* arena of network->arena_count elements; the first of the stack is network->gradients */
    void *statistics; /* arena of network->buffer_count elements */
    struct tensor metrics;
    struct prepared *prepared; /* the program of a slice, which leaves its own here */
};

/* Who wants the sums of gradients part by part, as soon as they are there: while the backward pass of the last slice goes on,
 * which writes the arena from its end. */
struct slice_listener {
    int parts;
    const int64_t *at; /* [parts + 1]: where the parts of the arena begin, in bytes */
    /* The sums of a part are there. Called for the last part first; of the others only after that of the one behind. */
    void (*summed)(void *argument, int part);
    void (*op_done)(void *argument); /* one op more of that pass */
    void *argument;
};

struct slices {
    struct network *network;
    int64_t count;      /* S, a power of two */
    int64_t first, own; /* those that this process computes: a subtree */
    int depth;          /* of the stack: log2(own) + 1 */
    struct slice_sums sums[SLICES_LOG_MOST + 1];
    struct slice_listener listener; /* parts: 0 where nobody listens */
    int *last_op;                   /* [parts]: of the slice's program, that touches the part */
};

/* Who watches a step. */
struct step_watch {
    void (*op_done)(void *argument, const struct prepared *prepared, int op); /* after each op of a program */
    void (*summed)(void *argument);    /* after sums of slices; NULL: nobody asks */
    void (*exchanged)(void *argument); /* after an exchange with other ranks; NULL: nobody asks */
    void *argument;
};

/* Which slices of a batch a process computes, as one of `size` that share them: a power of two that divides `count`. */
struct slice_share {
    int64_t count; /* S */
    int rank, size;
};

/* Prepares the program of a slice for its places on the stack. `base` has the bases of the spaces; those of gradients,
 * statistics and metrics are set here. The program and the network must outlive it. Destroy with slices_destroy. */
void slices_create(struct slices *slices, struct network *network, const struct program *program,
                   struct slice_share share, void *const base[SPACES]);
void slices_destroy(struct slices *slices); /* a struct of zeros is allowed */

/* From now on each step tells the listener, whose `at` is copied. Its ops are then never recorded. */
void slices_listen(struct slices *slices, const struct slice_listener *listener);

/* Runs this process's slices of a batch, whose input is `whole`, and leaves their sums in sums[0]; where these are all slices,
 * gradients and statistics are divided by S. watch may be NULL. */
void slices_run(const struct slices *slices, const struct run_input *whole, const struct step_watch *watch);

/* Takes over into the network what sums[0] has of all slices: its gradients are there already. */
void slices_finish(const struct slices *slices);

/* to <- (to + from) * factor, of two ranges of arenas or two metrics; nothing where they are empty. */
void slices_accumulate(struct backend *backend, struct tensor to, struct tensor from, double factor);

/* Runs everything once that takes memory at its first use, as prepared_run_phases. Leaves the network as it was, but for its
 * gradients. */
void slices_rehearse(const struct slices *slices, const struct run_input *whole);

#endif
