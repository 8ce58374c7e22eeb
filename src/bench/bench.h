/* Measures how fast a config's training and evaluation are on this machine, and how a step spends its time. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdio.h>

#include "comm/comm.h"
#include "config/experiment.h"
#include "nn/network.h"

/* The cost of one part of a step: a layer, or work that belongs to no layer. The FLOPs count two per multiplication for
 * the whole batch. They leave out multiplications by padding, and do not depend on the kernel. 0: not counted. */
struct bench_part {
    char name[NETWORK_GROUP_TEXT];
    const char *kind;         /* the layer's kind, "conv2d", "batchnorm", ...; else the name; static */
    double forward, backward; /* seconds, median over the steps; backward is 0 where the part has none */
    double forward_flops, backward_flops;
    int64_t parameter_bytes; /* of its trained scalars */
};

/* An operation of a training step, alone. */
struct bench_op {
    char title[NETWORK_GROUP_TEXT];
    double seconds; /* median */
    double bytes;   /* the fewest that it must move */
    double flops;   /* 0: not counted */
};

struct bench_result {
    char backend[256];
    struct shape image; /* (1,C,H,W) */
    int64_t classes;
    int64_t train_batch, evaluate_batch, train_count; /* train_count: images that the batches are drawn from */
    int ranks;
    int64_t parameter_bytes, statistics_bytes; /* of an arena, padding included */
    int steps;
    int part_count;
    struct bench_part *parts;             /* gather, every layer, loss, optimizer; owned */
    int op_count;                         /* 0: not asked for */
    struct bench_op *ops;                 /* in their order; owned */
    double step;                          /* seconds of a training step, median */
    double train_images, evaluate_images; /* images per second; evaluate_images: 0 where it was not asked for */
    double memory_bytes;                  /* peak of the process's host memory */
    double peak;                          /* the device's peak arithmetic in FLOP/s; 0: not known */
};

/* What is measured, beside the parts of a step. */
struct bench_wish {
    int steps;
    bool evaluation; /* evaluations too */
    bool ops;        /* the operations of a step too, each alone */
};

/* Runs the wish's training steps after a few to warm up, and as many evaluation batches if it has evaluations, with the
 * experiment's network, batch size, optimizer and backend. The images are noise of the given format (1,C,H,W). There are
 * as many as in CIFAR-10, in random order, so that a batch comes from memory as in training. comm is NULL, or the ranks
 * that share the work: rank 0 measures, the result of the others is empty.
 * Free with bench_free. */
bool bench_run(struct bench_result *result, const struct experiment *experiment, struct shape image, int64_t classes,
               struct bench_wish wish, struct comm *comm, struct status *status);
void bench_free(struct bench_result *result);

/* Prints for people: the parts, then the shares of a step's time: multiplying at the peak, multiplying below it, and
 * the rest. */
void bench_print(const struct bench_result *result, FILE *out);

/* Writes for programs: an INI file with a section [bench], a section [part N] per part and [op N] per operation, and the experiment's own
 * sections with every key. Units are in the keys. */
void bench_write(const struct bench_result *result, const struct experiment *experiment, FILE *out);

#endif
