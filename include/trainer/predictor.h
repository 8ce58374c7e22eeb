/* A trained network in use: a checkpoint loaded, images in, class scores out. Letters: N images, C channels, H height,
 * W width, D classes. */
#ifndef TRAINER_PREDICTOR_H
#define TRAINER_PREDICTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/checkpoint.h"
#include "trainer/confusion.h"
#include "trainer/dataset.h"

struct predictor {
    char *path; /* of the checkpoint; owned */
    int64_t step;
    struct experiment experiment;
    struct checkpoint_input input; /* what the images are, and the classes */
    struct backend *backend;
    struct network *network;
    double *batch; /* (network->max_batch,C,H,W) */
};

/* Loads a checkpoint: `run` is the folder of a run, or a checkpoint file. `overrides` ("section.key=value") change the
 * config that it was trained with, for instance backend.device. Close with predictor_close; after an error there is
 * nothing to close. */
bool predictor_open(struct predictor *predictor, const char *run, enum checkpoint_choice choice,
                    const char *const *overrides, int override_count, struct status *status);
void predictor_close(struct predictor *predictor); /* leaves it empty; an empty one is allowed */

/* pixels (N,C,H,W) -> logits (N,D): the scores before the softmax. Any N, in batches of network->max_batch. Where
 * network_needs_batches the scores of an image depend on the others of its batch. */
void predictor_logits(struct predictor *predictor, const uint8_t *pixels, int64_t n, double *logits);

/* Softmax of the scores of one image; logits (D) -> probabilities (D), which may be the same. */
void predictor_probabilities(const double *logits, int64_t classes, double *probabilities);

/* The name of a class, or its number as text where the data set has no names, in `text`. */
void predictor_class_name(const struct predictor *predictor, int64_t label, char *text, size_t size);

/* Called for each image of a set in file order. */
struct predictor_visitor {
    void (*image)(void *argument, int64_t index, int64_t label, const double *logits /* (D) */);
    void *argument; /* image may be NULL: nobody wants to know */
};

/* Loss (mean cross-entropy) and accuracy over an entire set, and which class was taken for which, with top-k hits, by
 * the batches that trainer_evaluate takes. The set must pass predictor_check_data and predictor_check_set. Free confusion afterwards. */
struct evaluation predictor_evaluate(struct predictor *predictor, const struct image_set *set,
                                     struct predictor_visitor visitor, struct confusion *confusion);

/* Images at once in the evaluation of a set of `count` images. A network that normalises by the batch at hand takes its
 * statistics of so many. */
int64_t predictor_batch(const struct predictor *predictor, int64_t count);

/* STATUS_USAGE where the scores of a single image would depend on the images beside it in a batch. */
bool predictor_check_single(const struct predictor *predictor, struct status *status);

/* STATUS_USAGE where a batch normalization without running statistics would see one value per channel in the evaluation of
 * the set. */
bool predictor_check_set(const struct predictor *predictor, const struct image_set *set, struct status *status);

/* Whether a data set's images and classes are those of the network. */
bool predictor_check_data(const struct predictor *predictor, const struct dataset *dataset, struct status *status);

#endif
