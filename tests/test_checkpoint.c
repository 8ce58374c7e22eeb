/* Tests checkpoints: a restored session equals the saved one, and a checkpoint that does not fit is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config_support.h"
#include "session_support.h"
#include "train/checkpoint.h"

TestSuite(checkpoint, .init = enter_folder, .fini = leave_folder);

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\nnormalization = channel\n[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n"
#define CONVNET "[model]\nkind = convnet\nfeatures = 6k2, M, 17k1\nhidden = 5\nbatchnorm = custom\ndropout = 0.1\n"
static const char adam[] = DATA CONVNET "[optimizer]\nname = adam\nlearning_rate = 1e-2\n[backend]\ndevice = cpu\n";
static const char sgd64[] = DATA "[model]\nhidden = 3\nbatchnorm = autodiff\n[optimizer]\nmomentum = 0.9\n"
                                 "[backend]\ndevice = cpu\nprecision = fp64\n";

static const struct metrics_row best = {.step = 4,
                                        .epoch = 1,
                                        .train = {0.1 + 0.2, 1.0 / 3},
                                        .validation = EVALUATION_NONE,
                                        .test = {2.5, 7.0 / 23},
                                        .learning_rate = 1e-2,
                                        .elapsed_seconds = 5};

static void run_steps(struct session *session, int steps)
{
    for (int i = 0; i < steps; i++) trainer_step(&session->trainer);
}

static void save(struct session *session, const char *path)
{
    struct run_result result = {.row_count = 1, .best = best};
    struct status status = {0};
    cr_assert(checkpoint_write(path, &session->trainer, &result, &status), "%s", status.message);
}

static struct checkpoint read_good(const char *path)
{
    struct checkpoint checkpoint;
    struct status status = {0};
    cr_assert(checkpoint_read(&checkpoint, path, &status), "%s", status.message);
    return checkpoint;
}

static struct session *session_saved(const char *text, int steps, const char *path)
{
    struct session *session = session_open(text, 2);
    run_steps(session, steps);
    save(session, path);
    return session;
}

static void expect_same_file(const char *a, const char *b)
{
    size_t a_size, b_size;
    char *a_bytes = support_file_read(a, &a_size), *b_bytes = support_file_read(b, &b_size);
    cr_expect(a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0, "%s and %s differ", a, b);
    free(a_bytes), free(b_bytes);
}

/* --- saved and restored --- */

/* Saves a session after 5 steps and restores it into a new one. Both then take 5 more steps and must agree. */
static void expect_restored(const char *text)
{
    struct session *first = session_saved(text, 5, "a"), *second = session_open(text, 1);
    struct checkpoint checkpoint = read_good("a");
    struct status status = {0};
    cr_assert(checkpoint_restore(&checkpoint, &second->trainer, &status), "%s", status.message);
    cr_expect_eq(second->trainer.step, 5);
    save(second, "b");
    run_steps(first, 5), run_steps(second, 5);
    save(first, "c"), save(second, "d");
    expect_same_file("c", "d");
    checkpoint_free(&checkpoint);
    session_close(first), session_close(second);
}

Test(checkpoint, restores_adam_and_running_statistics)
{
    expect_restored(adam);
    expect_same_file("a", "b");
}

Test(checkpoint, restores_momentum_in_double_precision)
{
    expect_restored(sgd64);
    expect_same_file("a", "b");
}

static const char averaged[] = DATA "ema_decay = 0.9\n" CONVNET "[optimizer]\nname = adam\nlearning_rate = 1e-2\n"
                                    "[augment]\nflip = true\ncrop = 2\n[backend]\ndevice = cpu\n";

/* The draws of an augmented batch too are those of the run that never stopped. */
Test(checkpoint, restores_the_moving_average_beside_the_weights)
{
    expect_restored(averaged);
    expect_same_file("a", "b");
}

/* The weights with the plain names are the evaluated ones. */
Test(checkpoint, a_network_takes_the_average)
{
    struct session *session = session_saved(averaged, 5, "a"), *plain = session_open(adam, 2);
    struct checkpoint checkpoint = read_good("a");
    struct status status = {0};
    cr_assert(checkpoint_load_weights(&checkpoint.file, plain->trainer.network, NULL, &status), "%s", status.message);
    struct evaluation saved = trainer_evaluate(&session->trainer, &session->trainer.test_set);
    struct evaluation loaded = trainer_evaluate(&plain->trainer, &plain->trainer.test_set);
    cr_expect(saved.loss == loaded.loss && saved.accuracy == loaded.accuracy, "%g, %g", saved.loss, loaded.loss);
    checkpoint_free(&checkpoint);
    session_close(session), session_close(plain);
}

