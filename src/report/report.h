/* Writes a page about runs, finished or not: one HTML file that needs no server, no network and no other file. Letters:
 * C channels, H height, W width. */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "metrics/confusion.h"
#include "metrics/metrics.h"
#include "metrics/mistakes.h"
#include "nn/network.h"
#include "util/status.h"

enum { REPORT_MISSING_MAX = 4 };

/* The results of a run's network on a set of images. All pointers are borrowed. */
struct report_evaluation {
    const char *checkpoint; /* path of the checkpoint */
    const char *set;        /* name for people: "test set" */
    int64_t step;           /* steps done at the checkpoint */
    struct evaluation figures;
    const struct confusion *confusion;
    char *const *class_names; /* (classes), or NULL: the classes have numbers only */
    const struct mistake *mistakes;
    int mistake_count;
    char *const *mistake_files; /* (mistake_count): the names of the images' files, or NULL: they have none */
    int64_t channels, height, width;
    const uint8_t *images; /* (mistake_count,C,H,W); left out in a build without libpng */
};

/* The data of one run for the page. NULL stands for a part that the run lacks; all pointers but `missing` are borrowed.
 * Names may hold any bytes. */
struct report_run {
    const char *name;  /* tells the run apart from the others */
    const char *title; /* a line about model and optimizer */
    const struct metrics_row *rows;
    int row_count;                 /* at least 1 */
    enum best_by best_by;          /* the set that tells the best row */
    bool running;                  /* the training set's figures are running means */
    int64_t batch_size, max_steps; /* 0: not known */
    const char *config;            /* INI text, as experiment_write writes it */
    const struct network *network; /* for the table of its layers */
    const struct report_evaluation *evaluation;
    char *missing[REPORT_MISSING_MAX]; /* sentences for the reader about missing parts and the reasons, owned */
};

/* Adds a sentence to run->missing; those beyond its size are dropped. */
void report_add_missing(struct report_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes the page; the file appears whole or not at all. The errors are STATUS_RUNTIME with path and cause. */
bool report_write(const char *path, const struct report_run *runs, int count, struct status *status);

#endif
