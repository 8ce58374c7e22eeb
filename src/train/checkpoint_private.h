/* The list of a checkpoint's tensors and texts, for writing and reading alike. */
#ifndef TRAIN_CHECKPOINT_PRIVATE_H
#define TRAIN_CHECKPOINT_PRIVATE_H

#include "train/checkpoint.h"

/* A tensor of a network or an optimizer, with its name and shape in a file. */
struct checkpoint_item {
    char *name;           /* freed after the visit */
    struct tensor tensor; /* on the backend */
    int rank;
    int64_t shape[4];
};

/* Calls `visit` for each tensor of a network until one call fails, layer by layer: parameters, then buffers. */
bool checkpoint_each_weight(const struct network *network, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument);

/* Does the same for a trainer, with the weights that its evaluations use. Where those are an average, the weights that
 * training goes on with follow, named training.layers.<i>.weight and so on. */
bool checkpoint_each_trained(struct trainer *trainer, bool (*visit)(void *, const struct checkpoint_item *),
                             void *argument);

/* Does the same for each moment of the optimizer; its tensors lie in the moment's arena as the parameters do in
 * theirs. */
bool checkpoint_each_moment(const struct optimizer *optimizer, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument);

/* The columns of the best row, as `best_<name>`. A COUNT is an int64_t, the others are doubles. A file has both figures
 * of a set or neither. */
struct checkpoint_column {
    const char *name;
    size_t offset; /* in struct metrics_row */
    bool count;
    const char *partner; /* the name of the set's other figure; NULL: the file always has the column */
};
enum { CHECKPOINT_COLUMNS = 9 };
extern const struct checkpoint_column checkpoint_columns[CHECKPOINT_COLUMNS];

/* Returns true for a checkpoint of an older version. Its run's first epoch was in the order of the files, which its
 * config does not say, and its validation set was the first samples of the training set. */
bool checkpoint_is_before_shuffling(const struct checkpoint *checkpoint);

/* Returns the names of the data set's classes as a checkpoint has them, a line each, in a new string; NULL: it has
 * none. */
char *checkpoint_class_names(const struct dataset *dataset);

/* Returns the key of a set's text: data_train, data_validation or data_test. */
enum { CHECKPOINT_SETS = 3 };
const char *checkpoint_data_key(int set);

/* Returns a set's text in a new string; NULL where the set is empty. */
char *checkpoint_data_text(const struct dataset_digest *digest, int set);

/* Reads a set's text; returns false where it is malformed. */
bool checkpoint_data_parse(struct dataset_digest *digest, int set, const char *text);

/* Reads the texts; train.count is 0 where an older checkpoint has none. */
bool checkpoint_data_read(struct dataset_digest *digest, const struct safetensors_file *file, struct status *status);

/* Checks that the data set is the one that the file was written with; the error (STATUS_RUNTIME) names the
 * difference. */
bool checkpoint_data_check(const struct safetensors_file *file, const struct dataset *dataset, struct status *status);

/* Writes a shape for messages: "(64,3,3,3)". */
void checkpoint_format_shape(int rank, const int64_t *shape, char *text, size_t size);

extern const char checkpoint_version[], checkpoint_rng[];

/* Returns the highest step below `before` (INT64_MAX: of all) with a checkpoint in the run's folder, or -1. */
int64_t checkpoint_last_step(const char *run, int64_t before);

/* Returns FOLDER/checkpoints/step_<step>.safetensors in a new string. */
char *checkpoint_step_path(const char *run, int64_t step);

/* Returns true for the name of a step's checkpoint, and gives the step. */
bool checkpoint_step_of(const char *name, int64_t *step);

#endif