Test(checkpoint, keeps_step_rows_best_and_config)
{
    struct session *session = session_saved(adam, 5, "a");
    struct checkpoint checkpoint = read_good("a");
    struct experiment experiment;
    struct status status = {0};
    cr_expect(checkpoint.step == 5 && checkpoint.row_count == 1);
    cr_expect(checkpoint.best.step == 4 && checkpoint.best.epoch == 1 && checkpoint.best.elapsed_seconds == 0);
    cr_expect(checkpoint.best.train.loss == best.train.loss && checkpoint.best.train.accuracy == best.train.accuracy);
    cr_expect(checkpoint.best.test.loss == best.test.loss && checkpoint.best.test.accuracy == best.test.accuracy);
    cr_expect_eq(checkpoint.best.learning_rate, 1e-2);
    cr_expect_str_eq(safetensors_metadata_find(&checkpoint.file, "epoch"), "1"); /* 50 / 16 = 3 batches */
    cr_expect_str_eq(safetensors_metadata_find(&checkpoint.file, "batch"), "2");
    struct experiment_override override = {.section = "train", .key = "max_steps", .value = "99"};
    cr_assert(checkpoint_experiment(&checkpoint, &override, 1, &experiment, &status), "%s", status.message);
    cr_expect(experiment.train.max_steps == 99 && experiment.optimizer.learning_rate == 1e-2);
    cr_expect_str_eq(experiment.experiment.name, session->experiment.experiment.name);
    experiment_free(&experiment);
    checkpoint_free(&checkpoint);
    session_close(session);
}

Test(checkpoint, tells_how_pixels_enter)
{
    struct session *session = session_open(adam, 1);
    struct dataset *dataset = &session->dataset;
    dataset->class_names = memory_alloc((size_t)dataset->classes, sizeof(char *));
    for (int64_t i = 0; i < dataset->classes; i++) dataset->class_names[i] = memory_format("class %d", (int)i);
    dataset->class_names[1][0] = '\x80', dataset->class_names[2][5] = '\n';
    save(session, "a");
    struct checkpoint checkpoint = read_good("a");
    struct checkpoint_input input;
    struct status status = {0};
    cr_assert(checkpoint_input_read(&input, &checkpoint.file, &status), "%s", status.message);
    cr_expect(input.channels == dataset->channels && input.height == dataset->height && input.width == dataset->width);
    size_t pixels = (size_t)(input.channels * input.height * input.width);
    cr_expect_arr_eq(input.offset, dataset->offset, pixels * sizeof(float));
    cr_expect_arr_eq(input.scale, dataset->scale, (size_t)input.channels * sizeof(float));
    cr_assert_eq(input.classes, dataset->classes);
    cr_expect_str_eq(input.class_names[0], "class 0");
    cr_expect_str_eq(input.class_names[1], "?lass 1");
    cr_expect_str_eq(input.class_names[2], "class?2");
    checkpoint_input_free(&input);
    checkpoint_free(&checkpoint);
    session_close(session);
}

Test(checkpoint, goes_on_with_the_same_data_only)
{
    struct session *session = session_saved(adam, 1, "a");
    struct checkpoint checkpoint = read_good("a");
    struct status status = {0};
    session->dataset.offset[1] += 1;
    cr_expect_not(checkpoint_restore(&checkpoint, &session->trainer, &status));
    cr_expect_str_eq(status.message, "a: the data set is another one than that of this run: its images, classes or "
                                     "normalization differ");
    checkpoint_free(&checkpoint);
    session_close(session);
}

