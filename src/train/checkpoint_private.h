/* The list of what a checkpoint holds, for writing and reading alike: what is written is what is read back. */
#ifndef TRAIN_CHECKPOINT_PRIVATE_H
#define TRAIN_CHECKPOINT_PRIVATE_H

#include "trainer/checkpoint.h"

/* A tensor of a network, of an optimizer, and how it is called and shaped in a file. */
struct checkpoint_item {
    char *name;           /* freed after the visit */
    struct tensor tensor; /* on the backend */
    int rank;
    int64_t shape[4];
};

/* Calls `visit` for each until one fails, layer by layer: parameters, then buffers. */
bool checkpoint_each_weight(const struct network *network, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument);

/* The same for a trainer: the weights that its evaluations use; where those are an average, then also the ones that training
 * goes on with, named training.layers.<i>.weight and so on. */
bool checkpoint_each_trained(struct trainer *trainer, bool (*visit)(void *, const struct checkpoint_item *),
                             void *argument);

/* And for each moment of the optimizer: the parameters' places in its arena. */
bool checkpoint_each_moment(const struct optimizer *optimizer, bool (*visit)(void *, const struct checkpoint_item *),
                            void *argument);

/* The best row's columns, as `best_<name>`; COUNTs are int64_t, the others doubles. The two figures of a set are there
 * together or not at all. */
struct checkpoint_column {
    const char *name;
    size_t offset; /* in struct metrics_row */
    bool count;
    const char *partner; /* the name of the set's other figure; NULL: always there */
};
enum { CHECKPOINT_COLUMNS = 9 };
extern const struct checkpoint_column checkpoint_columns[CHECKPOINT_COLUMNS];

/* Whether an older version wrote it: the run's first epoch was in the order of the files, which its config does not say, and
 * its validation set the first samples of the training set. */
bool checkpoint_is_before_shuffling(const struct checkpoint *checkpoint);

/* The texts data_train, data_validation and data_test. */
enum { CHECKPOINT_SETS = 3 };
const char *checkpoint_data_key(int set);

/* The value in a new string; NULL where the set is empty. */
char *checkpoint_data_text(const struct dataset_digest *digest, int set);

/* Reads them; train.count is 0 where an older checkpoint has none. */
bool checkpoint_data_read(struct dataset_digest *digest, const struct safetensors_file *file, struct status *status);

/* Whether the data set is the one that the file was written with: STATUS_RUNTIME, naming the difference. */
bool checkpoint_data_check(const struct safetensors_file *file, const struct dataset *dataset, struct status *status);

extern const char checkpoint_version[], checkpoint_rng[];

/* The highest step below `before` (INT64_MAX: of all) that a run's folder has a checkpoint of, or -1. */
int64_t checkpoint_last_step(const char *run, int64_t before);

/* FOLDER/checkpoints/step_<step>.safetensors in a new string. */
char *checkpoint_step_path(const char *run, int64_t step);

/* Whether a file's name is that of a step's checkpoint, and which. */
bool checkpoint_step_of(const char *name, int64_t *step);

#endif
