/* The rules between keys, which no row of the table can hold. */
#include "config/experiment_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_name.h"
#include "config/experiment_value.h"
#include "util/check.h"

static bool is_default(const struct experiment *experiment, const char *section_key)
{
    return experiment_origin(experiment, section_key).file == NULL;
}

static void name_from_file(struct experiment *experiment)
{
    char *name = experiment_name_fit(experiment->file);
    struct status problem;
    const struct experiment_key *key = &experiment_keys[experiment_key_find("experiment", "name")];
    CHECK(experiment_value_parse(key, name, experiment, &problem));
    free(name);
}

static bool check_name(struct experiment *experiment, struct status *status)
{
    const char *name = experiment->experiment.name;
    if (*name == '\0') name_from_file(experiment);
    if (!strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return true;
    return experiment_fail(experiment, "experiment.name", status,
                           "expected the name of a folder, without \"/\", found \"%s\"", name);
}

/* Refuses the keys on labels and images in files for a data set that has neither. */
static bool check_stored(const struct experiment *experiment, const char *dataset, struct status *status)
{
    if (experiment->data.first_label != 0)
        return experiment_fail(experiment, "data.first_label", status, "expected 0, as data.dataset is %s", dataset);
    if (experiment->data.transpose)
        return experiment_fail(experiment, "data.transpose", status, "expected false, as data.dataset is %s", dataset);
    return true;
}

/* Checks the keys that describe a data set's files. */
static bool check_files(const struct experiment *experiment, struct status *status)
{
    bool synthetic = experiment->data.dataset == DATASET_SYNTHETIC;
    int64_t classes = experiment->data.classes;
    if (classes == 1) return experiment_fail(experiment, "data.classes", status, "expected 0 or at least 2, found 1");
    if (synthetic && classes != 0)
        return experiment_fail(experiment, "data.classes", status,
                               "expected 0, as data.dataset is synthetic, which has data.synthetic_classes");
    if (synthetic) return check_stored(experiment, "synthetic", status);
    if (experiment->data.dataset == DATASET_PACK) return check_stored(experiment, "pack", status);
    if (experiment->data.dataset == DATASET_FOLDER) return check_stored(experiment, "folder", status);
    return experiment->data.dataset != DATASET_CSV || check_stored(experiment, "csv", status);
}

/* Returns the words for what data.path must name; NULL where the format can do without it: CIFAR-10's folder is the
 * default. */
static const char *wanted_path(enum dataset_kind kind)
{
    switch (kind) {
    case DATASET_CIFAR100:
        return "the folder that holds CIFAR-100";
    case DATASET_IDX:
        return "the folder that holds the idx files";
    case DATASET_FOLDER:
        return "the folder that holds the pictures";
    case DATASET_CSV:
        return "the path of the table";
    case DATASET_NPZ:
        return "the path of the NPZ archive";
    case DATASET_PACK:
        return "the packed file";
    case DATASET_CIFAR10:
    case DATASET_SYNTHETIC:
        return NULL;
    }
    check_failed("a format", __FILE__, __LINE__);
}

static bool check_path(const struct experiment *experiment, struct status *status)
{
    const char *expected = wanted_path(experiment->data.dataset);
    if (!expected || !is_default(experiment, "data.path")) return true;
    return experiment_fail(experiment, "data.path", status, "expected %s", expected);
}

static bool check_data(struct experiment *experiment, struct status *status)
{
    if (!check_files(experiment, status) || !check_path(experiment, status)) return false;
    if (experiment->data.dataset != DATASET_SYNTHETIC) return true;
    int64_t train = experiment->data.synthetic_train, size = experiment->data.synthetic_size;
    int64_t bytes = experiment->data.synthetic_channels * size * size, limit = (INT64_C(4) << 30) / bytes;
    if (train + experiment->data.synthetic_test > limit)
        return experiment_fail(experiment, "data.synthetic_train", status,
                               "expected at most %" PRId64 " images of this size with those of the test set (4 GiB)",
                               limit);
    if (experiment->data.validation_size >= train)
        return experiment_fail(experiment, "data.validation_size", status,
                               "expected less than the %" PRId64 " training samples, found %" PRId64, train,
                               experiment->data.validation_size);
    return true;
}

static bool check_features(struct experiment *experiment, struct status *status)
{
    bool convnet = experiment->model.kind == MODEL_CONVNET;
    if (convnet && experiment->model.features.count == 0)
        return experiment_fail(experiment, "model.features", status,
                               "expected at least one entry, as model.kind is convnet");
    if (!convnet && experiment->model.features.count > 0)
        return experiment_fail(experiment, "model.features", status, "expected nothing, as model.kind is mlp");
    if (convnet && is_default(experiment, "model.hidden")) experiment->model.hidden.count = 0;
    return true;
}

static double usual_slope(enum activation activation)
{
    switch (activation) {
    case ACTIVATION_RELU:
    case ACTIVATION_RELU6:
    case ACTIVATION_GELU:
    case ACTIVATION_SILU:
        return 0;
    case ACTIVATION_LEAKY_RELU:
        return 0.01;
    case ACTIVATION_ELU:
        return 1;
    case ACTIVATION_NONE:
        break;
    }
    check_failed("an activation", __FILE__, __LINE__);
}

static bool check_activation(struct experiment *experiment, struct status *status)
{
    static const char *const names[] = {ACTIVATION_CHOICES(CHOICE_NAME)};
    double usual = usual_slope(experiment->model.activation);
    if (usual == 0 && experiment->model.activation_slope != 0)
        return experiment_fail(experiment, "model.activation_slope", status,
                               "expected 0, as model.activation is %s, which has none",
                               names[experiment->model.activation]);
    if (experiment->model.activation_slope == 0) experiment->model.activation_slope = usual;
    return true;
}

static bool check_zero_gamma(struct experiment *experiment, struct status *status)
{
    if (!experiment->model.zero_gamma) return true;
    if (experiment->model.batchnorm == BATCHNORM_NONE)
        return experiment_fail(experiment, "model.zero_gamma", status, "expected false, as model.batchnorm is none");
    if (experiment->model.residual == RESIDUAL_PREACTIVATION)
        return experiment_fail(
            experiment, "model.zero_gamma", status,
            "expected false, as model.residual is preactivation, whose blocks end with a convolution");
    return features_count(&experiment->model.features).blocks > 0 ||
           experiment_fail(experiment, "model.zero_gamma", status,
                           "expected false, as model.features has no residual block");
}

static bool check_residual(struct experiment *experiment, struct status *status)
{
    static const char *const names[] = {RESIDUAL_CHOICES(CHOICE_NAME)};
    bool is_default = experiment->model.residual == RESIDUAL_ORIGINAL;
    return is_default || features_count(&experiment->model.features).blocks > 0 ||
           experiment_fail(experiment, "model.residual", status,
                           "expected original, as model.features has no residual block, found %s",
                           names[experiment->model.residual]);
}

static bool check_model(struct experiment *experiment, struct status *status)
{
    if (!check_features(experiment, status) || !check_activation(experiment, status)) return false;
    if (experiment->model.batchnorm == BATCHNORM_NONE && experiment->model.batchnorm_batch_stats_only)
        return experiment_fail(experiment, "model.batchnorm_batch_stats_only", status,
                               "expected false, as model.batchnorm is none");
    return check_residual(experiment, status) && check_zero_gamma(experiment, status);
}

/* What muon leaves over has one optimizer, and the settings of the other would mean nothing. */
static bool check_rest(const struct experiment *experiment, struct status *status)
{
    bool sgd = experiment->optimizer.rest == MUON_REST_SGD;
    const struct {
        const char *key;
        double value;
        bool sgd;
    } settings[] = {{"optimizer.adamw_learning_rate", experiment->optimizer.adamw_learning_rate, false},
                    {"optimizer.sgd_learning_rate", experiment->optimizer.sgd_learning_rate, true},
                    {"optimizer.sgd_momentum", experiment->optimizer.sgd_momentum, true}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i].value != 0 && settings[i].sgd != sgd)
            return experiment_fail(experiment, settings[i].key, status, "expected 0, as optimizer.rest is %s",
                                   sgd ? "sgd" : "adamw");
    return true;
}

