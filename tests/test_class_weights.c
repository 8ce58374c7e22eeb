/* Tests train.class_weights: the weights of a data set count in training's loss and not in evaluations. The cases
 * WEIGHTED of op_cases.c compare the loss itself with PyTorch's. */
#include <criterion/criterion.h>
#include <math.h>

#include "../src/train/class_weights.h"
#include "network_support.h"
#include "session_support.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 3\n"                  \
    "synthetic_size = 7\n"
#define TRAIN "[train]\nmax_steps = 10\nbatch_size = 16\n"

static struct experiment load(const char *lines, struct dataset *dataset)
{
    struct experiment experiment;
    struct status status = {0};
    char *text = memory_format("%s%s%s", DATA, TRAIN, lines);
    experiment_from(&experiment, text);
    cr_assert(dataset_from_experiment(dataset, &experiment, NULL, &status), "%s", status.message);
    free(text);
    return experiment;
}

/* Labels 10 samples: 5 of class 0, 4 of class 1, 1 of class 2. */
static void relabel(struct dataset *dataset)
{
    const uint16_t labels[] = {0, 1, 0, 1, 2, 0, 0, 1, 1, 0};
    memcpy(dataset->train.labels, labels, sizeof labels);
    dataset->train.count = 10;
}

/* The values are those of scikit-learn's compute_class_weight("balanced", classes=[0, 1, 2], y=labels). */
Test(class_weights, balanced_is_scikit_learns_formula)
{
    struct dataset dataset;
    struct experiment experiment = load("class_weights = balanced\n", &dataset);
    struct status status = {0};
    relabel(&dataset);
    cr_assert(class_weights_check(&experiment, &dataset, &status), "%s", status.message);
    double *weights = class_weights_create(&experiment, &dataset);
    const double expected[] = {0.6666666666666666, 0.8333333333333334, 3.3333333333333335};
    for (int i = 0; i < 3; i++) cr_expect(fabs(weights[i] - expected[i]) <= 4e-16, "%d: %.17g", i, weights[i]);
    free(weights);
    dataset_free(&dataset);
    experiment_free(&experiment);
}

static void expect_refused(const char *lines, const char *message)
{
    struct dataset dataset;
    struct experiment experiment = load(lines, &dataset);
    struct status status = {0};
    relabel(&dataset);
    for (int64_t i = 0; i < dataset.train.count; i++)
        if (dataset.train.labels[i] == 2) dataset.train.labels[i] = 1;
    cr_expect_not(class_weights_check(&experiment, &dataset, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, message), "\"%s\" lacks \"%s\"", status.message, message);
    dataset_free(&dataset);
    experiment_free(&experiment);
}

Test(class_weights, what_does_not_fit_the_data_is_refused)
{
    expect_refused(
        "class_weights = balanced\n",
        "train.class_weights: balanced needs a training sample of each of the 3 classes, found none of class 2");
    expect_refused("class_weights = 1, 2\n",
                   "train.class_weights: expected a weight for each of the 3 classes, found 2");
}

/* --- the key --- */

Test(class_weights, values_are_written_and_read_again)
{
    const char *const pairs[][2] = {{"none", "none"},
                                    {"balanced", "balanced"},
                                    {"1,0.5,19", "1, 0.5, 19"},
                                    {" 0 , 1e3, -0,.25 ", "0, 1000, 0, 0.25"}};
    for (int i = 0; i < 4; i++) {
        struct experiment experiment;
        char *text = memory_format("[train]\nclass_weights = %s\n", pairs[i][0]);
        char *line = memory_format("\nclass_weights = %s\n", pairs[i][1]);
        experiment_from(&experiment, text);
        char *written = experiment_text(&experiment);
        cr_expect_not_null(strstr(written, line), "\"%s\" lacks \"%s\"", written, line);
        experiment_free(&experiment);
        free(text), free(line), free(written);
    }
}

