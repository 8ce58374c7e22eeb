/* The optimizer of a network. The backend has the arithmetic: update, or update_begin to update_end where it can update
 * during the backward pass. The state and the parameters are here. What optimizers there are: optimizer_row.h. */
#ifndef TRAINER_OPTIMIZER_H
#define TRAINER_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/experiment.h"
#include "trainer/network.h"

struct optimizer {
    enum optimizer_kind kind;
    struct optimizer_params params;
    struct network *network;
    /* Arenas like that of the parameters (network->arena_count elements), zero at the start, in the row's order. */
    int state_count;
    void *state[OPTIMIZER_STATES];
};

void optimizer_create(struct optimizer *optimizer, const struct experiment *experiment, struct network *network);
void optimizer_destroy(struct optimizer *optimizer);

/* Updates every parameter once from the gradients, with the step number and learning rate of the backend's state. */
void optimizer_step(struct optimizer *optimizer);

/* Lets the backend take the same step during the backward pass between the two calls, while it computes the gradients.
 * Where the backend cannot, optimizer_begin returns false and does nothing. */
bool optimizer_begin(struct optimizer *optimizer);
void optimizer_end(struct optimizer *optimizer);

#endif
