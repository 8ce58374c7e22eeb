/* Tests training that starts from other weights, leaves parameters as they are, or trains some at another rate. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_support.h"
#include "session_support.h"
#include "train/checkpoint_private.h"

TestSuite(tuning, .init = enter_without_gnuplot, .fini = leave_folder);

/* The parameters are those of layers 0 and 3 (convolutions), 6 (the block's other one), 1, 4, 7 and 13 (batch
 * normalizations), 12 and 15 (linear layers); without batch normalization those of 0, 2, 4, 9 and 11. */
static const char format[] = "[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_test = 20\n"
                             "synthetic_size = 8\nnormalization = channel\n%s"
                             "[model]\nkind = convnet\nfeatures = 5, (5, 5)+, M, G\nhidden = 7\n"
                             "batchnorm = %s\n%s[optimizer]\n%s"
                             "[train]\nmax_steps = 6\nbatch_size = 16\neval_freq = 3\nema_decay = 0.9\n"
                             "[checkpoint]\nfreq = 3\n[backend]\ndevice = cpu\nthreads = 2\n";

static char *config_of(const char *batchnorm, const char *model, const char *optimizer)
{
    return memory_format(format, "", batchnorm, model, optimizer);
}

/* `device`: lines of [backend]. */
static struct session *open_on(const char *batchnorm, const char *model, const char *optimizer, const char *device)
{
    char *text = config_of(batchnorm, model, optimizer), *whole = memory_format("%s%s", text, device);
    struct session *session = session_open(whole, 2);
    free(whole), free(text);
    return session;
}

static struct session *open_with(const char *batchnorm, const char *model, const char *optimizer, bool fp64)
{
    return open_on(batchnorm, model, optimizer, fp64 ? "precision = fp64\n" : "");
}

/* The values of all parameters of the network, or of its running statistics, in host order. */
struct weights {
    int count;
    char *name[128];
    double *values[128];
    int64_t size[128];
};

static bool take(void *argument, const struct checkpoint_item *item)
{
    struct weights *weights = argument;
    int i = weights->count++;
    cr_assert_lt(i, 128);
    weights->name[i] = memory_copy_string(item->name);
    weights->size[i] = shape_count(item->tensor.shape);
    weights->values[i] = NULL;
    return true;
}

static struct weights *weights_of(const struct session *session)
{
    struct weights *weights = memory_alloc(1, sizeof *weights);
    const struct network *network = session->trainer.network;
    checkpoint_each_weight(network, take, weights);
    int i = 0;
    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        for (int p = 0; p < layer->parameter_count; p++)
            weights->values[i++] = support_read(network->backend, &layer->parameter[p].value);
        for (int b = 0; b < layer->buffer_count; b++)
            weights->values[i++] = support_read(network->backend, &layer->buffer[b].value);
    }
    cr_assert_eq(i, weights->count);
    return weights;
}

static void weights_free(struct weights *weights)
{
    for (int i = 0; i < weights->count; i++) free(weights->name[i]), free(weights->values[i]);
    free(weights);
}

static bool is_same(const struct weights *a, const struct weights *b, int i)
{
    return memcmp(a->values[i], b->values[i], (size_t)a->size[i] * sizeof(double)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), rest = strlen(end);
    return length >= rest && strcmp(text + length - rest, end) == 0;
}

/* --- frozen parameters --- */

static bool below_linear(const char *name)
{
    return atoi(name + strlen("layers.")) < 12;
}

static bool below_three(const char *name)
{
    return atoi(name + strlen("layers.")) < 3;
}

static bool is_bias(const char *name)
{
    return ends_with(name, ".bias");
}

static bool is_head(const char *name)
{
    return strncmp(name, "layers.15.", strlen("layers.15.")) == 0;
}

/* What is frozen keeps its bits through decay, momentum and averages, and all else changes. A batch normalization that is
 * frozen in part goes on with its statistics. */
