/* A training session with its data and its backend, from the text of a config. Include after criterion. */
#ifndef TESTS_SESSION_SUPPORT_H
#define TESTS_SESSION_SUPPORT_H

#include "experiment_support.h"
#include "trainer/train.h"

struct session {
    struct experiment experiment;
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
};

/* Opens a session and takes over the backend; NULL stands for the CPU in the config's precision. */
static inline struct session *session_open_on(const char *text, struct backend *backend, int threads)
{
    struct session *session = memory_alloc(1, sizeof *session);
    struct status status = {0};
    experiment_from(&session->experiment, text);
    session->backend = backend ? backend : backend_of(session->experiment.backend.precision, threads);
    cr_assert(dataset_load(&session->dataset, &session->experiment, &status), "%s", status.message);
    bool created =
        trainer_create(&session->trainer, &session->experiment, &session->dataset, session->backend, &status);
    cr_assert(created, "%s", status.message);
    return session;
}

static inline struct session *session_open(const char *text, int threads)
{
    return session_open_on(text, NULL, threads);
}

static inline void session_close(struct session *session)
{
    trainer_destroy(&session->trainer);
    dataset_free(&session->dataset);
    backend_destroy(session->backend);
    experiment_free(&session->experiment);
    free(session);
}

#endif
