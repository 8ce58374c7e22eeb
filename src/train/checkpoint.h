/* Checkpoints. A checkpoint holds all that a run needs to go on as if it had never stopped, in one safetensors file
 * with a digest (safetensors.h), which appears whole or not at all.
 *
 * Tensors, in the boundary's order, F32 (F64 with backend.precision = fp64), under the names of PyTorch's state_dict of
 * an nn.Sequential called `layers`, where <i> is the index of the layer in the network:
 *   layers.<i>.weight                                  (O,I,K,K) of a convolution, (O,I) of a linear layer, (C) of a
 *                                                      batch normalization
 *   layers.<i>.bias                                    (O) or (C)
 *   layers.<i>.running_mean, layers.<i>.running_var    (C)
 *   training.layers.<i>.weight, ...                    only with train.ema_decay: the weights that training goes on
 *                                                      with; layers.<i> then are the averages, which evaluations use
 *   optimizer.<state>.layers.<i>.weight, ...           a state of the optimizer for each parameter; <state>: a name
 *                                                      of PyTorch's, as the optimizer's row has it (optimizer_row.h)
 *   input.offset (C,H,W), input.scale (C)              how pixels enter the network, F32: see struct dataset_view
 *
 * Texts, in `__metadata__`:
 *   format                   "pt": Python may read it with PyTorch
 *   trainer_checkpoint       "1": the version of this description
 *   step                     steps done
 *   epoch, batch             where the next batch begins: epochs done, whole batches done of the one at hand
 *   seed, rng                the seed and the name of the generator of every random draw; a draw is named by (seed,
 *                            stream, step, index), so that nothing else needs keeping
 *   metrics_rows             rows that metrics.csv has at that step
 *   best_*                   the best row so far, by the set of checkpoint.best_by; none where metrics_rows is 0. The
 *                            loss and accuracy of a set that the run does not have are left out: best_train_*,
 *                            best_validation_*, best_test_*
 *   running_loss, running_correct, running_count
 *                            the sums that training has made since the last evaluation; only with train.eval_train =
 *                            off, where they become the next row's figures
 *   classes, class_names     the number of classes; their names, one per line, where the data set has names
 *   data_train,              the data of the run: for each set that is not empty "COUNT IMAGES LABELS", the number of its
 *   data_validation,         images and the SHA-256 of all their pixels and of all their labels, bytes in the order of
 *   data_test                the set. A run goes on only with the same ones. Older checkpoints have none of the three.
 *   border_mean,             mean and deviation of the training images' outermost pixels, 0..255 (struct image_border);
 *   border_deviation         older checkpoints have neither
 *   config, config_sha256    the experiment as experiment_write writes it
 * The file holds neither a time nor a folder, so the same run gives the same bytes. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/safetensors.h"
#include "metrics/metrics.h"
#include "train/train.h"

struct checkpoint {
    struct safetensors_file file;
    int64_t step;            /* steps done */
    int64_t row_count;       /* rows of metrics.csv at that step */
    struct metrics_row best; /* set where row_count > 0; without elapsed_seconds */
    const char *config;      /* INI text */
};

/* --- writing --- */

/* Writes a checkpoint of the trainer's present state; row_count and best are those of `result`. Values that are not
 * finite are never saved: the error is then STATUS_DIVERGED and names the tensor. Another failure is STATUS_RUNTIME
 * with path and cause. In both cases an older file stays. */
bool checkpoint_write(const char *path, struct trainer *trainer, const struct run_result *result,
                      struct status *status);

/* --- reading: errors are STATUS_RUNTIME and name the file --- */

/* Reads and checks a file that checkpoint_write wrote. Free with checkpoint_free; after an error there is nothing to
 * free. */
bool checkpoint_read(struct checkpoint *checkpoint, const char *path, struct status *status);
void checkpoint_free(struct checkpoint *checkpoint); /* leaves it empty; an empty one is allowed */

/* Returns the experiment of the run, after further overrides. Free with experiment_free. */
bool checkpoint_experiment(const struct checkpoint *checkpoint, const struct experiment_override *overrides,
                           int override_count, struct experiment *experiment, struct status *status);

/* Loads parameters and running statistics into a network of the same layers, on any backend and in any precision.
 * `file` may come from another program: only its tensors layers.* count. They must match the network's tensors exactly
 * in names and shapes, and be F32 or F64. `kept`, a layer of the network or NULL, stays as it is, whatever the file has
 * for it. After an error part of the network may be overwritten. */
bool checkpoint_load_weights(const struct safetensors_file *file, struct network *network, const struct layer *kept,
                             struct status *status);

/* The format of the network's images, so that it can be used without the data that it was trained on. */
struct checkpoint_input {
    int64_t channels, height, width, classes;
    float *offset; /* (C,H,W), (C): a pixel enters the network as (pixel - offset[c,h,w]) * scale[c]; owned */
    float *scale;
    char **class_names;         /* (classes), or NULL where the data set has none; owned */
    struct dataset_digest data; /* data of the run; train.count is 0 where an older checkpoint does not tell */
    struct image_border border; /* of the training images */
};

/* Reads it. Free with checkpoint_input_free; after an error there is nothing to free. */
bool checkpoint_input_read(struct checkpoint_input *input, const struct safetensors_file *file, struct status *status);
void checkpoint_input_free(struct checkpoint_input *input); /* leaves it empty */

/* Restores all of a trainer's state. trainer_create must just have made the trainer for the same experiment and
 * data. */
bool checkpoint_restore(const struct checkpoint *checkpoint, struct trainer *trainer, struct status *status);

/* --- the folder of a run: FOLDER/checkpoints/step_<step>.safetensors and best.safetensors --- */

enum checkpoint_choice {
    CHECKPOINT_LAST, /* the checkpoint of the highest step */
    CHECKPOINT_BEST, /* the checkpoint of the best evaluation: checkpoint.best_by */
};

/* Returns the path of a run's checkpoint in a new string, or NULL with the reason in `status`. `run` may also be the
 * path of a file, which is then the answer for either choice. */
char *checkpoint_find(const char *run, enum checkpoint_choice choice, struct status *status);

/* Calls checkpoint_find, then checkpoint_read. */
bool checkpoint_open(struct checkpoint *checkpoint, const char *run, enum checkpoint_choice choice,
                     struct status *status);

#endif
