/* One run: from an experiment to metrics.csv. */
#ifndef TRAINER_TRAIN_H
#define TRAINER_TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/dataset.h"
#include "trainer/ema.h"
#include "trainer/experiment.h"
#include "trainer/metrics.h"
#include "trainer/network.h"
#include "trainer/optimizer.h"
#include "trainer/progress.h"

/* A batch of n samples of a set, of which an evaluation counts all but the first `skipped`. backend_ops.run may record it,
 * so it never changes. */
struct evaluation_batch {
    struct network *network;
    const struct device_dataset *data;
    int64_t n, skipped;
};

/* A set on the device, and the batches that cover it: full ones, then the tail (n = 0: none). data is NULL where count
 * is 0. Where the network normalises by the batch at hand in evaluation too (network_needs_batches), the tail is the last
 * full.n samples of the set; those that a full batch has counted already are skipped. */
struct evaluation_set {
    const char *name; /* for people */
    int64_t count;
    struct device_dataset *data;
    struct evaluation_batch full, tail;
};

/* A training session in memory: everything a step needs. Not to be moved: the backend may keep its address. */
struct trainer {
    const struct experiment *experiment;
    const struct dataset *dataset;
    struct backend *backend;
    struct network *network;
    struct optimizer optimizer;
    struct ema ema; /* what evaluations use, where train.ema_decay is not 0 */
    struct evaluation_set train_set, validation_set, test_set; /* validation_set and test_set may be empty */
    struct augment_params augment;                             /* of the training batches */
    bool augmented;                                            /* whether it changes anything */
    int64_t optimizer_bytes;                                   /* of memory, moving average included */
    int64_t data_bytes;        /* of the uploaded sets; with optimizer_bytes and network->memory it is the run's peak */
    int64_t batches_per_epoch; /* whole ones; the tail is dropped */
    int32_t *order;            /* (train.count) of the epoch at hand */
    int64_t epoch;             /* of `order`; -1 before the first step */
    int64_t step;              /* steps done */
};

/* Builds network and optimizer on the backend and uploads the data; experiment, dataset and backend stay the caller's
 * and must outlive the trainer. Destroy with trainer_destroy, also after a failure. */
bool trainer_create(struct trainer *trainer, const struct experiment *experiment, const struct dataset *dataset,
                    struct backend *backend, struct status *status);
void trainer_destroy(struct trainer *trainer);

/* One line: how much memory the run takes at most, and for what. */
void trainer_print_memory(const struct trainer *trainer, FILE *out);

/* What about an experiment only the data can tell, which trainer_create checks first: a batch is no larger than the
 * training set, augmentation leaves something of an image, class weights fit the classes, and the set by which
 * evaluations are to be judged is there. */
bool trainer_check_dataset(const struct experiment *experiment, const struct dataset *dataset, struct status *status);

/* One training step: gather, forward, loss, backward, optimizer, moving average. Its loss is added to the backend's
 * metrics. */
void trainer_step(struct trainer *trainer);

/* Loss and accuracy over an entire set of the trainer, not empty, in file order and evaluation mode, with the
 * moving average of the parameters where there is one. Resets the backend's metrics. progress may be NULL. */
struct evaluation trainer_evaluate(struct trainer *trainer, const struct evaluation_set *set,
                                   struct progress *progress);

/* The same, but false where stop() (may be NULL) became true on the way, which is asked after each batch. */
bool trainer_evaluate_unless(struct trainer *trainer, const struct evaluation_set *set, struct progress *progress,
                             bool (*stop)(void), struct evaluation *evaluation);

/* The row of metrics.csv for the trainer as it stands: every set that is not empty is evaluated. elapsed_seconds stays
 * 0. False where stop() (may be NULL) became true on the way. */
bool trainer_evaluate_row(struct trainer *trainer, struct progress *progress, bool (*stop)(void),
                          struct metrics_row *row);

/* The columns of metrics.csv beside those that are always there. */
struct metrics_columns trainer_columns(const struct trainer *trainer);

/* The set that tells which evaluation is the best, of those that a run measures: what checkpoint.best_by comes to. */
enum best_by trainer_best_by(enum checkpoint_best wish, struct metrics_columns columns);

/* What becomes of a folder that holds a run already, finished or not. */
enum train_start {
    TRAIN_NEW,       /* refused (STATUS_USAGE) */
    TRAIN_OVERWRITE, /* the run is removed */
    TRAIN_RESUME,    /* it goes on from its last checkpoint, or from the start where it has none, and says so */
    TRAIN_CONTINUE,  /* the same, but refused (STATUS_USAGE) where it has rows in metrics.csv and no checkpoint */
};

/* A whole run in `folder` (created with its parents, and locked: a second run in it is an error), with its summary and
 * progress where `output` says (NULL: nothing is printed). result may be NULL. A run that goes on must be described by the same
 * experiment (see run_resume.h); it ends with the bytes that it would have had without the stop, in its checkpoints,
 * and in metrics.csv but for elapsed_seconds.
 *
 * The first SIGINT, SIGTERM or SIGHUP while it trains ends the step, saves, and is the error STATUS_STOPPED; the second
 * ends the process. A loss or weight that is not finite is STATUS_DIVERGED, found at the latest by the next evaluation.
 */
bool train_run(const struct experiment *experiment, const char *folder, enum train_start start,
               const struct run_output *output, struct run_result *result, struct status *status);

#endif
