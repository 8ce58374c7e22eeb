/* Makes the parts of training that an experiment describes. The parts themselves know nothing of experiments. */
#ifndef BUILD_H
#define BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/optimizer_row.h"
#include "config/experiment.h"
#include "data/dataset.h"
#include "nn/network.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

/* Creates the backend that the [backend] section describes; an error names the key and its place. Destroy with
 * backend_destroy. */
bool backend_from_experiment(struct backend **backend, const struct experiment *experiment, struct status *status);

/* The same for one of several ranks of a machine, which has the number `local` there: on GPUs each has its own. */
bool backend_from_experiment_for_rank(struct backend **backend, const struct experiment *experiment, int local,
                                      struct status *status);

/* The same for programs that are only listed (`listing` of struct backend_options). */
bool backend_from_experiment_to_list(struct backend **backend, const struct experiment *experiment,
                                     struct status *status);

/* The same augmentation as [augment], for a backend. An epoch has so many steps; 1 will do where flips do not matter. */
struct augment_params augment_from_experiment(const struct experiment *experiment, int64_t epoch_steps);

/* The format that the experiment's pictures are fitted to, in training and by predict alike: channels and size as
 * given, data.resize, data.background. */
struct image_format image_format_from_experiment(const struct experiment *experiment, int64_t channels, int64_t height,
                                                 int64_t width);

/* The data set that [data] describes. The texts are the experiment's. */
struct dataset_spec dataset_spec_from_experiment(const struct experiment *experiment);

/* Load it as dataset_load and dataset_load_files do, and tell `watch` (NULL: nobody) how far they are. An error in a key
 * names its place. Warn of keys that have no effect on this format. */
bool dataset_from_experiment(struct dataset *dataset, const struct experiment *experiment,
                             const struct dataset_watch *watch, struct status *status);
bool dataset_files_from_experiment(struct dataset *dataset, const struct experiment *experiment,
                                   const struct dataset_watch *watch, struct status *status);

/* Finds the size of its images and the number of classes. Where the files are missing or damaged, takes what the
 * experiment tells (dataset_assume), and `missing` gets the error in the files; else its code is STATUS_OK. */
bool description_from_experiment(struct dataset_description *description, const struct experiment *experiment,
                                 struct status *missing, struct status *status);

/* Makes the layers of the experiment's network for images of that format, in a new array (free with model_specs_free),
 * and sets `input` to their input for one image. */
struct layer_spec *specs_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         struct shape *input, int *count);

/* Builds the experiment's network for images of that format, in batches of up to `batch`. Class weights and mixed labels
 * of training's loss are left to the caller. Errors are those of network_build. Destroy with network_destroy. */
bool network_from_experiment(struct network **network, const struct experiment *experiment,
                             struct dataset_description format, struct backend *backend, int64_t batch,
                             struct status *status);

/* Returns the most samples of one evaluation batch, for images of that format: train.eval_batch_size. Where that is 0,
 * experiment_evaluation_batch, or as many as the backend wishes (evaluation_batch of struct backend), halved until a
 * network for such a batch takes no more than half of its memory. A network that normalises by the batch at hand keeps its
 * batches on every backend. */
int64_t evaluation_batch_from_experiment(const struct experiment *experiment, struct dataset_description format,
                                         const struct backend *backend);

/* Freezes the network's parameters and sets their learning rates, as model.freeze and optimizer.rates say. Call it before
 * the optimizer is created and a program of training is written. An error names the key and its place. */
bool network_tune_from_experiment(struct network *network, const struct experiment *experiment, struct status *status);

/* The parameters of the experiment's optimizer, optimizer.name. */
struct optimizer_settings optimizer_from_experiment(const struct experiment *experiment);

/* The schedule of the experiment, whose train.max_steps is known (experiment_count_steps). */
struct schedule_params schedule_from_experiment(const struct experiment *experiment);

#endif