/* 256 weights with all their digits, as many as classes are possible, are longer than a value may be. */
Test(class_weights, a_list_that_could_not_be_written_is_refused)
{
    const char *const weights[] = {"0.12345678901234568", "0.1234567890123"}; /* 21 and 17 bytes each with ", " */
    for (int i = 0; i < 2; i++) {
        char *text = memory_format("[train]\nclass_weights = %s", weights[i]);
        for (int k = 1; k < 240; k++) {
            char *longer = memory_format("%s,%s", text, weights[i]);
            free(text);
            text = longer;
        }
        struct experiment experiment;
        struct status status = {0};
        bool loaded = experiment_load_text(&experiment, "x.ini", text, NULL, 0, &status);
        cr_expect_eq(loaded, i == 1, "%s", status.message);
        if (loaded) {
            free(experiment_text(&experiment));
            experiment_free(&experiment);
        } else {
            cr_expect_not_null(
                strstr(status.message, "expected weights that take at most 4096 bytes when written, found 5040"), "%s",
                status.message);
        }
        free(text);
    }
}

/* --- training and evaluation --- */

/* Equal weights change nothing but rounding. Others change training, and an evaluation only through training. */
Test(class_weights, evaluations_are_not_weighed)
{
    const char *const loss[] = {"fused", "separate"};
    for (int i = 0; i < 2; i++) {
        char *text = memory_format("%s[model]\nloss = %s\n[backend]\nprecision = fp64\n%s", DATA, loss[i], TRAIN);
        char *same = memory_format("%sclass_weights = 7, 7, 7\n", text);
        char *other = memory_format("%sclass_weights = 1, 0, 19\n", text);
        struct session *a = session_open(text, 1), *b = session_open(same, 1), *c = session_open(other, 1);
        double first = trainer_evaluate(&a->trainer, &a->trainer.test_set).loss;
        cr_expect_eq(trainer_evaluate(&c->trainer, &c->trainer.test_set).loss, first);
        double loss_a = session_step_loss(a), loss_b = session_step_loss(b), loss_c = session_step_loss(c);
        cr_expect(fabs(loss_a - loss_b) <= 1e-14 * loss_a, "%.17g, %.17g", loss_a, loss_b);
        cr_expect(fabs(loss_a - loss_c) > 1e-3 * loss_a, "%.17g, %.17g", loss_a, loss_c);
        double after_a = trainer_evaluate(&a->trainer, &a->trainer.test_set).loss;
        double after_b = trainer_evaluate(&b->trainer, &b->trainer.test_set).loss;
        cr_expect(fabs(after_a - after_b) <= 1e-12 * after_a, "%.17g, %.17g", after_a, after_b);
        session_close(a), session_close(b), session_close(c);
        free(text), free(same), free(other);
    }
}

static void expect_no_gradient(const struct network *network)
{
    for (int l = 0; l < network->layer_count; l++)
        for (int p = 0; p < network->layers[l].parameter_count; p++) {
            const struct tensor *gradient = &network->layers[l].parameter[p].gradient;
            double *values = support_read(network->backend, gradient);
            for (int64_t i = 0; i < shape_count(gradient->shape); i++) cr_expect_eq(values[i], 0);
            free(values);
        }
}

/* A class of weight 0 has no part in the gradient: a batch of that class alone moves nothing. */
Test(class_weights, weights_of_zero_move_nothing)
{
    struct session *session =
        session_open(DATA "[optimizer]\nlearning_rate = 1\n" TRAIN "class_weights = 0, 0, 5\n", 1);
    struct network *network = session->trainer.network;
    const int32_t labels[16] = {0, 1, 0, 1, 0, 0, 1};
    struct runner runner = runner_open(network, (struct runner_options){0});
    runner.n = 16;
    runner_set_labels(&runner, labels);
    network_set_metrics(session->trainer.network, (struct metrics){0});
    runner_backward(&runner);
    cr_expect_eq(network_metrics(session->trainer.network).loss, 0);
    expect_no_gradient(network);
    runner_close(&runner);
    session_close(session);
}

Test(class_weights, the_same_bits_at_any_number_of_threads)
{
    const char *text =
        DATA "[model]\nhidden = 19\nbatchnorm = custom\n" TRAIN "class_weights = balanced\nlabel_smoothing = 0.1\n";
    struct session *a = session_open(text, 1), *b = session_open(text, 3);
    for (int step = 0; step < 10; step++) {
        double first = session_step_loss(a), second = session_step_loss(b);
        cr_assert(first == second && isfinite(first), "step %d: %.17g, %.17g", step, first, second);
    }
    size_t bytes = a->trainer.network->arena_count * a->backend->scalar_size;
    cr_assert_eq(memcmp(a->trainer.network->parameters, b->trainer.network->parameters, bytes), 0);
    session_close(a), session_close(b);
}
