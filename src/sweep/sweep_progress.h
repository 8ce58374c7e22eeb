/* Shows people how a sweep goes. A terminal gets one line that is rewritten. Elsewhere, and with plain progress, each
 * trial gets a line. */
#ifndef SWEEP_PROGRESS_H
#define SWEEP_PROGRESS_H

#include "data/dataset.h"
#include "report/progress.h"
#include "sweep/sweep_results.h"
#include "sweep/sweep_shard.h"

/* The trials of a rung that this process has to do: those of the sweep, or of a shard. */
struct sweep_part {
    int rung;
    const int32_t *trials; /* (count) */
    int32_t count;
};

struct sweep_progress {
    const struct sweep *sweep;
    struct sweep_shard shard;
    struct progress line;
    /* Trials over all rungs, of a shard up to the present rung; done includes those of earlier processes. */
    int64_t done, total;
    int rung;        /* the last one that is counted in the total of a shard */
    int64_t session; /* trials that this process has done */
    int jobs;
    double work, work_left; /* see trial_work: work done in this session, and work that is left */
    double started;         /* seconds of the clock */
    double best_accuracy;   /* best accuracy so far; NAN: none yet */
    int32_t best_trial;
    bool estimated; /* the first estimate is printed */
};

/* Call it before the first trial, which is one of `first`. `results` holds the trials that are done. output = NULL: nothing
 * is ever printed. */
void sweep_progress_start(struct sweep_progress *progress, const struct sweep *sweep, const struct sweep_shard *shard,
                          const struct sweep_part *first, const struct dataset *dataset,
                          const struct sweep_results *results, const char *backend, int jobs,
                          const struct run_output *output);

/* Call it before the first trial of a rung. */
void sweep_progress_rung(struct sweep_progress *progress, const struct sweep_part *part, const struct dataset *dataset,
                         const struct sweep_results *results);

/* Prints why a trial failed, on the standard error; sweep_progress_trial does so by itself. */
void sweep_progress_problem(struct sweep_progress *progress, const struct sweep_result *result,
                            const struct status *problem);

void sweep_progress_trial(struct sweep_progress *progress, const struct dataset *dataset,
                          const struct sweep_result *result, const struct status *problem);

/* Rewrites the line of a terminal if that is due. */
void sweep_progress_refresh(struct sweep_progress *progress);

/* Call it after the last trial, or before an error. */
void sweep_progress_finish(struct sweep_progress *progress);

/* Returns the number of trials that enter a rung, if none of them fails. */
int32_t sweep_rung_trials(const struct sweep *sweep, int rung);

#endif
