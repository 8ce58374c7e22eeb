/* The loop of steps: what a run, a trial of a sweep, a benchmark and a session of the library have in common. A step may
 * be followed by a look at the sums of training, or by an evaluation. */
#ifndef TRAIN_RUN_LOOP_H
#define TRAIN_RUN_LOOP_H

#include "train/train.h"

/* What is checked where the sums of training are read. What is not finite ends the loop. */
enum run_loop_checks {
    RUN_LOOP_CHECK_NOTHING,
    RUN_LOOP_CHECK_LOSSES,  /* the loss of training, and those of evaluations */
    RUN_LOOP_CHECK_WEIGHTS, /* the same, and before an evaluation the weights and running statistics: a pass over them */
};

enum run_loop_end {
    RUN_LOOP_DONE,    /* the last step is done, or the patience is at its end */
    RUN_LOOP_STOPPED, /* `stop` became true before that */
    RUN_LOOP_FAILED,  /* a call failed, or a figure is not finite */
};

/* Calls on the way, in the order of a step; each may be NULL. Where one that takes a status returns false, the loop
 * fails. */
struct run_loop_calls {
    bool (*stop)(void *argument); /* asked before each step, and within evaluations, which are then abandoned */
    /* After each op of the step, after sums of its slices, and after exchanges (struct step_watch). */
    void (*op_done)(void *argument, const struct prepared *prepared, int op);
    void (*summed)(void *argument);
    void (*exchanged)(void *argument);
    bool (*stepped)(void *argument, struct status *status);
    bool (*is_look_due)(void *argument); /* after a step without evaluation: whether to read the sums */
    void (*looked)(void *argument);      /* loop->sums has been read and checked */
    bool (*evaluated)(void *argument, struct status *status); /* the row is in loop->result, as the last */
    bool (*finished)(void *argument, struct status *status);  /* not after an abandoned evaluation */
};

struct run_loop {
    /* The caller fills these. */
    struct trainer *trainer;
    int64_t first_step, last_step; /* steps done before the loop, and at its end */
    int64_t eval_freq;             /* steps between evaluations; the last step has one too. 0: there are none */
    int64_t patience;              /* evaluations without a better one that end the loop; 0: off */
    bool judging_set_only;         /* evaluations cover the set of result.best_by alone */
    enum run_loop_checks checks;
    const char *folder;        /* folder of the run, for messages; NULL: there is none */
    struct progress *progress; /* shows evaluations; NULL: nothing does */
    bool evaluation_due;       /* the step before the loop is evaluated first, as it has not been */
    struct run_loop_calls calls;
    void *argument; /* of the calls */

    /* The loop fills these. `result` has columns, best_by and the rows of the steps before from the caller. */
    struct run_result result;
    struct metrics_row row; /* of the last evaluation, also where it failed a check */
    struct metrics sums;    /* since the evaluation before, as they were read last */
    bool abandoned;         /* the present step's evaluation was */
    double started;         /* clock at the start of training, without the time between a stop and its resume */
    double resumed;         /* clock when training went on after the last evaluation */
};

/* Trains until the last step. */
enum run_loop_end run_loop_run(struct run_loop *loop, struct status *status);

/* Tells whether the loop is at its regular end. */
bool run_loop_is_finished(const struct run_loop *loop);

/* Tells whether the present step is one that is evaluated. */
bool run_loop_is_evaluated(const struct run_loop *loop);

/* Evaluates now, as the loop does after some steps. An abandoned evaluation is no failure. */
bool run_loop_evaluate(struct run_loop *loop, struct status *status);

/* Reads the sums of training and checks, as before an evaluation. */
bool run_loop_check(struct run_loop *loop, struct status *status);

/* Returns the images per second of training up to now, evaluations left out. */
double run_loop_speed(const struct run_loop *loop);

#endif
