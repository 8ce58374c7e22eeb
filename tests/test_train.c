/* Tests training sessions and whole runs. */
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "data/mix.h"
#include "session_support.h"

static const char mlp_text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                               "synthetic_classes = 5\nsynthetic_size = 7\nnormalization = channel\n"
                               "[model]\nhidden = 19\nbatchnorm = custom\ndropout = 0.1\n"
                               "[optimizer]\nname = adam\nlearning_rate = 1e-3\n"
                               "[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n"
                               "[backend]\ndevice = cpu\n";
static const char augmented_text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                                     "synthetic_classes = 5\nsynthetic_size = 9\nnormalization = channel\n"
                                     "[augment]\nflip = true\ncrop = 2\ncutout = 3\n"
                                     "[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\nbatchnorm = custom\n"
                                     "[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n"
                                     "label_smoothing = 0.1\nema_decay = 0.9\n"
                                     "[backend]\ndevice = cpu\n";
static const char pictures_text[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
    "synthetic_classes = 5\nsynthetic_size = 9\nnormalization = mean_image\n"
    "[augment]\nflip = true\nvertical_flip = true\ncrop = 2\ncutout = 3\nrotate = 30\n"
    "scale = 0.3\nresized_crop = 0.4\nbrightness = 0.3\ncontrast = 0.3\n"
    "saturation = 0.3\nerase = 0.5\nmixup = 0.4\ncutmix = 1\n"
    "[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n[backend]\ndevice = cpu\n";
static const char convnet_text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                                   "synthetic_classes = 5\nsynthetic_size = 9\nnormalization = channel\n"
                                   "[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\nbatchnorm = custom\n"
                                   "[optimizer]\nname = adam\nlearning_rate = 1e-3\n"
                                   "[train]\nmax_steps = 10\nbatch_size = 16\neval_freq = 4\n"
                                   "[backend]\ndevice = cpu\n";

/* The last section of this config is [train], so that a test can add to it. */
static const char evaluated_text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                                     "synthetic_classes = 5\nsynthetic_size = 7\nnormalization = channel\n"
                                     "[backend]\ndevice = cpu\n[train]\nmax_steps = 10\nbatch_size = 16\n";

/* --- steps --- */

static void assert_same_curve(const char *text, int threads)
{
    struct session *a = session_open(text, 1), *b = session_open(text, threads);
    for (int step = 0; step < 10; step++) {
        double first = session_step_loss(a), second = session_step_loss(b);
        cr_assert(first == second && isfinite(first), "step %d: %.17g, %.17g", step, first, second);
        if (step == 4) trainer_evaluate(&a->trainer, &a->trainer.train_set); /* leaves no trace */
    }
    size_t bytes = a->trainer.network->arena_count * a->backend->scalar_size;
    cr_assert_eq(memcmp(a->trainer.network->parameters, b->trainer.network->parameters, bytes), 0);
    session_close(a), session_close(b);
}

Test(train, same_seed_same_curve_at_any_number_of_threads)
{
    assert_same_curve(mlp_text, 1);
    assert_same_curve(mlp_text, 2);
    assert_same_curve(convnet_text, 2);
    assert_same_curve(convnet_text, 3);
    assert_same_curve(augmented_text, 3);
    assert_same_curve(pictures_text, 2);
}

Test(train, another_seed_gives_another_curve)
{
    char *text = memory_format("[experiment]\nseed = 43\n%s", mlp_text);
    struct session *a = session_open(mlp_text, 1), *b = session_open(text, 1);
    cr_assert(session_step_loss(a) != session_step_loss(b));
    session_close(a), session_close(b);
    free(text);
}

/* Takes a step and expects that it sees these samples. */
static void assert_batch(struct session *session, const int32_t *samples)
{
    const struct dataset *dataset = &session->dataset;
    struct session_batch batch = session_step(session);
    int64_t plane = dataset->height * dataset->width, sample = dataset->channels * plane;
    for (int64_t n = 0; n < batch.n; n++) {
        cr_assert_eq(batch.labels[n], dataset->train.labels[samples[n]], "sample %ld", (long)n);
        for (int64_t i = 0; i < sample; i++) {
            double pixel = dataset->train.pixels[samples[n] * sample + i];
            double expected = (pixel - dataset->offset[i]) * dataset->scale[i / plane];
            cr_assert(fabs(batch.x[n * sample + i] - expected) < 1e-5, "sample %ld value %ld", (long)n, (long)i);
        }
    }
    free(batch.x), free(batch.logits);
}

/* 50 samples in batches of 16 make three batches per epoch; the epoch does not see two samples. */
static void assert_epochs(const char *text, enum first_epoch first)
{
    struct session *session = session_open(text, 1);
    int32_t order[50];
    cr_assert_eq(session->trainer.batches_per_epoch, 3);
    for (int step = 0; step < 7; step++) {
        epoch_order(order, 50, first, 42, step / 3);
        if (step < 3 && first == FIRST_EPOCH_FILE) cr_assert_eq(order[step % 3 * 16], step * 16);
        assert_batch(session, order + step % 3 * 16);
    }
    cr_assert_eq(session->trainer.step, 7);
    session_close(session);
}

/* An MLP may take its input in another form, so the test uses a convnet. */
Test(train, epochs_are_permutations_but_the_first_where_it_is_the_files)
{
    char *text = memory_format("[data]\nfirst_epoch = file\n%s", convnet_text + strlen("[data]\n"));
    assert_epochs(convnet_text, FIRST_EPOCH_SHUFFLED);
    assert_epochs(text, FIRST_EPOCH_FILE);
    free(text);
}

/* Expects the data set to refuse an experiment that is right otherwise. */
static void expect_refused(const char *text, const char *message)
{
    struct session *session = memory_alloc(1, sizeof *session);
    struct status status = {0};
    experiment_from(&session->experiment, text);
    session->backend = backend_of(PRECISION_FP32, 1);
    cr_assert(dataset_from_experiment(&session->dataset, &session->experiment, NULL, &status));
    cr_assert_not(
        trainer_create(&session->trainer, &session->experiment, &session->dataset, session->backend, NULL, &status));
    cr_assert_eq(status.code, STATUS_USAGE);
    cr_assert(strstr(status.message, message), "%s", status.message);
    session_close(session);
}

Test(train, what_the_data_refuses_is_an_error_with_its_place)
{
    expect_refused("[data]\ndataset = synthetic\nsynthetic_train = 50\n[train]\nbatch_size = 51\n",
                   "test.ini:5: train.batch_size: expected at most the 50");
    expect_refused("[data]\ndataset = synthetic\nsynthetic_size = 9\n[augment]\ncrop = 9\n",
                   "test.ini:5: augment.crop: expected less than the 9 pixels of an image's side, found 9");
    expect_refused("[data]\ndataset = synthetic\nsynthetic_size = 9\n[augment]\ncutout = 9\n",
                   "test.ini:5: augment.cutout: expected less than the 9 pixels of an image's side, found 9");
    expect_refused("[data]\ndataset = synthetic\nsynthetic_channels = 1\n[augment]\nsaturation = 0.5\n",
                   "test.ini:5: augment.saturation: expected 0, as it needs images of 3 channels, and these have 1, "
                   "found 0.5");
}

/* Every training batch is changed anew. An evaluation sees the images without changes. */
Test(train, only_training_batches_are_augmented)
{
    struct session *session = session_open(augmented_text, 1);
    struct trainer *trainer = &session->trainer;
    const struct image_set *test = &session->dataset.test;
    int64_t sample = shape_sample_count(trainer->network->input), count = test->count;
    struct session_batch before = session_evaluate(session, trainer->test_set.data, 0, count);
    for (int step = 0; step < 4; step++) trainer_step(trainer);
    struct session_batch training = session_step(session);
    int64_t holes = 0;
    for (int64_t i = 0; i < 16 * sample; i++) holes += training.x[i] == 0;
    cr_expect_geq(holes, 16 * 3 * 4, "%ld zeros", (long)holes); /* at least 2x2 of a 3x3 hole lie in the image */
    struct session_batch after = session_evaluate(session, trainer->test_set.data, 0, count);
    cr_expect_eq(memcmp(before.x, after.x, (size_t)(count * sample) * sizeof *after.x), 0);
    for (int64_t i = 0; i < count * sample; i++) {
        double expected = ((double)test->pixels[i] - session->dataset.offset[i % sample]) *
                          session->dataset.scale[i % sample / (9 * 9)];
        cr_assert(fabs(after.x[i] - expected) < 1e-5, "value %ld", (long)i);
    }
    free(before.x), free(training.x), free(after.x), free(before.logits), free(training.logits), free(after.logits);
    session_close(session);
}

/* Smoothing changes the loss that training minimises, by the formula. The loss of an evaluation changes only through
 * the parameters. */
Test(train, an_evaluation_is_not_smoothed)
{
    char *smooth = memory_format("%slabel_smoothing = 0.3\n", evaluated_text),
         *plain = memory_format("%s", evaluated_text);
    struct session *a = session_open(smooth, 1), *b = session_open(plain, 1);
    struct evaluation of_a = trainer_evaluate(&a->trainer, &a->trainer.test_set);
    struct evaluation of_b = trainer_evaluate(&b->trainer, &b->trainer.test_set);
    cr_expect(of_a.loss == of_b.loss && of_a.accuracy == of_b.accuracy);
    double first_a = session_step_loss(a), first_b = session_step_loss(b);
    cr_expect(first_a != first_b && isfinite(first_a), "%g, %g", first_a, first_b);
    session_close(a), session_close(b);
    free(smooth), free(plain);
}

/* The loss of a step, by the formula, from its logits, labels and mix. */
static double two_label_loss(const struct session *session, const struct session_batch *batch, uint64_t step)
{
    struct batch_mix mix = mix_draw(&session->trainer.augment, step, 7, 7);
    double m = mix.second / 65536.0, loss = 0;
    for (int n = 0; n < 16; n++) {
        const double *x = batch->logits + n * 5;
        double sum = 0;
        for (int d = 0; d < 5; d++) sum += exp(x[d]);
        loss += log(sum) - (1 - m) * x[batch->labels[n]] - m * x[batch->labels[(n + 1) % 16]];
    }
    return loss;
}

/* A step trains on the mix that is drawn for it, and an evaluation on none. */
Test(train, only_training_labels_are_mixed)
{
    char *text = memory_format("%s[augment]\nmixup = 1\ncutmix = 1\n", evaluated_text);
    struct session *mixed = session_open(text, 1), *plain = session_open(evaluated_text, 1);
    for (int step = 0; step < 4; step++) {
        network_set_metrics(mixed->trainer.network, (struct metrics){0});
        struct session_batch batch = session_step(mixed);
        double loss = network_metrics(mixed->trainer.network).loss;
        double expected = two_label_loss(mixed, &batch, (uint64_t)step);
        free(batch.x), free(batch.logits);
        cr_expect(fabs(loss - expected) < 1e-4, "step %d: %.9g, expected %.9g", step, loss, expected);
    }
    session_close(mixed);
    mixed = session_open(text, 1);
    struct evaluation of_mixed = trainer_evaluate(&mixed->trainer, &mixed->trainer.train_set);
    struct evaluation of_plain = trainer_evaluate(&plain->trainer, &plain->trainer.train_set);
    cr_expect(fabs(of_mixed.loss - of_plain.loss) < 1e-5 && of_mixed.accuracy == of_plain.accuracy);
    session_close(mixed), session_close(plain);
    free(text);
}

/* --- evaluation --- */

static struct evaluation evaluate_after_steps(const char *text, int eval_batch_size, bool train_set)
{
    char *with_size =
        memory_format("%s[train]\nmax_steps = 10\nbatch_size = 16\neval_batch_size = %d\n", text, eval_batch_size);
    struct session *session = session_open(with_size, 2);
    for (int step = 0; step < 5; step++) trainer_step(&session->trainer);
    struct trainer *trainer = &session->trainer;
    struct evaluation evaluation = trainer_evaluate(trainer, train_set ? &trainer->train_set : &trainer->test_set);
    session_close(session);
    free(with_size);
    return evaluation;
}

static const char evaluation_text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                                      "synthetic_classes = 5\nsynthetic_size = 7\nnormalization = channel\n"
                                      "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\ndropout = 0.2\n"
                                      "[backend]\nprecision = fp64\n";

/* 50 = 7*7 + 1 and 23 = 3*7 + 2: a tail in both sets. Only the order of the additions differs. */
Test(train, evaluation_does_not_depend_on_its_batch)
{
    const int sizes[] = {7, 0, 16, 1000};
    for (int train_set = 0; train_set < 2; train_set++) {
        struct evaluation one = evaluate_after_steps(evaluation_text, 1, train_set);
        cr_assert(isfinite(one.loss) && one.accuracy > 0 && one.accuracy <= 1);
        for (int i = 0; i < 4; i++) {
            struct evaluation other = evaluate_after_steps(evaluation_text, sizes[i], train_set);
            cr_assert(fabs(other.loss - one.loss) < 1e-12, "%.17g, %.17g", other.loss, one.loss);
            cr_assert_eq(other.accuracy, one.accuracy);
        }
    }
}

Test(train, evaluation_can_be_repeated)
{
    struct session *session = session_open(mlp_text, 2);
    struct evaluation before = trainer_evaluate(&session->trainer, &session->trainer.train_set);
    struct evaluation again = trainer_evaluate(&session->trainer, &session->trainer.train_set);
    cr_assert(before.loss == again.loss && before.accuracy == again.accuracy);
    session_close(session);
}

/* --- whole runs --- */

static struct run_result run_in(const char *folder, const char *text, FILE *out)
{
    struct experiment experiment;
    struct run_result result;
    struct status status = {0};
    experiment_from(&experiment, text);
    struct run_output output = {out, PROGRESS_BAR};
    bool done = train_run(&experiment, folder, TRAIN_NEW, NULL, &output, &result, &status);
    cr_assert(done, "%s", status.message);
    experiment_free(&experiment);
    return result;
}

static char *read_in(const char *folder, const char *name)
{
    char *path = support_path(folder, name), *text = support_file_read(path, NULL);
    cr_assert(text, "%s", path);
    free(path);
    return text;
}

Test(train, overfits_64_images)
{
    const char *const models[] = {"[model]\nhidden = 64\n",
                                  "[model]\nkind = convnet\nfeatures = 8, M, 16, M\nbatchnorm = custom\n",
                                  ("[model]\nhidden = 32, 16\nblock = activation, batchnorm, dropout\n"
                                   "batchnorm = custom\nactivation = elu\nloss = separate\n")};
    for (int i = 0; i < 3; i++) {
        char *text = memory_format("[data]\ndataset = synthetic\nsynthetic_train = 64\nsynthetic_test = 40\n"
                                   "synthetic_size = 12\nnormalization = channel\n%s"
                                   "[optimizer]\nname = adam\nlearning_rate = 3e-3\n"
                                   "[train]\nmax_steps = 150\nbatch_size = 32\neval_freq = 150\n",
                                   models[i]);
        char *folder = support_folder();
        struct run_result result = run_in(folder, text, NULL);
        cr_assert(result.final.train.accuracy == 1 && result.final.train.loss < 0.2, "model %d: %g, %g", i,
                  result.final.train.accuracy, result.final.train.loss);
        support_folder_remove(folder);
        free(text);
    }
}

/* Evaluations after 4, 8 and the last of 10 steps; 3 steps are an epoch. */
Test(train, metrics_csv_has_a_row_per_evaluation)
{
    char *folder = support_folder(), *nested = support_path(folder, "a/b//c/");
    struct run_result result = run_in(nested, mlp_text, NULL);
    char *csv = read_in(nested, "metrics.csv"), *line = csv;
    const char header[] =
        "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n";
    const int steps[] = {4, 8, 10}, epochs[] = {1, 2, 3};
    double last_elapsed = 0;
    cr_assert_eq(strncmp(csv, header, strlen(header)), 0);
    for (int i = 0; i < 3; i++) {
        struct metrics_row row;
        long step, epoch;
        line = strchr(line, '\n') + 1;
        int found =
            sscanf(line, "%ld,%ld,%lf,%lf,%lf,%lf,%lf,%lf\n", &step, &epoch, &row.train.loss, &row.train.accuracy,
                   &row.test.loss, &row.test.accuracy, &row.learning_rate, &row.elapsed_seconds);
        cr_assert_eq(found, 8, "%s", line);
        cr_assert(step == steps[i] && epoch == epochs[i]);
        cr_assert(row.train.loss > 0 && row.test.loss > 0 && row.train.accuracy <= 1 && row.test.accuracy <= 1);
        cr_assert(row.learning_rate == 1e-3 && row.elapsed_seconds >= last_elapsed);
        last_elapsed = row.elapsed_seconds;
    }
    cr_assert_str_eq(strchr(line, '\n'), "\n");
    cr_assert(result.row_count == 3 && result.final.step == 10 && result.images == 160);
    cr_assert(result.best.test.accuracy >= result.final.test.accuracy);
    support_folder_remove(folder);
    free(csv), free(nested);
}

Test(train, resolved_config_repeats_the_run)
{
    char *folder = support_folder(), *again = support_folder();
    struct run_result first = run_in(folder, mlp_text, NULL);
    char *resolved = read_in(folder, "resolved.ini");
    struct run_result second = run_in(again, resolved, NULL);
    cr_assert_eq(first.final.train.loss, second.final.train.loss);
    cr_assert_eq(first.final.test.loss, second.final.test.loss);
    support_folder_remove(folder), support_folder_remove(again);
    free(resolved);
}

Test(train, validation_split_is_held_out)
{
    char *text = memory_format("[data]\nvalidation_size = 10\n%s", mlp_text + strlen("[data]\n"));
    struct session *session = session_open(text, 1);
    cr_assert_eq(session->dataset.validation.count, 10);
    cr_assert_eq(session->trainer.train_set.count, 40);
    cr_assert_eq(session->trainer.batches_per_epoch, 2);
    session_close(session);
    free(text);
}

Test(train, plain_output_is_lines_of_text)
{
    char *folder = support_folder(), *path = support_path(folder, "out.txt"), *place = support_path(folder, "run");
    FILE *out = fopen(path, "w");
    run_in(place, mlp_text, out);
    fclose(out);
    char *text = support_file_read(path, NULL);
    cr_assert(strstr(text, "backend: ") && strstr(text, "linear") && strstr(text, "step     10"), "%s", text);
    cr_assert(strstr(text, "best ") && strstr(text, "final ") && strstr(text, place), "%s", text);
    for (const char *c = text; *c; c++) cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'), "%s", text);
    support_folder_remove(folder);
    free(path), free(place), free(text);
}

/* --- what a disk can do to a run --- */

static void assert_run_fails(const char *folder, const char *part, const char *cause)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, mlp_text);
    cr_assert_not(train_run(&experiment, folder, TRAIN_NEW, NULL, NULL, NULL, &status));
    cr_assert_eq(status.code, STATUS_RUNTIME);
    cr_assert(strstr(status.message, part) && strstr(status.message, cause), "%s", status.message);
    experiment_free(&experiment);
}

Test(train, full_disk_is_an_error_with_path_and_cause)
{
    char *folder = support_folder(), *path = support_path(folder, "metrics.csv");
    cr_assert_eq(symlink("/dev/full", path), 0);
    assert_run_fails(folder, path, "No space left on device");
    support_folder_remove(folder);
    free(path);
}

Test(train, folder_that_cannot_be_is_an_error)
{
    char *folder = support_folder(), *file = support_path(folder, "file"), *below = support_path(file, "below");
    support_file_write(file, "", 0);
    assert_run_fails(file, file, "is a file");
    assert_run_fails(below, file, "is a file");
    free(file), free(below);
    file = support_path(folder, "metrics.csv");
    cr_assert_eq(mkdir(file, 0777), 0);
    assert_run_fails(folder, file, "Is a directory");
    support_folder_remove(folder);
    free(file);
}
