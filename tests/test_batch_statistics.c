/* Tests batch normalization without running statistics: the batch that an evaluation normalises by, and its lack. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <criterion/criterion.h>

#include "../src/train/batch_statistics.h"
#include "network_support.h"
#include "session_support.h"

/* 23 = 3*7 + 2 test images, 50 = 7*7 + 1 training images: a tail in both sets. */
#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\nnormalization = channel\n"
#define BY_BATCH "batchnorm_batch_stats_only = true\n"
#define TRAIN "[backend]\nprecision = fp64\n[train]\nmax_steps = 10\nbatch_size = 16\neval_batch_size = 7\n"

static const char mlp[] = DATA "[model]\nhidden = 19\nbatchnorm = custom\n" BY_BATCH TRAIN;
static const char tape[] = DATA "[model]\nhidden = 19\nbatchnorm = autodiff\n" BY_BATCH TRAIN;
static const char convnet[] = DATA "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\n" BY_BATCH TRAIN;

/* Adds the loss of the last `counted` images of the batch that begins at `first`, by the definition. */
static double batch_loss(struct session *session, const struct image_set *set, int64_t first, int64_t n,
                         int64_t counted)
{
    struct network *network = session->trainer.network;
    const struct dataset *dataset = &session->dataset;
    int64_t plane = dataset->height * dataset->width, sample = dataset->channels * plane, classes = dataset->classes;
    double *values = memory_alloc((size_t)(n * sample), sizeof *values), loss = 0;
    for (int64_t i = 0; i < n * sample; i++)
        values[i] = ((double)set->pixels[first * sample + i] - dataset->offset[i % sample]) *
                    dataset->scale[i % sample / plane];
    struct runner runner = runner_open(network, (struct runner_options){0});
    runner.n = n;
    struct tensor x = runner_input(&runner, LAYER_EVALUATE), y = runner_output(&runner, LAYER_EVALUATE);
    session->backend->table->tensor_write(session->backend, &x, values);
    runner_forward(&runner, LAYER_EVALUATE);
    double *logits = support_read(session->backend, &y);
    runner_close(&runner);
    for (int64_t i = n - counted; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < classes; k++) sum += exp(logits[i * classes + k]);
        loss += log(sum) - logits[i * classes + set->labels[first + i]];
    }
    free(values), free(logits);
    return loss;
}

/* Computes the loss over full batches. The rest of the set counts as the end of the last n images; a set of fewer than
 * n images is one batch. */
static double expected_loss(struct session *session, const struct image_set *set, int64_t n)
{
    int64_t first = 0;
    double loss = 0;
    if (n > set->count) n = set->count;
    for (; first + n <= set->count; first += n) loss += batch_loss(session, set, first, n, n);
    if (first < set->count) loss += batch_loss(session, set, set->count - n, n, set->count - first);
    return loss / (double)set->count;
}

static void expect_stated_batches(const char *text, int64_t batch)
{
    char *sized = memory_format("%s", text), *size = strstr(sized, "eval_batch_size = 7");
    snprintf(size, strlen(size) + 1, "eval_batch_size = %d", (int)batch);
    struct session *session = session_open(sized, 2);
    for (int step = 0; step < 5; step++) trainer_step(&session->trainer);
    double test = trainer_evaluate(&session->trainer, &session->trainer.test_set).loss;
    double train = trainer_evaluate(&session->trainer, &session->trainer.train_set).loss;
    double expected_test = expected_loss(session, &session->dataset.test, batch);
    double expected_train = expected_loss(session, &session->dataset.train, batch);
    /* fp64; only the order of additions differs */
    cr_expect(fabs(test - expected_test) < 1e-10, "batch %d: %.17g, not %.17g", (int)batch, test, expected_test);
    cr_expect(fabs(train - expected_train) < 1e-10, "batch %d: %.17g, not %.17g", (int)batch, train, expected_train);
    session_close(session);
    free(sized);
}

Test(batch_statistics, every_sample_is_normalised_by_a_full_batch)
{
    const char *const texts[] = {mlp, tape, convnet};
    for (int i = 0; i < 3; i++)
        for (int64_t batch = 2; batch <= 9; batch += batch == 2 ? 5 : 2) expect_stated_batches(texts[i], batch);
}

