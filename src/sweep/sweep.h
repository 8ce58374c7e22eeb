/* A search over hyper-parameters: an experiment whose [sweep] section lists alternatives for some of its keys. Every
 * combination of them is a trial: a network trained from its start, ranked by the best accuracy that its evaluations
 * find.
 *
 *   [sweep]
 *   model.hidden = (128 | 256 | 384 | 512)^1..3     # every list of 1 to 3 entries: 84 lists
 *   optimizer.learning_rate = 1e-7 | 1e-6 | 1e-5
 *   rank_by = validation
 *
 * Trials are numbered from 1 in the order of nested loops: the first key of the section changes slowest, the last one
 * fastest. The result of a trial depends on its values alone, not on the number of trials side by side nor on their
 * order. */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/experiment.h"
#include "report/progress.h"
#include "util/choice.h"
#include "util/status.h"

enum {
    SWEEP_VALUES_MAX = 4096,   /* alternatives of a key */
    SWEEP_TRIALS_MAX = 1000000 /* combinations */
};

#define SWEEP_ORDER_CHOICES(X) X(SWEEP_ORDER_GRID, "grid") X(SWEEP_ORDER_RANDOM, "random")
enum sweep_order { SWEEP_ORDER_CHOICES(CHOICE_ENUMERATOR) };

#define SWEEP_RANK_CHOICES(X) X(SWEEP_RANK_VALIDATION, "validation") X(SWEEP_RANK_TEST, "test")
enum sweep_rank { SWEEP_RANK_CHOICES(CHOICE_ENUMERATOR) };

#define SWEEP_HALVING_CHOICES(X) X(SWEEP_HALVING_OFF, "off") X(SWEEP_HALVING_ON, "on")
enum sweep_halving { SWEEP_HALVING_CHOICES(CHOICE_ENUMERATOR) };

/* The sweep's own keys: those of [sweep] without a dot. */
struct sweep_settings {
    enum sweep_order order;
    enum sweep_rank rank_by; /* the set whose accuracy ranks the trials */
    int64_t limit;           /* most trials to run; 0: all */
    int64_t jobs;            /* trials side by side; 0: one for each core that the process may use */
    enum sweep_halving halving;
    int64_t eta, rungs; /* settings of successive halving */
};
enum { SWEEP_KEY_COUNT = 7 };

/* A key of the experiment and its alternatives. */
struct sweep_factor {
    int key; /* index in the table of keys */
    struct key_origin origin;
    char *text;    /* the text in the config */
    char **values; /* (value_count) as the key's value is written out; all different */
    int value_count;
};

struct sweep {
    char name[EXPERIMENT_NAME_SIZE]; /* experiment.name */
    /* The experiment of the file without [sweep]. Only a trial's experiment is checked as a whole. */
    struct experiment base;
    struct sweep_settings settings;
    struct key_origin origins[SWEEP_KEY_COUNT]; /* origins of the settings, in the order of their table */
    struct sweep_factor *factors;               /* in the order of the section */
    int factor_count;
    int32_t grid_size;   /* combinations */
    int32_t *order;      /* (trial_count) the trials to run, in this order; the first is 0 */
    int32_t trial_count; /* grid_size, or the limit */
};

/* Reads the config and applies `overrides`, of which those of the section "sweep" go to [sweep]. Checks every
 * alternative and the experiment of every trial. Free with sweep_free. */
bool sweep_load(struct sweep *sweep, const char *path, const struct experiment_override *overrides, int override_count,
                struct status *status);
void sweep_free(struct sweep *sweep);

/* Makes the experiment of a trial, 0 <= trial < grid_size. Free with experiment_free. */
bool sweep_trial(const struct sweep *sweep, int32_t trial, struct experiment *experiment, struct status *status);

/* Returns the value of factor f in a trial, as text. */
const char *sweep_value(const struct sweep *sweep, int32_t trial, int f);

/* Successive halving (Jamieson and Talwalkar 2016): rung r = 1..rungs trains for max_steps / eta^(rungs - r) steps, and
 * the best 1/eta of its trials, rounded up, enter the next rung. There they start from the beginning again and repeat
 * themselves exactly, so that no network needs to be kept. Without halving there is one rung. */
int sweep_rung_count(const struct sweep *sweep);
int64_t sweep_rung_steps(const struct sweep *sweep, int64_t max_steps, int rung);

/* One of `count` processes that share the trials (sweep_shard.h): 0 <= index < count. Zeros: the whole sweep. */
struct sweep_shard {
    int index, count;
};

/* Runs the trials that have no result in `folder` yet. Makes the folder with its parents, and writes there:
 *   sweep.ini    the sweep, resolved. A folder of another sweep is refused (STATUS_USAGE)
 *   data.ini     the data set, by digests. Another data set is refused (STATUS_RUNTIME)
 *   results.csv  a row per trial and rung, on the disk as soon as it ends
 *   best.safetensors   the weights of the best trial, a checkpoint (checkpoint.h); without checkpoint.best there is none
 *   ranking.md   all trials, the best first
 *   factors.png, factors.svg   best accuracy by value of each key, where gnuplot is installed
 * Prints its progress and the best trials to `output` (NULL: nothing is printed). After a kill at any time the sweep
 * can be started again and goes on. A lock on the folder refuses a second process.
 *
 * A shard (NULL: the whole sweep) runs its part of them and writes results-K-of-N.csv, best-K-of-N.safetensors and neither
 * ranking nor pictures. Nobody locks the folder then: each shard locks its own table of results, and the whole sweep is
 * refused while one of them runs, as they are while it runs. Every process reads the results of all. A result that two
 * tables have must be the same in both but for its seconds (STATUS_RUNTIME). With halving a shard whose part of a rung is
 * done goes on where all others have theirs done as well; else it ends well, with a line.
 *
 * A trial that this machine could not train, since it lacks a file that the trial needs, has no result, and is an error in
 * the end (STATUS_RUNTIME); the third one in a row ends the process (STATUS_USAGE). */
bool sweep_run(const struct sweep *sweep, const char *folder, const struct sweep_shard *shard,
               const struct run_output *output, struct status *status);

/* Writes the sweep's own keys with their defaults, and the syntax of alternatives, as comments of a config. */
void sweep_print_defaults(FILE *out);

#endif
