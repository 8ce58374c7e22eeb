/* Compares the launches that a listing counts with those that the emulated device gets, and holds the three networks of
 * the report to their numbers. Nothing is computed. */
#include "emulation_count.h"
#include "program/passes.h"
#include "session_support.h"
#include "train/train_program.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 64\nsynthetic_test = 64\nsynthetic_size = 12\n"                    \
    "synthetic_classes = 10\n[train]\nbatch_size = 16\n"

/* Together they have every kind of operation that a training step or an evaluation may have on CUDA. */
static const char *const networks[] = {
    DATA "[model]\nhidden = 20, 24\nloss = separate\n",
    DATA "[model]\nhidden = 20, 24\nblock = activation, batchnorm, dropout\nbatchnorm = custom\ndropout = 0.1\n"
         "[optimizer]\nname = adam\nlearning_rate = 1e-3\n",
    DATA "clip_norm = 1\nema_decay = 0.9\n[model]\nkind = convnet\nfeatures = 8, M, 9k1, 16, A2\nhidden = 16\n"
         "batchnorm = custom\n[optimizer]\nname = muon\nlearning_rate = 1e-3\n",
    DATA "[model]\nkind = convnet\nfeatures = 8, M, 9, A2s2p0\nbatchnorm = autodiff\n[augment]\nrotate = 10\n",
    DATA "[model]\nkind = convnet\nfeatures = 8, (16s2, 16, S8)+ x2, G\nbatchnorm = custom\n[augment]\nflip = true\n",
    DATA "[model]\nkind = convnet\nfeatures = 8, M5s1, 9\n[augment]\ncrop = 2\n",
};

static const enum precision precisions[] = {PRECISION_FP32, PRECISION_TF32, PRECISION_BF16};

static struct backend *create(enum precision precision, bool fuse)
{
    const struct backend_options options = {
        .device = DEVICE_CUDA, .precision = precision, .deterministic = true, .fuse = fuse};
    struct backend *backend;
    struct status status = {0};
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    return backend;
}

/* What each op of a program took. */
struct count {
    const struct program *program;
    const char *text;
    long before;
};

static void compare_op(void *argument, const struct prepared *prepared, int i)
{
    (void)prepared;
    struct count *count = argument;
    const struct op *op = &count->program->ops[i];
    long made = emulation_count() - count->before;
    int counted = program_launches(count->program, op).count;
    cr_expect_eq(made, counted, "op %d (%s) takes %ld launches, the listing says %d, in\n%s", i + 1,
                 op_row(op->kind)->name, made, counted, count->text);
    count->before = emulation_count();
}

/* Counts a run of the program after one that chooses algorithms and takes memory. */
static void compare(struct prepared *prepared, const struct device_dataset *data, const char *text)
{
    const struct run_input input = {.n = prepared->program->max_n, .data = data, .refresh = true};
    prepared_watch(prepared, &input, NULL, NULL);
    struct count count = {prepared->program, text, emulation_count()};
    prepared_watch(prepared, &input, compare_op, &count);
}

TestSuite(launches, .init = emulation_only_count);

Test(launches, the_listing_counts_those_of_every_op)
{
    for (size_t k = 0; k < sizeof networks / sizeof *networks; k++)
        for (int p = 0; p < 3; p++)
            for (int fuse = 0; fuse < 2; fuse++) {
                struct session *session = session_open_on(networks[k], create(precisions[p], fuse), 1);
                compare(session->trainer.train, session->trainer.train_set.data, networks[k]);
                compare(session->trainer.evaluate, session->trainer.train_set.data, networks[k]);
                session_close(session);
            }
}

/* A config of the report with images of its size, but fewer of them. */
static struct experiment load(const char *name)
{
    const struct experiment_override overrides[] = {{"data", "dataset", "synthetic", NULL},
                                                    {"data", "synthetic_train", "1920", NULL},
                                                    {"data", "synthetic_test", "64", NULL},
                                                    {"data", "synthetic_size", "32", NULL},
                                                    {"data", "synthetic_classes", "10", NULL}};
    struct experiment experiment;
    struct status status = {0};
    char *path = support_path(CONFIG_FOLDER, name);
    bool loaded = experiment_load(&experiment, path, overrides, sizeof overrides / sizeof *overrides, &status);
    cr_assert(loaded, "%s", status.message);
    free(path);
    return experiment;
}

/* Checks that a listing without a device has the same launches and bytes. */
static void expect_listed(const struct experiment *experiment, const struct network *of, struct program_launches sum)
{
    const struct backend_options options = {
        .device = DEVICE_CUDA, .precision = PRECISION_BF16, .fuse = true, .listing = true};
    struct backend *backend;
    struct network *network;
    struct optimizer optimizer;
    struct ema ema;
    struct status status = {0};
    setenv("CUDA_EMULATION_HIDDEN", "1", 1);
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    unsetenv("CUDA_EMULATION_HIDDEN");
    cr_expect(strstr(backend->description, "none here"), "%s", backend->description);
    const struct dataset_description format = {3, 32, 32, 10};
    cr_assert(network_from_experiment(&network, experiment, format, backend, of->max_batch, &status));
    const struct optimizer_settings settings = optimizer_from_experiment(experiment);
    optimizer_create(&optimizer, &settings, network);
    ema_create(&ema, 0, network);
    struct network_program made = train_program_write(experiment, network, &optimizer, &ema, 1);
    struct program_launches listed = program_launches_sum(made.program);
    cr_expect(listed.count == sum.count && listed.bytes == sum.bytes, "%d launches move %lld bytes, not %d and %lld",
              listed.count, (long long)listed.bytes, sum.count, (long long)sum.bytes);
    program_free(made.program);
    ema_destroy(&ema), optimizer_destroy(&optimizer), network_destroy(network), backend_destroy(backend);
}

/* A recorded step of a config in bf16 takes at most so many launches, which move at most so many 10^6 bytes (0: no limit). */
static void expect_at_most(const char *name, int launches, double megabytes)
{
    struct session *session = session_of(load(name), create(PRECISION_BF16, true));
    struct program_launches sum = program_launches_sum(session->trainer.training.program);
    for (int i = 0; i < 2; i++) trainer_step(&session->trainer); /* as it is, then recorded */
    long before = emulation_count();
    trainer_step(&session->trainer);
    long made = emulation_count() - before;
    cr_expect_eq(made, sum.count, "%s: %ld launches, the listing says %d", name, made, sum.count);
    cr_expect(sum.count <= launches, "%s: %d launches, wanted at most %d", name, sum.count, launches);
    cr_expect(megabytes == 0 || (double)sum.bytes <= megabytes * 1e6, "%s: %.1f MB, wanted at most %.1f", name,
              (double)sum.bytes / 1e6, megabytes);
    expect_listed(&session->experiment, session->trainer.network, sum);
    session_close(session);
}

Test(launches, steps_of_the_report)
{
    expect_at_most("convnet.ini", 45, 400);
    expect_at_most("mlp_best.ini", 20, 0);
    expect_at_most("mlp_numpy.ini", 10, 0);
    expect_at_most("resnet20.ini", 162, 0);
}