static void expect_tensor(const struct safetensors_file *file, const char *name, enum safetensors_dtype dtype,
                          const char *shape)
{
    const struct safetensors_tensor *tensor = safetensors_find(file, name);
    cr_assert(tensor, "no %s", name);
    char found[64] = "";
    for (int i = 0; i < tensor->rank; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%d", i ? "," : "", (int)tensor->shape[i]);
    cr_expect_str_eq(found, shape, "%s: %s", name, found);
    cr_expect_eq(tensor->dtype, dtype);
}

/* conv, batchnorm, relu, dropout, pool, conv, ..., flatten, linear: the places in PyTorch's nn.Sequential. */
Test(checkpoint, names_and_shapes_are_those_of_pytorch)
{
    session_close(session_saved(adam, 1, "a"));
    struct checkpoint checkpoint = read_good("a");
    const struct safetensors_file *file = &checkpoint.file;
    expect_tensor(file, "layers.0.weight", SAFETENSORS_F32, "6,3,2,2");
    expect_tensor(file, "layers.0.bias", SAFETENSORS_F32, "6");
    expect_tensor(file, "layers.1.running_mean", SAFETENSORS_F32, "6");
    expect_tensor(file, "layers.1.running_var", SAFETENSORS_F32, "6");
    expect_tensor(file, "layers.5.weight", SAFETENSORS_F32, "17,6,1,1");
    expect_tensor(file, "layers.10.bias", SAFETENSORS_F32, "5");
    expect_tensor(file, "optimizer.exp_avg.layers.5.weight", SAFETENSORS_F32, "17,6,1,1");
    expect_tensor(file, "optimizer.exp_avg_sq.layers.10.bias", SAFETENSORS_F32, "5");
    cr_expect_eq(safetensors_find(file, "layers.10.weight")->rank, 2);
    cr_expect_null(safetensors_find(file, "optimizer.exp_avg.layers.1.running_mean"));
    checkpoint_free(&checkpoint);
    session_close(session_saved(sgd64, 1, "b"));
    checkpoint = read_good("b");
    expect_tensor(&checkpoint.file, "layers.0.weight", SAFETENSORS_F64, "3,147");
    expect_tensor(&checkpoint.file, "optimizer.momentum_buffer.layers.3.weight", SAFETENSORS_F64, "5,3");
    checkpoint_free(&checkpoint);
}

/* The values stay the same in another memory layout and in another precision. */
Test(checkpoint, loads_weights_into_any_backend)
{
    struct session *session = session_saved(adam, 5, "a");
    struct checkpoint checkpoint = read_good("a");
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], 1);
        if (!backend) continue;
        struct status status = {0};
        struct shape images = {16, 3, 7, 7};
        struct network *network = network_from(&session->experiment, backend, images, 5, &status);
        cr_assert(network && checkpoint_load_weights(&checkpoint.file, network, NULL, &status), "%s", status.message);
        double *expected = support_read(session->backend, &session->trainer.network->layers[5].parameter[0].value);
        double *found = support_read(backend, &network->layers[5].parameter[0].value);
        cr_expect_eq(memcmp(expected, found, 17 * 6 * sizeof *found), 0, "%s", variants[v].name);
        free(expected), free(found);
        expected = support_read(session->backend, &session->trainer.network->layers[1].buffer[1].value);
        found = support_read(backend, &network->layers[1].buffer[1].value);
        cr_expect_eq(memcmp(expected, found, 6 * sizeof *found), 0, "%s", variants[v].name);
        free(expected), free(found);
        network_destroy(network);
        backend_destroy(backend);
    }
    checkpoint_free(&checkpoint);
    session_close(session);
}

/* --- checkpoints that do not fit --- */

/* Copies `a` to `b`, with the right digest, without the tensor or the text of that name. */
static void copy_without(const char *name)
{
    struct safetensors_file file;
    struct status status = {0};
    cr_assert(safetensors_read(&file, "a", SAFETENSORS_DIGEST_REQUIRED, &status));
    int tensors = 0, texts = 0;
    for (int i = 0; i < file.tensor_count; i++)
        if (strcmp(file.tensors[i].name, name) != 0) file.tensors[tensors++] = file.tensors[i];
    for (int i = 0; i < file.metadata_count; i++)
        if (strcmp(file.metadata[i].key, name) != 0) file.metadata[texts++] = file.metadata[i];
    cr_assert(tensors + texts + 1 == file.tensor_count + file.metadata_count, "no %s", name);
    cr_assert(safetensors_write("b", file.tensors, tensors, file.metadata, texts, &status), "%s", status.message);
    safetensors_free(&file);
}

