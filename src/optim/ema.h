/* An exponential moving average of the values that an evaluation reads: a network's parameters and its running
 * statistics alike, as timm's ModelEmaV2 does. (PyTorch's AveragedModel copies running statistics as they are; averaged
 * weights then meet the statistics of other weights.) Training goes on with the network's own values. */
#ifndef EMA_H
#define EMA_H

#include "nn/network.h"

struct ema {
    struct network *network;
    double decay;     /* formula: AVERAGE in op.h; 0: no average, and every function here does nothing */
    void *parameters; /* arenas like the network's: network->arena_count and network->buffer_count elements */
    void *buffers;
};

/* Takes the memory; ema_restart makes the average begin. Destroy with ema_destroy, before the network. */
void ema_create(struct ema *ema, double decay, struct network *network);
void ema_destroy(struct ema *ema);

/* Makes the average the network's values of this moment. */
void ema_restart(struct ema *ema);

/* Appends the ops that take in the network's values after a step, whose number is that of the run's input. */
void ema_write(const struct ema *ema, struct program *program);

/* Sets the bases of the spaces of the average; or makes those of parameters and statistics the average's, for a program
 * that evaluates. With decay 0 the latter changes nothing. */
void ema_bases(const struct ema *ema, void *base[]);
void ema_evaluation_bases(const struct ema *ema, void *base[]);

#endif
