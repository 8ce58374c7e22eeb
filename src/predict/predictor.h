/* Uses a trained network: a checkpoint is loaded, images go in, class scores come out. Letters: N images, C channels, H
 * height, W width, D classes. */
#ifndef PREDICTOR_H
#define PREDICTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/prepared.h"
#include "data/dataset.h"
#include "metrics/confusion.h"
#include "metrics/scores.h"
#include "train/checkpoint.h"

struct predictor {
    char *path; /* path of the checkpoint; owned */
    int64_t step;
    struct experiment experiment;
    struct checkpoint_input input; /* format of the images, and the classes */
    struct backend *backend;
    struct network *network;
    struct network_program program; /* from a batch of images to their scores */
    struct prepared *prepared;      /* the same, ready to run */
    void *work;                     /* SPACE_WORK of the program */
    double *batch;                  /* (network->max_batch,C,H,W) */
    int views;                      /* by which an image is scored (views.h); 1 until the caller sets it */
};

/* Loads a checkpoint: `run` is the folder of a run, or a checkpoint file. `overrides` change the config that the
 * network was trained with, for instance backend.device. Close with predictor_close; after an error there is nothing to
 * close. */
bool predictor_open(struct predictor *predictor, const char *run, enum checkpoint_choice choice,
                    const struct experiment_override *overrides, int override_count, struct status *status);
void predictor_close(struct predictor *predictor); /* leaves it empty; an empty one is allowed */

/* Computes logits (N,D), the scores before the softmax, from pixels (N,C,H,W), for any N, in batches of
 * network->max_batch. With several views they are the means of the views' logits. Where network_needs_batches, the scores of an image depend on the others of its batch. */
void predictor_logits(struct predictor *predictor, const uint8_t *pixels, int64_t n, double *logits);

/* Writes the name of a class to `text`, or its number where the data set has no names. */
void predictor_class_name(const struct predictor *predictor, int64_t label, char *text, size_t size);

/* The function `image` gets each image of a set, in file order; it may be NULL. */
struct predictor_visitor {
    void (*image)(void *argument, int64_t index, int64_t label, const double *logits /* (D) */);
    void *argument;
};

/* Evaluates an entire set with the batches that trainer_evaluate takes: loss (mean cross-entropy), accuracy, the
 * confusion of classes, and top-k hits. The set must pass predictor_check_data and predictor_check_set. Free
 * `confusion` afterwards. */
struct evaluation predictor_evaluate(struct predictor *predictor, const struct image_set *set,
                                     struct predictor_visitor visitor, struct confusion *confusion);

/* Returns the size of the batches in which a set of `count` images is evaluated. A network that normalises by the batch
 * at hand takes its statistics from batches of that size. */
int64_t predictor_batch(const struct predictor *predictor, int64_t count);

/* Refuses (STATUS_USAGE) a network whose scores for a single image depend on the images beside it in a batch. */
bool predictor_check_single(const struct predictor *predictor, struct status *status);

/* Refuses (STATUS_USAGE) a set in whose evaluation a batch normalization without running statistics would see one value
 * per channel. */
bool predictor_check_set(const struct predictor *predictor, const struct image_set *set, struct status *status);

/* Refuses (STATUS_RUNTIME) a data set whose images or classes differ from the network's. */
bool predictor_check_data(const struct predictor *predictor, const struct dataset *dataset, struct status *status);

#endif
