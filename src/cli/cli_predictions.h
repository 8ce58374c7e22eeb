/* The answers of predict, printed as text, as JSON or as a table. */
#ifndef TRAINER_CLI_PREDICTIONS_H
#define TRAINER_CLI_PREDICTIONS_H

#include <jansson.h>

#include "cli/cli_private.h"
#include "predict/picture_queue.h"

struct cli_predictions {
    const struct predictor *predictor;
    const struct cli_arguments *arguments;
    int64_t top;            /* classes of each picture */
    double *probabilities;  /* (D) of the picture at hand */
    struct ranked *ranking; /* (D) its classes, the most probable first */
    json_t *answers;        /* with --json: an answer for each picture */
};

/* Starts the output. End it with cli_predictions_end. */
struct cli_predictions cli_predictions_start(const struct predictor *predictor, const struct cli_arguments *arguments);

/* Answers for a picture, whether it could be read or not. */
void cli_predictions_add(struct cli_predictions *predictions, const struct queued_picture *picture);

void cli_predictions_end(struct cli_predictions *predictions);

#endif
