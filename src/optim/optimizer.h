/* The optimizer of a network: its parameters, its state, and the ops that take its steps. The backend has the arithmetic.
 * What optimizers there are: optimizer_row.h. */
#ifndef OPTIMIZER_H
#define OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/optimizer_row.h"
#include "nn/network.h"

/* How a parameter is updated, and where its states lie. */
struct optimizer_slot {
    int64_t parameter; /* its bytes from the start of the arena of parameters */
    enum optimizer_kind kind;
    struct optimizer_params params;
    double rate; /* its learning rate over that of the step */
    int state_count;
    int64_t state[OPTIMIZER_STATES]; /* bytes from the start of struct optimizer's state */
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
    /* States of all parameters, in the same order; zero at the start. A parameter without such a state takes no place. */
    size_t state_bytes[OPTIMIZER_STATES];
    void *state[OPTIMIZER_STATES];
};

void optimizer_create(struct optimizer *optimizer, const struct optimizer_settings *settings, struct network *network);
void optimizer_destroy(struct optimizer *optimizer);

/* Returns the slot of the parameter with this offset. */
const struct optimizer_slot *optimizer_slot_of(const struct optimizer *optimizer, int64_t parameter);

/* Appends an UPDATE for every parameter of the program that has a gradient. A run of the program takes one step, with the
 * step number and learning rate of its input. */
void optimizer_write(const struct optimizer *optimizer, struct program *program);

/* Sets the bases of the spaces of its state. */
void optimizer_bases(const struct optimizer *optimizer, void *base[]);

#endif
