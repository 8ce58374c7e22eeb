/* Training step by step (trainer/session.h). */
#include <trainer/session.h>

#include <stdlib.h>

#include "build/build.h"
#include "config/experiment_read.h"
#include "library/library_private.h"
#include "train/init_from.h"
#include "train/run_loop.h"
#include "train/run_resume.h"
#include "util/memory.h"

struct trainer_session {
    struct experiment experiment; /* with train.max_steps as train.epochs gives it */
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct run_loop loop; /* its result has the evaluations, as a checkpoint tells them */
};

/* --- creating --- */

static bool build(struct trainer_session *session, struct status *status)
{
    struct experiment *experiment = &session->experiment;
    if (!dataset_from_experiment(&session->dataset, experiment, NULL, status) ||
        !experiment_count_steps(experiment, session->dataset.train.count, status) ||
        !backend_from_experiment(&session->backend, experiment, status) ||
        !trainer_create(&session->trainer, experiment, &session->dataset, session->backend, NULL, status))
        return false;
    session->loop = (struct run_loop){.trainer = &session->trainer, .checks = RUN_LOOP_CHECK_WEIGHTS};
    session->loop.result.columns = trainer_columns(&session->trainer);
    session->loop.result.best_by = trainer_best_by(experiment->checkpoint.best_by, session->loop.result.columns);
    return true;
}

/* The best row is all that further checkpoints need of the evaluations before. */
static bool restore(struct trainer_session *session, const struct checkpoint *checkpoint, struct status *status)
{
    if (!run_resume_check(checkpoint, checkpoint->file.path, &session->experiment, status) ||
        !checkpoint_restore(checkpoint, &session->trainer, status))
        return false;
    session->loop.result.row_count = checkpoint->row_count;
    session->loop.result.best = checkpoint->best;
    return true;
}

static struct trainer_session *finish(struct trainer_session *session, const struct status *inner,
                                      struct trainer_status *status)
{
    if (library_pass(inner, status)) return session;
    trainer_session_free(session);
    return NULL;
}

struct trainer_session *trainer_session_create(const struct trainer_experiment *experiment,
                                               struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    struct trainer_session *session = memory_alloc(1, sizeof *session);
    char *start = NULL;
    experiment_copy(&session->experiment, &experiment->experiment);
    if (build(session, &inner)) init_from_load(&session->trainer, &start, &inner);
    free(start);
    return finish(session, &inner, status);
}

struct trainer_session *trainer_session_resume(const struct trainer_experiment *experiment, const char *checkpoint,
                                               struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    struct trainer_session *session = memory_alloc(1, sizeof *session);
    struct checkpoint file;
    bool good = checkpoint_open(&file, checkpoint, CHECKPOINT_LAST, &inner);
    if (good && experiment)
        experiment_copy(&session->experiment, &experiment->experiment);
    else if (good)
        good = checkpoint_experiment(&file, NULL, 0, &session->experiment, &inner);
    if (good && build(session, &inner)) restore(session, &file, &inner);
    checkpoint_free(&file);
    return finish(session, &inner, status);
}

void trainer_session_free(struct trainer_session *session)
{
    if (!session) return;
    trainer_destroy(&session->trainer);
    backend_destroy(session->backend);
    dataset_free(&session->dataset);
    experiment_free(&session->experiment);
    free(session);
}

/* --- steps --- */

int64_t trainer_session_step(struct trainer_session *session, int64_t count)
{
    int64_t first = session->trainer.step, left = session->experiment.train.max_steps - first;
    struct status no_check; /* nothing is checked between evaluations */
    session->loop.last_step = first + (count < left ? count : left);
    run_loop_run(&session->loop, &no_check);
    return session->trainer.step - first;
}

int64_t trainer_session_steps(const struct trainer_session *session)
{
    return session->trainer.step;
}

int64_t trainer_session_max_steps(const struct trainer_session *session)
{
    return session->experiment.train.max_steps;
}

struct trainer_figures trainer_session_mean(struct trainer_session *session)
{
    return library_figures(evaluation_mean(network_metrics(session->trainer.network)));
}

/* --- evaluations and checkpoints --- */

bool trainer_session_evaluate(struct trainer_session *session, struct trainer_evaluation *evaluation,
                              struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    if (run_loop_evaluate(&session->loop, &inner)) *evaluation = library_evaluation(&session->loop.row);
    return library_pass(&inner, status);
}

bool trainer_session_save(struct trainer_session *session, const char *path, struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    if (run_loop_check(&session->loop, &inner))
        checkpoint_write(path, &session->trainer, &session->loop.result, &inner);
    return library_pass(&inner, status);
}
