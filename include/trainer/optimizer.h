/* The optimizer of a network: its parameters, its state, and the ops that take its steps. The backend has the arithmetic.
 * What optimizers there are: optimizer_row.h. */
#ifndef TRAINER_OPTIMIZER_H
#define TRAINER_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/network.h"
#include "trainer/optimizer_row.h"

struct optimizer {
    enum optimizer_kind kind;
    struct optimizer_params params;
    struct network *network;
    /* Arenas like that of the parameters (network->arena_count elements), zero at the start, in the row's order. */
    int state_count;
    void *state[OPTIMIZER_STATES];
};

void optimizer_create(struct optimizer *optimizer, enum optimizer_kind kind, const struct optimizer_params *params,
                      struct network *network);
void optimizer_destroy(struct optimizer *optimizer);

/* Appends an UPDATE for every parameter of the program that has a gradient. A run of the program takes one step, with the
 * step number and learning rate of its input. */
void optimizer_write(const struct optimizer *optimizer, struct program *program);

/* Sets the bases of the spaces of its state. */
void optimizer_bases(const struct optimizer *optimizer, void *base[SPACES]);

#endif