static void expect_frozen(const char *batchnorm, const char *freeze, bool (*frozen)(const char *name), bool statistics)
{
    char *model = memory_format("freeze = %s\n", freeze);
    struct session *session =
        open_with(batchnorm, model, "name = adamw\nlearning_rate = 1e-2\nweight_decay = 0.1\n", false);
    struct weights *before = weights_of(session);
    for (int i = 0; i < 6; i++) trainer_step(&session->trainer);
    struct weights *after = weights_of(session);
    for (int i = 0; i < before->count; i++) {
        bool is_statistic = strstr(before->name[i], ".running_") != NULL;
        bool expected = frozen(before->name[i]) && (statistics || !is_statistic);
        cr_expect_eq(is_same(before, after, i), expected, "freeze = %s, %s: %s", freeze, batchnorm, before->name[i]);
    }
    weights_free(before), weights_free(after);
    session_close(session);
    free(model);
}

Test(tuning, what_is_frozen_keeps_its_bits_and_all_else_is_trained)
{
    static const char *const kinds[] = {"custom", "autodiff"};
    for (int i = 0; i < 2; i++) {
        expect_frozen(kinds[i], "features", below_linear, true);
        expect_frozen(kinds[i], "3", below_three, true);
        expect_frozen(kinds[i], "layers.*.bias", is_bias, false);
        expect_frozen(kinds[i], "head", is_head, false);
    }
}

/* The optimizer keeps nothing for them. */
Test(tuning, an_optimizer_has_no_state_for_what_is_frozen)
{
    char *text = config_of("custom", "freeze = features\n", "name = adam\n");
    struct safetensors_file file;
    struct status status = {0};
    run_good(text, "run", TRAIN_NEW);
    cr_assert(
        safetensors_read(&file, "run/checkpoints/step_00000006.safetensors", SAFETENSORS_DIGEST_REQUIRED, &status));
    int states = 0;
    for (int i = 0; i < file.tensor_count; i++) {
        const char *name = file.tensors[i].name;
        if (strncmp(name, "optimizer.", strlen("optimizer.")) != 0) continue;
        cr_expect_not(below_linear(strstr(name, "layers.")), "%s", name);
        states++;
    }
    cr_expect_eq(states, 2 * 6);
    safetensors_free(&file);
    free(text);
}

/* The loss of the first batch where weight `i` of the first convolution is moved by `step`, and the change that an SGD
 * step of rate 1 makes to that weight. */
static double loss_at(const char *freeze, int i, double step, double *change)
{
    struct session *session = open_with("custom", freeze, "learning_rate = 1\n", true);
    struct network *network = session->trainer.network;
    const struct tensor *weight = &network->layers[0].parameter[0].value;
    double *values = support_read(network->backend, weight);
    values[i] += step;
    network->backend->table->tensor_write(network->backend, weight, values);
    double loss = session_step_loss(session);
    double *after = support_read(network->backend, weight);
    if (change) *change = after[i] - values[i];
    free(values), free(after);
    session_close(session);
    return loss;
}

/* A frozen batch normalization with trained layers before it hands the gradient on. */
Test(tuning, a_gradient_passes_a_frozen_batch_normalization)
{
    static const char freeze[] = "freeze = layers.1.*, layers.4.*, layers.7.*\n";
    const double h = 1e-6;
    for (int i = 0; i < 5 * 27; i += 17) {
        double change;
        loss_at(freeze, i, 0, &change);
        double slope = (loss_at(freeze, i, h, NULL) - loss_at(freeze, i, -h, NULL)) / (2 * h);
        /* The losses round to some 1e-16, so their quotient to some 1e-10. */
        cr_expect_float_eq(-change, slope, 1e-8 + 1e-6 * fabs(slope), "weight %d: %g, not %g", i, -change, slope);
    }
}

/* To the optimizer, a frozen parameter is one of rate 0. To the backend it is one without a gradient: the others' bits
 * stay the same. */
static void expect_rate_zero(const char *group, const char *device)
{
    static const char sgd[] = "name = sgd\nlearning_rate = 1\n"; /* smaller steps would hide a gradient's last bits */
    char *model = memory_format("freeze = %s\n", group), *optimizer = memory_format("%srates = %s 0\n", sgd, group);
    struct session *frozen = open_on("none", model, sgd, device), *still = open_on("none", "", optimizer, device);
    for (int i = 0; i < 4; i++) trainer_step(&frozen->trainer), trainer_step(&still->trainer);
    struct weights *a = weights_of(frozen), *b = weights_of(still);
    for (int i = 0; i < a->count; i++) cr_expect(is_same(a, b, i), "%s, %s: %s", group, device, a->name[i]);
    weights_free(a), weights_free(b);
    session_close(frozen), session_close(still);
    free(model), free(optimizer);
}

