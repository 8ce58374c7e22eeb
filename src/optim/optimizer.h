/* The optimizer of a network: its parameters, its state, and the ops that take its steps. The backend has the arithmetic.
 * What optimizers there are: optimizer_row.h. */
#ifndef OPTIMIZER_H
#define OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/optimizer_row.h"
#include "nn/network.h"

/* A part of the arena of parameters, in bytes from its start. */
struct optimizer_part {
    int64_t first, last;
};

/* How ranks share the arena of parameters: it is cut into buckets of whole parameters, and each of these into a piece for
 * each rank. In bytes from its start. */
struct optimizer_cut {
    int ranks, buckets;
    int64_t *at; /* [buckets * ranks + 1]; rank r's piece of bucket b is at[b*ranks + r] .. at[b*ranks + r + 1] - 1 */
};

/* How a parameter is updated, and where its states lie. */
struct optimizer_slot {
    const struct parameter *of;
    int64_t parameter;         /* its bytes from the start of the arena of parameters */
    struct optimizer_part own; /* what of it, padding included, this optimizer updates; first >= last: nothing */
    enum optimizer_kind kind;
    struct optimizer_params params;
    double rate; /* its learning rate over that of the step */
    int state_count;
    int64_t state[OPTIMIZER_STATES]; /* of its own part; bytes from the start of struct optimizer's state */
};

/* What updates the parameters that a `matrix` optimizer leaves over: vectors, and the weights of the last layer. */
struct optimizer_rest {
    enum optimizer_kind kind;
    struct optimizer_params params;
    double rate; /* its learning rate over that of the step */
};

struct optimizer_settings {
    enum optimizer_kind kind;
    struct optimizer_params params;
    struct optimizer_rest rest; /* of a `matrix` optimizer */
};

struct optimizer {
    struct optimizer_settings settings;
    struct network *network;
    int slot_count;
    struct optimizer_slot *slots; /* one per parameter, in the order of the arenas */
    /* States of all own parts, in the same order; zero at the start. A parameter without such a state takes no place. */
    size_t state_bytes[OPTIMIZER_STATES];
    void *state[OPTIMIZER_STATES];
};

void optimizer_create(struct optimizer *optimizer, const struct optimizer_settings *settings, struct network *network);

/* The same for a rank's pieces of the parameters alone, which takes the memory of their states. */
void optimizer_create_part(struct optimizer *optimizer, const struct optimizer_settings *settings,
                           struct network *network, const struct optimizer_cut *cut, int rank);

/* Cuts the arena for so many ranks. Buckets have about `bucket_bytes` each, but for the first one, which has what is left; 0:
 * there is one. The pieces of a bucket have about the same size. A parameter that is updated as a matrix is whole in one
 * of them; where there is such a parameter, there is one bucket. No piece ends within a line of 64 bytes, so a step is
 * the same to the bit however the arena is cut. Free cut.at with free(). */
struct optimizer_cut optimizer_cut(const struct optimizer_settings *settings, struct network *network, int ranks,
                                   int64_t bucket_bytes);

/* Writes the bytes of the states of all pieces: that of state s in piece k, by the numbering of cut.at, to
 * bytes[s * ranks * buckets + k]. */
void optimizer_piece_bytes(const struct optimizer_settings *settings, struct network *network,
                           const struct optimizer_cut *cut, size_t *bytes);

void optimizer_destroy(struct optimizer *optimizer);

/* Returns the slot of the parameter with this offset. */
const struct optimizer_slot *optimizer_slot_of(const struct optimizer *optimizer, int64_t parameter);

/* Appends an UPDATE for every parameter of the program that has a gradient. A run of the program takes one step, with the
 * step number and learning rate of its input. */
void optimizer_write(const struct optimizer *optimizer, struct program *program);

/* Appends UPDATEs for its own part to a program without forward ops, whose gradients are there already. */
void optimizer_write_part(const struct optimizer *optimizer, struct program *program);

/* Sets the bases of the spaces of its state. */
void optimizer_bases(const struct optimizer *optimizer, void *base[]);

#endif