static bool check_optimizer(struct experiment *experiment, struct status *status)
{
    experiment_set_optimizer_defaults(experiment);
    if (experiment->optimizer.nesterov && experiment->optimizer.momentum == 0)
        return experiment_fail(experiment, "optimizer.nesterov", status, "expected false, as optimizer.momentum is 0");
    return !optimizer_row(experiment->optimizer.name)->matrix || check_rest(experiment, status);
}

static bool check_schedule(struct experiment *experiment, struct status *status)
{
    experiment_choose_length(experiment);
    bool counted_later = experiment->train.epochs > 0;
    if (counted_later && is_default(experiment, "train.max_steps")) experiment->train.max_steps = 0;
    if (!counted_later && !experiment_check_warmup(experiment, status)) return false;
    if (experiment->schedule.minimum > experiment->optimizer.learning_rate)
        return experiment_fail(experiment, "schedule.minimum", status,
                               "expected at most the %g of optimizer.learning_rate, found %g",
                               experiment->optimizer.learning_rate, experiment->schedule.minimum);
    return true;
}

static bool check_report(struct experiment *experiment, struct status *status)
{
    if (!experiment->report.histograms || experiment->report.tensorboard) return true;
    return experiment_fail(experiment, "report.histograms", status, "expected false, as report.tensorboard is false");
}