Test(tuning, a_frozen_parameter_is_one_whose_rate_is_zero)
{
    static const char *const groups[] = {"head", "layers.0.*", "layers.0.weight", "layers.2.*", "layers.*.bias"};
    static const char *const devices[] = {"",
                                          "precision = fp64\n",
                                          "precision = bf16\n",
                                          "winograd = on\n",
                                          "fuse = false\n",
                                          "cpu_isa = portable\n",
                                          "cpu_isa = portable\nprecision = fp64\n",
                                          "winograd = off\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (size_t k = 0; k < sizeof devices / sizeof *devices; k++) expect_rate_zero(groups[i], devices[k]);
}

/* --- learning rates --- */

Test(tuning, a_factor_scales_the_step_of_its_group_alone)
{
    static const char *const rates[] = {"", "rates = head 0.5\n", "rates = features 0.25, layers.0.bias 2\n"};
    struct weights *first[3], *after[3];
    for (int k = 0; k < 3; k++) {
        char *optimizer = memory_format("learning_rate = 0.125\n%s", rates[k]);
        struct session *session = open_with("none", "", optimizer, true);
        first[k] = weights_of(session);
        trainer_step(&session->trainer);
        after[k] = weights_of(session);
        session_close(session);
        free(optimizer);
    }
    for (int i = 0; i < first[0]->count; i++)
        for (int k = 1; k < 3; k++) {
            const char *name = first[0]->name[i];
            bool head = strstr(name, "layers.11.") != NULL, features = atoi(name + strlen("layers.")) < 9;
            double factor = k == 1 ? (head ? 0.5 : 1) : strcmp(name, "layers.0.bias") == 0 ? 2 : features ? 0.25 : 1;
            for (int64_t j = 0; j < first[0]->size[i]; j++) {
                double whole = after[0]->values[i][j] - first[0]->values[i][j];
                double part = after[k]->values[i][j] - first[k]->values[i][j];
                cr_expect_float_eq(part, factor * whole, 1e-15, "%s: %g, not %g times %g", name, part, factor, whole);
            }
        }
    for (int k = 0; k < 3; k++) weights_free(first[k]), weights_free(after[k]);
}

static void expect_refusal(const char *model, const char *optimizer, const char *message)
{
    char *text = config_of("custom", model, optimizer);
    expect_run_error(text, NULL, "refused", TRAIN_NEW, STATUS_USAGE, message);
    free(text);
}

Test(tuning, groups_that_mean_nothing_are_refused)
{
    expect_refusal("freeze = featurs\n", "",
                   "x.ini:12: model.freeze: expected features, head, gamma, beta, a number of layers, or a pattern of "
                   "parameters' names such as layers.3.*, and a parameter that it stands for, found featurs");
    expect_refusal("freeze = 99\n", "",
                   "x.ini:12: model.freeze: expected a parameter that is left to train, found none");
    expect_refusal("", "rates = features\n",
                   "x.ini:13: optimizer.rates: expected a group of parameters and a factor from 0 up, as in features "
                   "0.1, found features");
    expect_refusal(
        "", "rates = heat 2\n",
        "x.ini:13: optimizer.rates: expected features, head, gamma, beta, a number of layers, or a pattern of "
        "parameters' names such as layers.3.*, and a parameter that it stands for, found heat");
    expect_refusal("", "decays = layers.0.bias -1\n",
                   "x.ini:13: optimizer.decays: expected a group of parameters and a factor from 0 up, as in features "
                   "0.1, found layers.0.bias -1");
}

/* --- weights of another run --- */

/* Reads a tensor of a run's last checkpoint. */
static double *read_tensor(const char *folder, const char *name, int64_t *count)
{
    struct safetensors_file file;
    struct status status = {0};
    char *path = memory_format("%s/checkpoints/step_00000006.safetensors", folder);
    cr_assert(safetensors_read(&file, path, SAFETENSORS_DIGEST_REQUIRED, &status), "%s", status.message);
    const struct safetensors_tensor *tensor = safetensors_find(&file, name);
    cr_assert(tensor, "%s", name);
    *count = tensor->count;
    double *values = memory_alloc((size_t)tensor->count, sizeof *values);
    safetensors_values(tensor, values);
    safetensors_free(&file);
    free(path);
    return values;
}

static bool has_same(const char *a, const char *b, const char *name)
{
    int64_t a_count, b_count;
    double *x = read_tensor(a, name, &a_count), *y = read_tensor(b, name, &b_count);
    bool same = a_count == b_count && memcmp(x, y, (size_t)a_count * sizeof *x) == 0;
    free(x), free(y);
    return same;
}

/* With everything but the head frozen, the head alone tells what the run started with. */
static void tune(const char *folder, const char *data, const char *freeze, enum train_start start)
{
    char *model = memory_format("init_from = first/checkpoints/step_00000006.safetensors\nfreeze = %s\n", freeze);
    char *text = memory_format(format, data, "custom", model, "learning_rate = 1e-3\n");
    run_good(text, folder, start);
    free(text), free(model);
}

Test(tuning, a_run_starts_from_the_weights_of_another)
{
    char *first = config_of("custom", "", "learning_rate = 0.1\n");
    run_good(first, "first", TRAIN_NEW);
    tune("same", "", "head", TRAIN_NEW);
    tune("other", "synthetic_classes = 3\n", "features, layers.12.*, layers.13.*", TRAIN_NEW);
    cr_expect(has_same("first", "same", "layers.15.weight"));
    cr_expect_not(has_same("first", "same", "layers.0.weight"), "trained");
    cr_expect(has_same("first", "other", "layers.0.weight"));
    cr_expect(has_same("first", "other", "layers.1.running_var"));
    cr_expect_not(has_same("first", "other", "layers.15.weight"), "three classes");
    free(first);
}

/* Larger pictures leave more pixels for a head that sees each of them. */
Test(tuning, a_head_of_another_size_starts_anew)
{
    static const char pictures[] = "[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_size = %d\n"
                                   "[model]\nkind = convnet\nfeatures = 5, M\n%s"
                                   "[train]\nmax_steps = 2\nbatch_size = 16\n[backend]\ndevice = cpu\n";
    char *first = memory_format(pictures, 8, ""), *other = memory_format(pictures, 12, "init_from = first\n");
    run_good(first, "first", TRAIN_NEW);
    run_good(other, "other", TRAIN_NEW);
    free(first), free(other);
}

/* The head of a task with as many classes of other names means other things. */
Test(tuning, a_head_for_classes_of_other_names_starts_anew)
{
    char *first =
        memory_format(format, "class_names = a, b, c, d, e, f, g, h, i, j\n", "custom", "", "learning_rate = 0.1\n");
    run_good(first, "first", TRAIN_NEW);
    tune("same", "class_names = a, b, c, d, e, f, g, h, i, j\n", "head", TRAIN_NEW);
    tune("other", "class_names = a, b, c, d, e, f, g, h, i, k\n", "head", TRAIN_NEW);
    cr_expect(has_same("first", "same", "layers.15.weight"));
    cr_expect_not(has_same("first", "other", "layers.15.weight"));
    free(first);
}

/* A run that is resumed has its own weights and does not look for the others. */
Test(tuning, a_resumed_run_needs_the_other_run_no_more)
{
    char *first = config_of("custom", "", "learning_rate = 0.1\n");
    run_good(first, "first", TRAIN_NEW);
    tune("whole", "", "3", TRAIN_NEW);
    tune("cut", "", "3", TRAIN_NEW);
    cr_assert(unlink("cut/checkpoints/step_00000006.safetensors") == 0);
    cr_assert(rename("first", "gone") == 0);
    tune("cut", "", "3", TRAIN_RESUME);
    cr_expect(same_checkpoints("whole", "cut", "step_00000006.safetensors"));
    free(first);
}

Test(tuning, weights_that_do_not_fit_are_refused_by_name)
{
    char *first = config_of("none", "", "");
    run_good(first, "first", TRAIN_NEW);
    char *text = config_of("custom", "init_from = first\n", "");
    expect_run_error(text, NULL, "refused", TRAIN_NEW, STATUS_RUNTIME, NULL);
    free(text);
    text = config_of("none", "init_from = nowhere\n", "");
    expect_run_error(text, NULL, "refused", TRAIN_NEW, STATUS_RUNTIME,
                     "nowhere: cannot open: No such file or directory");
    free(text), free(first);
}
