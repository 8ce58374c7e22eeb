/* A training session with its data and its backend, from the text of a config. Include after criterion. */
#ifndef TESTS_SESSION_SUPPORT_H
#define TESTS_SESSION_SUPPORT_H

#include "experiment_support.h"
#include "train/checkpoint.h"
#include "train/train.h"

struct session {
    struct experiment experiment;
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
};

/* Opens a session and takes over the experiment and the backend. */
static inline struct session *session_of(struct experiment experiment, struct backend *backend)
{
    struct session *session = memory_alloc(1, sizeof *session);
    struct status status = {0};
    session->experiment = experiment;
    session->backend = backend;
    cr_assert(dataset_from_experiment(&session->dataset, &session->experiment, NULL, &status), "%s", status.message);
    bool created = trainer_create(&session->trainer, &session->experiment, &session->dataset, backend, NULL, &status);
    cr_assert(created, "%s", status.message);
    return session;
}

/* The same for the text of a config; a backend of NULL stands for the CPU in the config's precision. */
static inline struct session *session_open_on(const char *text, struct backend *backend, int threads)
{
    struct experiment experiment;
    experiment_from(&experiment, text);
    return session_of(experiment, backend ? backend : backend_of(experiment.backend.precision, threads));
}

static inline struct session *session_open(const char *text, int threads)
{
    return session_open_on(text, NULL, threads);
}

/* Does a step and returns the mean loss of its batch. */
static inline double session_step_loss(struct session *session)
{
    network_set_metrics(session->trainer.network, (struct metrics){0});
    trainer_step(&session->trainer);
    struct metrics sums = network_metrics(session->trainer.network);
    cr_assert_eq(sums.count, session->experiment.train.batch_size);
    return sums.loss / (double)sums.count;
}

/* Writes a checkpoint of the session, and gives its state to another of the same config. */
static inline void session_save(struct session *session, const char *path)
{
    struct run_result result = {0};
    struct status status = {0};
    cr_assert(checkpoint_write(path, &session->trainer, &result, &status), "%s", status.message);
}

static inline void session_restore(struct session *session, const char *path)
{
    struct checkpoint checkpoint;
    struct status status = {0};
    cr_assert(checkpoint_read(&checkpoint, path, &status), "%s", status.message);
    cr_assert(checkpoint_restore(&checkpoint, &session->trainer, &status), "%s", status.message);
    checkpoint_free(&checkpoint);
}

/* What the ops of a step or an evaluation read and wrote, in host order; freed with free(). */
struct session_batch {
    double *x, *logits; /* (N,C,H,W) and (N,D) */
    int32_t labels[256];
    int64_t n;
};

static inline void session_see(void *argument, const struct prepared *prepared, int op)
{
    struct session_batch *batch = argument;
    const struct op_call *call = &prepared->calls[op];
    struct backend *backend = prepared->backend;
    if (call->op->kind == OP_GATHER) {
        batch->n = call->tensor[GATHER_X].shape.n;
        batch->x = support_read(backend, &call->tensor[GATHER_X]);
        memcpy(batch->labels, call->tensor[GATHER_LABELS].data, (size_t)batch->n * sizeof *batch->labels);
    }
    if (call->op->kind == OP_SOFTMAX_CROSS_ENTROPY)
        batch->logits = support_read(backend, &call->tensor[SOFTMAX_CROSS_ENTROPY_LOGITS]);
}

/* Takes a training step and returns what it saw. */
static inline struct session_batch session_step(struct session *session)
{
    struct session_batch batch = {0};
    trainer_watch_step(&session->trainer, &(struct step_watch){.op_done = session_see, .argument = &batch});
    return batch;
}

/* Evaluates the first n samples of a set as one batch. */
static inline struct session_batch session_evaluate(struct session *session, const struct device_dataset *data,
                                                    int64_t first, int64_t n)
{
    struct session_batch batch = {0};
    struct run_input input = {.state = {.batch_first = first}, .n = n, .data = data, .refresh = true};
    prepared_watch(session->trainer.evaluate, &input, session_see, &batch);
    return batch;
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
