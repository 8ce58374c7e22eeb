/* An exponential moving average of the values that an evaluation reads: a network's parameters and its running
 * statistics alike, as timm's ModelEmaV2 does. (PyTorch's AveragedModel copies running statistics as they are; averaged
 * weights then meet the statistics of other weights.) Training goes on with the network's own values. */
#ifndef TRAINER_EMA_H
#define TRAINER_EMA_H

#include "trainer/network.h"

struct ema {
    struct network *network;
    double decay;     /* formula: average_step in backend.h; 0: no average, and every function here does nothing */
    void *parameters; /* arenas like the network's: network->arena_count and network->buffer_count elements */
    void *buffers;
};

/* Starts with the network's values. Destroy with ema_destroy, before the network. */
void ema_create(struct ema *ema, double decay, struct network *network);
void ema_destroy(struct ema *ema);

/* Takes in the network's values after a step, whose number is that of the backend's state. */
void ema_step(struct ema *ema);

/* Makes the network compute with the average, or with its own parameters again. Nothing is copied: only the addresses
 * in its layers change, so the recordings of a backend with either stay right. */
void ema_show(struct ema *ema, bool average);

#endif