static bool check_slices(struct experiment *experiment, struct status *status)
{
    int64_t slices = experiment->train.slices, batch = experiment->train.batch_size;
    if ((slices & (slices - 1)) != 0)
        return experiment_fail(experiment, "train.slices", status,
                               "expected 1, 2, 4, ..., a power of two, found %" PRId64, slices);
    if (batch % slices != 0)
        return experiment_fail(experiment, "train.batch_size", status,
                               "expected a multiple of the %" PRId64 " slices (train.slices), found %" PRId64, slices,
                               batch);
    return true;
}

static bool check_train(struct experiment *experiment, struct status *status)
{
    if (!check_slices(experiment, status)) return false;
    if (experiment->train.label_smoothing == 0 || experiment->model.loss == LOSS_FUSED) return true;
    return experiment_fail(experiment, "train.label_smoothing", status,
                           "expected 0, as model.loss is separate (fused can smooth)");
}

/* A mixed label is one of two, and needs a second sample. */
static bool check_mixing(const struct experiment *experiment, const char *key, double amount, struct status *status)
{
    if (amount == 0) return true;
    if (experiment->model.loss != LOSS_FUSED)
        return experiment_fail(experiment, key, status, "expected 0, as model.loss is separate (fused can mix labels)");
    if (experiment->train.batch_size == 1)
        return experiment_fail(experiment, key, status, "expected 0, as train.batch_size is 1 (nothing to mix with)");
    if (experiment->train.batch_size == experiment->train.slices)
        return experiment_fail(experiment, key, status,
                               "expected 0, as a slice (train.slices) has 1 sample (nothing to mix with)");
    return true;
}

static bool check_augment(const struct experiment *experiment, struct status *status)
{
    return check_mixing(experiment, "augment.mixup", experiment->augment.mixup, status) &&
           check_mixing(experiment, "augment.cutmix", experiment->augment.cutmix, status);
}

bool experiment_may_validate(const struct experiment *experiment)
{
    enum dataset_kind kind = experiment->data.dataset;
    bool never =
        kind == DATASET_CIFAR10 || kind == DATASET_CIFAR100 || kind == DATASET_IDX || kind == DATASET_SYNTHETIC;
    return !never || experiment->data.validation_size > 0;
}

static bool check_best_by(struct experiment *experiment, struct status *status)
{
    if (experiment->checkpoint.best_by != CHECKPOINT_BEST_BY_VALIDATION || experiment_may_validate(experiment))
        return true;
    return experiment_fail(experiment, "checkpoint.best_by", status,
                           "validation needs samples that are held out: data.validation_size above 0, found 0");
}

bool experiment_check(struct experiment *experiment, struct status *status)
{
    return check_name(experiment, status) && check_data(experiment, status) && check_model(experiment, status) &&
           check_optimizer(experiment, status) && check_schedule(experiment, status) &&
           check_train(experiment, status) && check_augment(experiment, status) && check_best_by(experiment, status) &&
           check_report(experiment, status);
}
