/* What a sweep shows to people while it goes: on a terminal one line that is rewritten, elsewhere, and where plain
 * progress is asked for, a line per trial. */
#ifndef SWEEP_PROGRESS_H
#define SWEEP_PROGRESS_H

#include "sweep/sweep_results.h"
#include "trainer/dataset.h"
#include "trainer/progress.h"

struct sweep_progress {
    const struct sweep *sweep;
    struct progress line;
    int64_t done, total; /* trials, over all rungs; done: of earlier sessions too */
    int64_t session;     /* trials done since the start */
    int jobs;
    double work, work_left; /* see trial_work: done since the start, and to be done */
    double started;         /* seconds of the clock */
    double best_accuracy;   /* NAN: none yet */
    int32_t best_trial;
    bool estimated; /* the line with the first estimate is out */
};

/* Before the first trial. `results` has what is done. output = NULL: nothing is ever printed. */
void sweep_progress_start(struct sweep_progress *progress, const struct sweep *sweep, const struct dataset *dataset,
                          const struct sweep_results *results, const char *backend, int jobs,
                          const struct run_output *output);

/* Before the first trial of a rung. */
void sweep_progress_rung(struct sweep_progress *progress, int rung, int32_t trials);

void sweep_progress_trial(struct sweep_progress *progress, const struct dataset *dataset,
                          const struct sweep_result *result, const struct status *problem);

/* Rewrites the line of a terminal, if that is due. */
void sweep_progress_refresh(struct sweep_progress *progress);

/* After the last trial, or before an error. */
void sweep_progress_finish(struct sweep_progress *progress);

/* How many trials enter a rung, if none of them fails. */
int32_t sweep_rung_trials(const struct sweep *sweep, int rung);

#endif