Test(checkpoint, every_tensor_is_needed)
{
    struct session *session = session_saved(adam, 1, "a");
    struct checkpoint whole = read_good("a"), checkpoint;
    for (int i = 0; i < whole.file.tensor_count; i++) {
        const char *name = whole.file.tensors[i].name;
        struct status status = {0};
        copy_without(name);
        checkpoint = read_good("b");
        cr_expect_not(checkpoint_restore(&checkpoint, &session->trainer, &status), "%s", name);
        char *expected = memory_format("b: no tensor %s, which the network has", name);
        cr_expect_str_eq(status.message, expected, "%s", status.message);
        cr_expect_eq(checkpoint_load_weights(&checkpoint.file, session->trainer.network, NULL, &status),
                     strncmp(name, "layers.", 7) != 0);
        free(expected);
        checkpoint_free(&checkpoint);
    }
    checkpoint_free(&whole);
    session_close(session);
}

Test(checkpoint, every_text_that_is_read_is_needed)
{
    static const char *const names[] = {"trainer_checkpoint",  "step",
                                        "metrics_rows",        "best_step",
                                        "best_epoch",          "best_train_loss",
                                        "best_train_accuracy", "best_test_loss",
                                        "best_test_accuracy",  "config",
                                        "config_sha256",       "best_learning_rate"};
    session_close(session_saved(adam, 1, "a"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct checkpoint checkpoint;
        struct status status = {0};
        copy_without(names[i]);
        cr_assert_not(checkpoint_read(&checkpoint, "b", &status), "%s", names[i]);
        char *expected = memory_format("b: not a good checkpoint: %s: expected ", names[i]);
        cr_expect(strncmp(status.message, expected, strlen(expected)) == 0, "%s", status.message);
        cr_expect(strstr(status.message, ", found nothing"), "%s", status.message);
        free(expected);
    }
}

/* Copies `a` to `b` with other class names and the right digest, and checks that reading `b` fails with the message. */
static void expect_names_refused(const char *names, const char *message)
{
    struct safetensors_file file;
    struct checkpoint_input input;
    struct status status = {0};
    cr_assert(safetensors_read(&file, "a", SAFETENSORS_DIGEST_REQUIRED, &status));
    for (int i = 0; i < file.metadata_count; i++)
        if (strcmp(file.metadata[i].key, "class_names") == 0) file.metadata[i].value = names;
    cr_assert(safetensors_write("b", file.tensors, file.tensor_count, file.metadata, file.metadata_count, &status));
    safetensors_free(&file);
    struct checkpoint checkpoint = read_good("b");
    cr_expect_not(checkpoint_input_read(&input, &checkpoint.file, &status));
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, message, "%s", status.message);
    cr_expect_null(input.class_names);
    checkpoint_free(&checkpoint);
}

/* The writer lets no such names through, but another program may. U+009B begins the same sequences as the escape. */
Test(checkpoint, names_that_a_terminal_obeys_are_refused)
{
    struct session *session = session_open(adam, 1);
    struct dataset *dataset = &session->dataset;
    cr_assert_eq(dataset->classes, 5);
    dataset->class_names = memory_alloc(5, sizeof(char *));
    for (int i = 0; i < 5; i++) dataset->class_names[i] = memory_format("%d\t", i);
    save(session, "a");
    session_close(session);
#define NOT_GOOD "b: not a good checkpoint: class_names: "
    expect_names_refused("a\nb\nc\nd\x1b[2J\ne",
                         NOT_GOOD "line 4: control character (byte 0x1b) in column 2, expected a name");
    expect_names_refused("\xc2\x9b"
                         "2J\nb\nc\nd\ne",
                         NOT_GOOD "line 1: control character (byte 0xc2) in column 1, expected a name");
    expect_names_refused("a\nb\nc\nd\ne\t",
                         NOT_GOOD "line 5: control character (byte 0x09) in column 2, expected a name");
    expect_names_refused("a\nb\nc\nd", NOT_GOOD "expected a line per class");
#undef NOT_GOOD
    struct checkpoint checkpoint = read_good("a");
    cr_expect_str_eq(safetensors_metadata_find(&checkpoint.file, "class_names"), "0?\n1?\n2?\n3?\n4?");
    checkpoint_free(&checkpoint);
}

