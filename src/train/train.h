/* One run: from an experiment to metrics.csv. */
#ifndef TRAIN_H
#define TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "backend/prepared.h"
#include "config/experiment.h"
#include "data/dataset.h"
#include "metrics/metrics.h"
#include "nn/network.h"
#include "optim/ema.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "report/progress.h"
#include "train/ranks.h"
#include "train/slices.h"

/* A batch of n samples of a set; an evaluation counts all of them but the first `skipped`. */
struct evaluation_batch {
    int64_t n, skipped;
};

/* A set on the device, or a part of it, and the batches that cover it: full ones, then the tail (n = 0: none). data is
 * NULL where count is 0. Where the network normalises by the batch at hand in evaluation too (network_needs_batches),
 * the tail is the last full.n samples of the set; those that a full batch has counted already are skipped. */
struct evaluation_set {
    const char *name; /* name for people */
    int64_t count;
    struct device_dataset *data;
    const int32_t *order; /* of all samples of data: the first `count` are the part; NULL: file order */
    struct evaluation_batch full, tail;
};

/* The number of batches that cover it. */
int64_t evaluation_set_batches(const struct evaluation_set *set);

/* A training session in memory: everything that a step needs. */
struct trainer {
    const struct experiment *experiment;
    const struct dataset *dataset;
    struct backend *backend;
    struct network *network;
    struct optimizer optimizer;
    struct schedule_params schedule;
    double learning_rate; /* of every step, in the schedule's place; 0: the schedule's */
    struct ema ema;       /* moving average that evaluations use, where train.ema_decay is not 0 */
    struct network_program training, evaluation; /* a step, or one of its slices, and the evaluation of a batch */
    struct prepared *train, *evaluate;           /* the same, ready to run; train is NULL where a step has slices */
    struct slices slices;                        /* where a step has more than one */
    struct ranks ranks;                          /* that share them; comm is NULL where this process is alone */
    struct program *update, *average;            /* what ends a step in slices, or NULL */
    struct prepared *updating, *averaging;       /* the same, ready to run */
    struct optimizer *whole;    /* rank 0: states of all ranks, while a checkpoint is read or written */
    double *class_weights;      /* (classes) of a step in slices; NULL where there are none */
    struct metrics *batch_sums; /* with slices: of each batch of an evaluation */
    void *work;                 /* SPACE_WORK of all programs, in turn */
    struct evaluation_set train_set, validation_set, test_set; /* validation_set and test_set may be empty */
    struct evaluation_set train_part; /* the part of train_set that evaluations cover; both have the same data */
    struct tensor magnitude;          /* a double, for the norm of the weights */
    int32_t *part_order;              /* (train.count) order of train_part; NULL where that is all of the set or none */
    struct augment_params augment;    /* of the training batches */
    int64_t optimizer_bytes;          /* of memory, moving average included */
    int64_t data_bytes;        /* of the uploaded sets; with optimizer_bytes and network->memory it is the run's peak */
    int64_t batches_per_epoch; /* whole batches; the tail is dropped */
    int32_t *order;            /* (train.count) order of the present epoch */
    struct read_ahead *ahead;  /* reads the coming batches of a mapped training set; NULL: nothing to read */
    int64_t epoch;             /* epoch of `order`; -1 before the first step */
    int64_t step;              /* steps done */
    int64_t evaluation_batch;  /* most samples of an evaluation's batch */
    bool refresh;              /* the weights are not those that the last step left: the next one runs the once part */
};

/* Builds network and optimizer on the backend and uploads the data. Experiment, dataset, backend and comm stay the caller's
 * and must outlive the trainer. comm is NULL where the process trains alone. Destroy with trainer_destroy, also after a
 * failure. */
bool trainer_create(struct trainer *trainer, const struct experiment *experiment, const struct dataset *dataset,
                    struct backend *backend, struct comm *comm, struct status *status);
void trainer_destroy(struct trainer *trainer);

/* Prints one line: the most memory that the run takes, and its parts. */
void trainer_print_memory(const struct trainer *trainer, FILE *out);

/* Checks an experiment against its data; trainer_create calls it first. A batch must be no larger than the training
 * set, augmentation must leave something of an image, class weights must fit the classes, and the set that judges
 * evaluations must be there. */
bool trainer_check_dataset(const struct experiment *experiment, const struct dataset *dataset, struct status *status);

/* Does one training step: gather, forward, loss, backward, optimizer, moving average. Adds its loss to the backend's
 * metrics. With several ranks it is rank 0 that calls it, and trainer->ranks tells whether it failed; so with evaluations. */
void trainer_step(struct trainer *trainer);

