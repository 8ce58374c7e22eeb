/* How fast a config's training and evaluation are on this machine, and where the time goes. */
#ifndef TRAINER_BENCH_H
#define TRAINER_BENCH_H

#include <stdbool.h>
#include <stdio.h>

#include "trainer/experiment.h"

/* Times of one part of a step: of a layer, or of what belongs to none. */
struct bench_part {
    char name[64];
    double forward, backward; /* seconds, median over the steps; backward is 0 where there is none */
    double flops; /* forward, of the whole batch: two per multiplication that does not meet padding; 0: not counted */
};

struct bench_result {
    char backend[256];
    int part_count;
    struct bench_part *parts;             /* gather, every layer, loss, optimizer; owned */
    double step;                          /* seconds of a training step, median */
    double train_images, evaluate_images; /* per second */
    double memory_bytes;                  /* the most that the process has held in host memory */
    double peak;                          /* FLOP/s that the device's arithmetic reaches at most; 0: not known */
};

/* Runs `steps` training steps after a few to warm up, and as many evaluation batches, on synthetic images of the given
 * format with the experiment's network, batch size, optimizer and backend. Free with bench_free. */
bool bench_run(struct bench_result *result, const struct experiment *experiment, struct shape image, int64_t classes,
               int steps, struct status *status);
void bench_free(struct bench_result *result);

void bench_print(const struct bench_result *result, FILE *out);

#endif