static void expect_unfit(const char *config, const char *message)
{
    struct session *session = session_open(config, 1);
    struct checkpoint checkpoint = read_good("a");
    struct status status = {0};
    cr_expect_not(checkpoint_restore(&checkpoint, &session->trainer, &status));
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, message, "\"%s\"", status.message);
    checkpoint_free(&checkpoint);
    session_close(session);
}

Test(checkpoint, another_network_is_refused)
{
    session_close(session_saved(adam, 1, "a"));
    expect_unfit(DATA "[model]\nhidden = 5\n",
                 "a: tensor layers.0.weight: expected the shape (5,147), found (6,3,2,2)");
    expect_unfit(DATA CONVNET "[optimizer]\nname = sgd\nmomentum = 0.9\n",
                 "a: no tensor optimizer.momentum_buffer.layers.0.weight, which the network has");
    expect_unfit(DATA CONVNET, "a: tensor optimizer.exp_avg.layers.0.weight, which the network has not");
}

Test(checkpoint, what_is_not_finite_is_never_saved)
{
    struct session *session = session_open(adam, 1);
    const struct layer *layers = session->trainer.network->layers;
    const struct {
        struct tensor tensor;
        const char *name;
    } places[] = {{layers[5].parameter[0].value, "layers.5.weight"},
                  {layers[1].buffer[1].value, "layers.1.running_var"}};
    save(session, "a");
    for (int i = 0; i < 2; i++) {
        struct run_result result = {0};
        struct status status = {0};
        double *good = support_read(session->backend, &places[i].tensor);
        int64_t count = shape_count(places[i].tensor.shape);
        double *bad = memory_alloc((size_t)count, sizeof *bad);
        memcpy(bad, good, (size_t)count * sizeof *bad);
        bad[count - 1] = i == 0 ? NAN : INFINITY;
        session->backend->table->tensor_write(session->backend, &places[i].tensor, bad);
        cr_expect_not(checkpoint_write("a", &session->trainer, &result, &status));
        cr_expect_eq(status.code, STATUS_DIVERGED);
        char *expected = memory_format("a: not saved: %s holds a value that is not finite", places[i].name);
        cr_expect_str_eq(status.message, expected);
        session->backend->table->tensor_write(session->backend, &places[i].tensor, good);
        free(expected), free(good), free(bad);
    }
    struct checkpoint checkpoint = read_good("a");
    checkpoint_free(&checkpoint);
    session_close(session);
}

/* --- the folder of a run --- */

static void expect_found(const char *run, enum checkpoint_choice choice, const char *expected)
{
    struct status status = {0};
    char *path = checkpoint_find(run, choice, &status);
    cr_assert(path, "%s", status.message);
    cr_expect_str_eq(path, expected, "%s", path);
    free(path);
}

static void expect_not_found(const char *run, enum checkpoint_choice choice, const char *message)
{
    struct status status = {0};
    cr_expect_null(checkpoint_find(run, choice, &status));
    cr_expect_str_eq(status.message, message, "%s", status.message);
}

Test(checkpoint, finds_the_last_and_the_best_of_a_run)
{
    static const char *const names[] = {"step_00000900.safetensors", "step_1234567890.safetensors",
                                        "step_x.safetensors", "step_99999999999.safetensors.12.part",
                                        "step_00000100.safetensors"};
    expect_not_found("run", CHECKPOINT_LAST, "run: cannot open: No such file or directory");
    cr_assert(mkdir("run", 0777) == 0);
    expect_not_found("run", CHECKPOINT_LAST, "run: no checkpoint is in run/checkpoints");
    expect_not_found("run", CHECKPOINT_BEST, "run: no checkpoint is in run/checkpoints");
    cr_assert(mkdir("run/checkpoints", 0777) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = support_path("run/checkpoints", names[i]);
        support_file_write(path, "", 0);
        free(path);
    }
    expect_found("run", CHECKPOINT_LAST, "run/checkpoints/step_1234567890.safetensors");
    expect_not_found(
        "run", CHECKPOINT_BEST,
        "run/checkpoints/best.safetensors: cannot open: No such file or directory; --checkpoint last takes "
        "run/checkpoints/step_1234567890.safetensors");
    support_file_write("run/checkpoints/best.safetensors", "", 0);
    expect_found("run", CHECKPOINT_BEST, "run/checkpoints/best.safetensors");
    expect_found("run/checkpoints/step_x.safetensors", CHECKPOINT_BEST, "run/checkpoints/step_x.safetensors");
}
