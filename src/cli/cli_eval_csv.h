/* The table of `trainer eval --csv`: a row for each image of a set. */
#ifndef TRAINER_CLI_EVAL_CSV_H
#define TRAINER_CLI_EVAL_CSV_H

#include <stdbool.h>
#include <stdio.h>

#include "predict/predictor.h"
#include "util/file_atomic.h"

struct cli_eval_csv {
    const struct predictor *predictor; /* borrowed, as the set is */
    const struct image_set *set;
    FILE *out;             /* NULL: no table is asked for */
    double *probabilities; /* (D) of the image at hand */
    char *text;            /* of a table for a file */
    size_t size;
    struct file_atomic file; /* file.path is NULL where the table goes to the standard output */
};

/* Starts a table in a file, which appears whole or not at all, or ("-") on the standard output. A path of NULL asks for
 * no table. End with cli_eval_csv_close; after an error there is nothing to close. */
bool cli_eval_csv_open(struct cli_eval_csv *csv, const char *path, const struct predictor *predictor,
                       const struct image_set *set, struct status *status);

/* Returns the visitor for predictor_evaluate that writes the rows. */
struct predictor_visitor cli_eval_csv_visitor(struct cli_eval_csv *csv);

bool cli_eval_csv_close(struct cli_eval_csv *csv, struct status *status);

#endif
