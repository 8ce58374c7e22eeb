/* Checkpoints: all that a run needs to go on as if it had never stopped, in one safetensors file with a digest
 * (safetensors.h), that appears whole or not at all.
 *
 * Tensors, in the boundary's order, F32 (F64 with backend.precision = fp64), under the names of PyTorch's state_dict of
 * an nn.Sequential called `layers`, where <i> is the index of the layer in the network:
 *   layers.<i>.weight                                  (O,I,K,K) of a convolution, (O,I) of a linear layer, (C) of a
 *                                                      batch normalization
 *   layers.<i>.bias                                    (O) or (C)
 *   layers.<i>.running_mean, layers.<i>.running_var    (C)
 *   training.layers.<i>.weight, ...                    with train.ema_decay only: then layers.<i> are the averages, which
 *                                                      evaluations use, and these are what training goes on with
 *   optimizer.<moment>.layers.<i>.weight, ...          of each parameter; <moment>: momentum_buffer of SGD with a
 *                                                      momentum, exp_avg and exp_avg_sq of Adam
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
 *   classes, class_names     how many classes there are, and a JSON list of their names where the data set has names
 *   data_train,              the data of the run: for each set that is not empty "COUNT IMAGES LABELS", the number of its
 *   data_validation,         images and the SHA-256 of all their pixels and of all their labels, bytes in the order of the
 *   data_test                set. A run goes on only with the same ones. Checkpoints of before have none of the three.
 *   config, config_sha256    the experiment as experiment_write writes it
 * No time and no folder is in it: the same run gives the same bytes. */
#ifndef TRAINER_CHECKPOINT_H
#define TRAINER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/metrics.h"
#include "trainer/safetensors.h"
#include "trainer/train.h"

struct checkpoint {
    struct safetensors_file file;
    int64_t step;            /* steps done */
    int64_t row_count;       /* of metrics.csv */
    struct metrics_row best; /* where row_count > 0; without elapsed_seconds */
    const char *config;      /* INI text */
};

/* --- writing --- */

/* A checkpoint of the trainer as it stands; row_count and best are those of `result`. What is not finite is never
 * saved: then the error is STATUS_DIVERGED and names the tensor, else it is STATUS_RUNTIME with path and cause; in both
 * cases a file that was there before stays. */
bool checkpoint_write(const char *path, struct trainer *trainer, const struct run_result *result,
                      struct status *status);

/* --- reading: errors are STATUS_RUNTIME and name the file --- */

/* Reads and checks a file as checkpoint_write wrote it. Free with checkpoint_free; after an error there is nothing to
 * free. */
bool checkpoint_read(struct checkpoint *checkpoint, const char *path, struct status *status);
void checkpoint_free(struct checkpoint *checkpoint); /* leaves it empty; an empty one is allowed */

/* The experiment that it was written in, after further overrides ("section.key=value"). Free with experiment_free. */
bool checkpoint_experiment(const struct checkpoint *checkpoint, const char *const *overrides, int override_count,
                           struct experiment *experiment, struct status *status);

/* Parameters and running statistics into a network of the same layers, on any backend and in any precision. `file` may
 * also be one of somebody else's: only its tensors layers.* count, and those must be the network's, neither more nor
 * less, in name and shape, F32 or F64. After an error part of the network may have been written. */
bool checkpoint_load_weights(const struct safetensors_file *file, struct network *network, struct status *status);

/* What the network's images are, so that it can be used without the data that it was trained on. */
struct checkpoint_input {
    int64_t channels, height, width, classes;
    float *offset; /* (C,H,W), (C): a pixel enters the network as (pixel - offset[c,h,w]) * scale[c]; owned */
    float *scale;
    char **class_names;         /* (classes), or NULL where the data set has none; owned */
    struct dataset_digest data; /* of the run; train.count is 0 where an older checkpoint does not tell */
};

/* Free with checkpoint_input_free; after an error there is nothing to free. */
bool checkpoint_input_read(struct checkpoint_input *input, const struct safetensors_file *file, struct status *status);
void checkpoint_input_free(struct checkpoint_input *input); /* leaves it empty */

/* All of a trainer's state, into one that trainer_create has just made for the same experiment and data. */
bool checkpoint_restore(const struct checkpoint *checkpoint, struct trainer *trainer, struct status *status);

/* --- the folder of a run: FOLDER/checkpoints/step_<step>.safetensors and best.safetensors --- */

enum checkpoint_choice {
    CHECKPOINT_LAST, /* of the highest step */
    CHECKPOINT_BEST, /* of the best evaluation: checkpoint.best_by */
};

/* The path of a run's checkpoint in a new string, or NULL with the reason in `status`. `run` may also be the path of a
 * file, which is then the answer, whatever the choice. */
char *checkpoint_find(const char *run, enum checkpoint_choice choice, struct status *status);

/* checkpoint_find, then checkpoint_read. */
bool checkpoint_open(struct checkpoint *checkpoint, const char *run, enum checkpoint_choice choice,
                     struct status *status);

#endif