/* --- the head of a run --- */

static char *printed(const char *text)
{
    struct session *session = session_open(text, 1);
    char *line;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    batch_statistics_print(&session->trainer, out);
    fclose(out);
    session_close(session);
    return line;
}

Test(batch_statistics, the_head_of_a_run_states_the_batch)
{
    char *line = printed(mlp);
    cr_expect_str_eq(line, "batch statistics: an evaluation normalises by batches of 7 (train set), 7 (test set)\n");
    free(line);
    line = printed(DATA "[model]\nhidden = 19\nbatchnorm = custom\n" BY_BATCH "[train]\nbatch_size = 16\n");
    cr_expect_str_eq(line, "batch statistics: an evaluation normalises by batches of 50 (train set), 23 (test set)\n");
    free(line);
    line = printed(DATA "[model]\nhidden = 19\nbatchnorm = custom\n[train]\nbatch_size = 16\n");
    cr_expect_str_empty(line);
    free(line);
}

/* --- one value per channel --- */

static void expect_refused(const char *text, const char *message)
{
    struct experiment experiment;
    struct dataset dataset;
    struct trainer trainer;
    struct status status = {0};
    experiment_from(&experiment, text);
    struct backend *backend = backend_of(experiment.backend.precision, 1);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    bool created = trainer_create(&trainer, &experiment, &dataset, backend, NULL, &status);
    cr_expect(created == (message == NULL), "%s: %s", text, status.message);
    if (message) {
        cr_expect_eq(status.code, STATUS_USAGE);
        cr_expect_not_null(strstr(status.message, message), "\"%s\" lacks \"%s\"", status.message, message);
    }
    trainer_destroy(&trainer);
    dataset_free(&dataset);
    backend_destroy(backend);
    experiment_free(&experiment);
}

#define SMALL(model) DATA "[model]\n" model "[train]\n"
#define CONV(entries) "kind = convnet\nfeatures = " entries "\nbatchnorm = custom\n"

Test(batch_statistics, one_value_per_channel_is_refused)
{
    const char *const many = "expected more than 1 sample, as layer ";
    expect_refused(SMALL("hidden = 9\nbatchnorm = custom\n") "batch_size = 1\n",
                   "train.batch_size: expected more than 1 sample, as layer 1 (batchnorm) normalises by the batch "
                   "and would see one value per channel, found 1 in a training batch");
    expect_refused(SMALL("hidden = 9\nbatchnorm = autodiff\n") "batch_size = 1\n", many);
    expect_refused(SMALL(CONV("6k7p0")) "batch_size = 1\n", many); /* 7x7 images: one pixel is left */
    expect_refused(SMALL("hidden = 9\nbatchnorm = custom\n" BY_BATCH) "batch_size = 2\neval_batch_size = 1\n",
                   "train.eval_batch_size: expected more than 1 sample, as layer 1 (batchnorm) normalises by the "
                   "batch and would see one value per channel, found 1 in a batch of the train set");
    expect_refused("[data]\ndataset = synthetic\nsynthetic_train = 8\nsynthetic_test = 1\n"
                   "[model]\nhidden = 9\nbatchnorm = custom\n" BY_BATCH "[train]\nbatch_size = 4\n",
                   "model.batchnorm_batch_stats_only: expected more than 1 sample, as layer 1 (batchnorm) "
                   "normalises by the batch and would see one value per channel, found 1 in the whole test set");
}

Test(batch_statistics, several_values_per_channel_are_taken)
{
    expect_refused(SMALL("hidden = 9\nbatchnorm = custom\n") "batch_size = 2\neval_batch_size = 1\n", NULL);
    expect_refused(SMALL("hidden = 9\n") "batch_size = 1\n", NULL);
    expect_refused(SMALL(CONV("6k6p0")) "batch_size = 1\n", NULL); /* 2x2 pixels are left */
    expect_refused(SMALL(CONV("6k6p0") BY_BATCH) "batch_size = 1\neval_batch_size = 1\n", NULL);
}
