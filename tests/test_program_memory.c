/* Trains every config of configs/ for two steps in three ways: as always, with the memory of a tensor overwritten when
 * its life ends, and with memory of its own for each tensor. The results must be the same to the bit. */
#include <string.h>
#include <criterion/criterion.h>

#include "network_support.h"
#include "nn/layer_private.h"
#include "program/passes.h"
#include "session_support.h"

enum { STEPS = 2 };

enum way { AS_ALWAYS, OVERWRITTEN, UNSHARED };

/* Opens a session on synthetic images. */
static void open_session(struct session *session, const char *config, bool fuse)
{
    const struct experiment_override overrides[] = {
        {.section = "data", .key = "dataset", .value = "synthetic"},
        {.section = "data", .key = "synthetic_train", .value = "40"},
        {.section = "data", .key = "synthetic_test", .value = "21"},
        {.section = "train", .key = "batch_size", .value = "16"},
        {.section = "train", .key = "eval_batch_size", .value = "21"},
        {.section = "train", .key = "max_steps", .value = "4"},
        {.section = "schedule", .key = "warmup_steps", .value = "1"},
    };
    int count = sizeof overrides / sizeof *overrides;
    struct status status = {0};
    char *path = memory_format("%s/%s.ini", CONFIG_FOLDER, config);
    cr_assert(experiment_load(&session->experiment, path, overrides, count, &status), "%s", status.message);
    free(path);
    session->backend = backend_of(session->experiment.backend.precision, 2);
    session->backend->fuse = fuse;
    cr_assert(dataset_from_experiment(&session->dataset, &session->experiment, NULL, &status), "%s", status.message);
    cr_assert(
        trainer_create(&session->trainer, &session->experiment, &session->dataset, session->backend, NULL, &status),
        "%s", status.message);
}

static void close_session(struct session *session)
{
    trainer_destroy(&session->trainer);
    dataset_free(&session->dataset);
    backend_destroy(session->backend);
    experiment_free(&session->experiment);
}

/* Prepares both programs anew, with bytes of its own for each tensor. */
static void unshare(struct trainer *trainer)
{
    struct backend *backend = trainer->backend;
    struct program *training = trainer->training.program, *evaluation = trainer->evaluation.program;
    int64_t shared = training->work_bytes;
    prepared_free(trainer->train), prepared_free(trainer->evaluate);
    program_place(training, false), program_place(evaluation, false);
    cr_assert_gt(training->work_bytes, shared);
    int64_t bytes = training->work_bytes > evaluation->work_bytes ? training->work_bytes : evaluation->work_bytes;
    backend->table->free(backend, trainer->work);
    trainer->work = backend->table->alloc(backend, (size_t)bytes);
    void *base[SPACES] = {[SPACE_WORK] = trainer->work};
    network_bases(trainer->network, base);
    optimizer_bases(&trainer->optimizer, base);
    ema_bases(&trainer->ema, base);
    trainer->train = prepared_create(training, backend, base);
    ema_evaluation_bases(&trainer->ema, base);
    trainer->evaluate = prepared_create(evaluation, backend, base);
}

/* The bytes of all parameters behind one another, then the metrics of the steps and of an evaluation. */
struct result {
    char *bytes;
    size_t size;
};

static void add_bytes(struct result *result, const void *bytes, size_t size)
{
    result->bytes = memory_resize(result->bytes, result->size + size, 1);
    memcpy(result->bytes + result->size, bytes, size);
    result->size += size;
}

static void add_metrics(struct result *result, const struct network *network)
{
    struct metrics metrics = network_metrics(network);
    cr_assert(metrics.loss == metrics.loss, "the loss is NaN");
    add_bytes(result, &metrics.loss, sizeof metrics.loss);
    add_bytes(result, &metrics.correct, sizeof metrics.correct);
}

static void add_parameters(struct result *result, const struct network *network)
{
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct tensor *value = &network->layers[i].parameter[p].value;
            add_bytes(result, value->data, tensor_bytes(network->backend, value->kind, value->shape));
        }
}

static struct result run(const char *config, bool fuse, enum way way)
{
    static struct session session;
    struct result result = {0};
    open_session(&session, config, fuse);
    struct trainer *trainer = &session.trainer;
    if (way == UNSHARED) unshare(trainer);
    for (int step = 0; step < STEPS; step++) {
        if (way == OVERWRITTEN)
            trainer_watch_step(trainer, &(struct step_watch){.op_done = prepared_overwrite_dead});
        else
            trainer_step(trainer);
    }
    add_metrics(&result, trainer->network);
    add_parameters(&result, trainer->network);
    struct run_input input = {.n = 21, .data = trainer->test_set.data, .refresh = true};
    network_set_metrics(trainer->network, (struct metrics){0});
    for (int again = 0; again < 2; again++) { /* without the once part the second time */
        prepared_watch(trainer->evaluate, &input, way == OVERWRITTEN ? prepared_overwrite_dead : NULL, NULL);
        input.refresh = false;
    }
    add_metrics(&result, trainer->network);
    close_session(&session);
    return result;
}

static void compare_ways(const char *config)
{
    for (int fuse = 0; fuse < 2; fuse++) {
        struct result always = run(config, fuse, AS_ALWAYS);
        for (enum way way = OVERWRITTEN; way <= UNSHARED; way++) {
            struct result other = run(config, fuse, way);
            cr_assert_eq(other.size, always.size);
            cr_expect(memcmp(other.bytes, always.bytes, always.size) == 0, "%s, fuse %d, way %d", config, fuse, way);
            free(other.bytes);
        }
        free(always.bytes);
    }
}

Test(program_memory, mlps)
{
    compare_ways("mlp_numpy");
    compare_ways("mlp");
    compare_ways("mlp_best");
}

Test(program_memory, convnets)
{
    compare_ways("quickstart");
    compare_ways("convnet");
    compare_ways("convnet_strong");
}
