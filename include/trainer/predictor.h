/* A trained network in use: images in, a score for each class out. Letters: N images, C channels, H height, W width, D
 * classes. A predictor is used by one thread at a time; a program may have several. */
#ifndef TRAINER_PREDICTOR_H
#define TRAINER_PREDICTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <trainer/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trainer_predictor;

/* The images of a network: pixels are bytes. */
struct trainer_image_format {
    int64_t channels, height, width;
};

/* Loads a checkpoint: a file, or the folder of a run, of which it is the best checkpoint, or the last where the run keeps
 * no best one. The `set_count` texts of `set`, "section.key=value", change the config of the run, for instance
 * "backend.device=cpu"; NULL where there is none. A network whose scores for an image depend on the images beside it
 * (model.batchnorm_batch_stats_only) is refused (TRAINER_USAGE). Returns NULL after an error; free with
 * trainer_predictor_free. */
struct trainer_predictor *trainer_predictor_open(const char *checkpoint, const char *const *set, int set_count,
                                                 struct trainer_status *status);
void trainer_predictor_free(struct trainer_predictor *predictor); /* NULL is allowed */

struct trainer_image_format trainer_predictor_format(const struct trainer_predictor *predictor);
int64_t trainer_predictor_classes(const struct trainer_predictor *predictor); /* D */

/* Returns the name of a class, 0 to D-1, or its number as text where the data has no names. The text lives as long as the
 * predictor. */
const char *trainer_predictor_class_name(const struct trainer_predictor *predictor, int64_t label);

/* Computes the scores (N,D), the numbers before the softmax, of images (N,C,H,W) as the data set has them; they are
 * normalized as in training. The last digits of an image's scores may depend on N. */
void trainer_predictor_scores(struct trainer_predictor *predictor, const uint8_t *pixels, int64_t n, double *scores);

/* Reads a PNG or JPEG file into pixels (C,H,W), upright and fitted as the pictures of training are (data.resize). Errors
 * name the file. */
bool trainer_predictor_read(const struct trainer_predictor *predictor, const char *path, uint8_t *pixels,
                            struct trainer_status *status);

/* Computes the probabilities (D) from the scores (D) of an image; both may be the same array. */
void trainer_predictor_probabilities(const struct trainer_predictor *predictor, const double *scores,
                                     double *probabilities);

#ifdef __cplusplus
}
#endif

#endif