/* The other ranks' part: rank 0 gives them its state (trainer_lead_share), and they do what it tells them until it ends.
 * *code is then the exit code of the run. False where an exchange failed. */
bool trainer_follow(struct trainer *trainer, int *code, struct status *status);

/* The optimizer with all states, for a checkpoint: with several ranks rank 0 first gets those of the others. NULL where an
 * exchange failed. trainer_release_whole frees what they took. */
const struct optimizer *trainer_whole_optimizer(struct trainer *trainer, struct status *status);
void trainer_release_whole(struct trainer *trainer);

/* The same for states that are about to be read from a file. Rank 0 deals them out with trainer_lead_share. */
const struct optimizer *trainer_empty_optimizer(struct trainer *trainer);

/* Rank 0: gives the others the weights, statistics and states of the optimizer, before the first step; and tells them that
 * the run ends. Both do nothing in a process that trains alone. False where an exchange failed. */
bool trainer_lead_share(struct trainer *trainer, struct status *status);
bool trainer_lead_end(struct trainer *trainer, int code, struct status *status);

/* Does the same as trainer_step op by op, and tells the watch. */
void trainer_watch_step(struct trainer *trainer, const struct step_watch *watch);

/* Loss and accuracy over a set of the trainer, not empty, in its order and in evaluation mode, with the moving average
 * of the parameters where there is one. Zeroes the metrics. */
struct evaluation trainer_evaluate(struct trainer *trainer, const struct evaluation_set *set);

/* Evaluates this rank's batches of the set of that number, as a command of rank 0 says. The sums are rank 0's. */
void trainer_evaluate_share(struct trainer *trainer, int set);

/* Who watches an evaluation. */
struct evaluation_watch {
    struct progress *progress;    /* shows how far it is; NULL: nothing does */
    bool (*stop)(void *argument); /* is asked after each batch, and abandons the evaluation; NULL: it never does */
    void *argument;
};

/* Does the same, and returns false where it was abandoned. watch may be NULL. */
bool trainer_evaluate_unless(struct trainer *trainer, const struct evaluation_set *set,
                             const struct evaluation_watch *watch, struct evaluation *evaluation);

/* The row of metrics.csv for the trainer as it stands. `only` NULL: every set that is not empty is evaluated, of the
 * training set the part that train.eval_train says; else that set alone. With train.eval_train = off the row has the
 * means of the metrics, which training has summed since the last evaluation. Zeroes those metrics. elapsed_seconds stays
 * 0. watch may be NULL. False where the evaluation was abandoned: then the metrics are what they were. */
bool trainer_evaluate_row(struct trainer *trainer, const struct evaluation_set *only,
                          const struct evaluation_watch *watch, struct metrics_row *row);

/* Returns the columns of metrics.csv beside those that every run has. */
struct metrics_columns trainer_columns(const struct trainer *trainer);

/* Returns the set that tells the best evaluation of a run that measures `columns`, as checkpoint.best_by wishes. */
enum best_by trainer_best_by(enum checkpoint_best wish, struct metrics_columns columns);

/* The treatment of a folder that holds a run already, finished or not. */
enum train_start {
    TRAIN_NEW,       /* the folder is refused (STATUS_USAGE) */
    TRAIN_OVERWRITE, /* the run is removed */
    TRAIN_RESUME,    /* the run goes on from its last checkpoint, or from the start where it has none, and says so */
    TRAIN_CONTINUE,  /* the same, but a run with rows in metrics.csv and no checkpoint is refused (STATUS_USAGE) */
};

/* Does a whole run in `folder`. Creates the folder with its parents and locks it: a second run in it is an error.
 * Prints its summary and progress to `output` (NULL: nothing is printed). result may be NULL. A run that goes on needs
 * the same experiment (see run_resume.h). Its checkpoints end with the bytes that they would have without the stop, and
 * so does metrics.csv but for elapsed_seconds.
 *
 * comm is NULL, or the ranks that share the run: all of them call this, with the same experiment (ranks_share_experiment).
 * Rank 0 does what is said here; the others touch no folder, print nothing, and return the same, without a message where
 * rank 0 has one. Where an exchange fails, comm is broken: comm_abort is the only end.
 *
 * The first SIGINT, SIGTERM or SIGHUP during training ends the step, saves, and is the error STATUS_STOPPED; the second
 * ends the process. A loss or weight that is not finite is STATUS_DIVERGED. The next evaluation finds it at the
 * latest. */
bool train_run(const struct experiment *experiment, const char *folder, enum train_start start, struct comm *comm,
               const struct run_output *output, struct run_result *result, struct status *status);

#endif
