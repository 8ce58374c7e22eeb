/* Tests the meaning of config files: messages for malformed ones, the shipped configs, relations of keys, --set. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#include "build/build.h"
#include "config_support.h"

TestSuite(experiment, .init = enter_folder, .fini = leave_folder);

/* --- malformed files: bad_ini/x.ini holds the file, bad_ini/x.txt the message --- */

Test(experiment, malformed_files_get_their_messages)
{
    struct dirent **names;
    int count = scandir(TEST_FOLDER "/bad_ini", &names, is_ini, alphasort);
    cr_assert_geq(count, 40);
    cr_assert(chdir(TEST_FOLDER "/bad_ini") == 0);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        char *message_path = memory_format("%.*s.txt", (int)strlen(name) - 4, name);
        char *message = support_file_read(message_path, NULL);
        cr_assert_not_null(message, "%s is missing", message_path);
        message[strcspn(message, "\n")] = '\0';
        struct experiment experiment;
        struct status status = {0};
        cr_expect_not(experiment_load(&experiment, name, NULL, 0, &status), "%s was taken", name);
        cr_expect_eq(status.code, STATUS_USAGE);
        cr_expect_str_eq(status.message, message, "%s: \"%s\", not \"%s\"", name, status.message, message);
        free(message);
        free(message_path);
        free(names[i]);
    }
    free(names);
    cr_assert(chdir(test_folder) == 0);
}

/* --- defaults and the shipped configs --- */

Test(experiment, an_empty_file_is_the_default_perceptron_of_the_report)
{
    struct experiment experiment = load_overrides(NULL, 0);
    cr_expect_str_eq(experiment.experiment.name, "x");
    cr_expect_eq(experiment.experiment.seed, 42);
    cr_expect_eq(experiment.data.dataset, DATASET_CIFAR10);
    cr_expect_eq(experiment.data.normalization, NORMALIZATION_MEAN_IMAGE);
    cr_expect_eq(experiment.model.kind, MODEL_MLP);
    cr_expect_eq(experiment.model.hidden.count, 1);
    cr_expect_eq(experiment.model.hidden.value[0], 100);
    cr_expect_eq(experiment.model.features.count, 0);
    cr_expect_eq(experiment.model.block[0], BLOCK_BATCHNORM);
    cr_expect_eq(experiment.model.block[1], BLOCK_ACTIVATION);
    cr_expect_eq(experiment.model.block[2], BLOCK_DROPOUT);
    cr_expect_eq(experiment.model.activation, ACTIVATION_RELU);
    cr_expect_eq(experiment.model.batchnorm, BATCHNORM_NONE);
    cr_expect(experiment.model.batchnorm_epsilon == 1e-5 && experiment.model.batchnorm_momentum == 0.1);
    cr_expect_eq(experiment.model.init, INIT_UNIFORM_FAN_IN);
    cr_expect_eq(experiment.model.loss, LOSS_FUSED);
    cr_expect_eq(experiment.optimizer.name, OPTIMIZER_SGD);
    cr_expect(experiment.optimizer.learning_rate == 2e-3 && experiment.optimizer.momentum == 0);
    cr_expect(experiment.optimizer.beta1 == 0.9 && experiment.optimizer.beta2 == 0.999);
    cr_expect(experiment.optimizer.epsilon == 1e-8);
    cr_expect_eq(experiment.train.max_steps, 1500);
    cr_expect_eq(experiment.train.batch_size, 200);
    cr_expect_eq(experiment.train.eval_freq, 100);
    cr_expect_eq(experiment.train.eval_batch_size, 0);
    experiment_free(&experiment);
}

static void expect_training(const struct experiment *experiment, enum optimizer_kind optimizer, double learning_rate,
                            int64_t max_steps, int64_t batch_size, int64_t eval_freq)
{
    cr_expect_eq(experiment->data.dataset, DATASET_CIFAR10);
    cr_expect_eq(experiment->data.normalization, NORMALIZATION_MEAN_IMAGE);
    cr_expect_eq(experiment->optimizer.name, optimizer);
    cr_expect(experiment->optimizer.learning_rate == learning_rate);
    cr_expect_eq(experiment->train.max_steps, max_steps);
    cr_expect_eq(experiment->train.batch_size, batch_size);
    cr_expect_eq(experiment->train.eval_freq, eval_freq);
}

Test(experiment, shipped_perceptrons_are_those_of_the_report)
{
    struct experiment numpy = load_shipped("mlp_numpy.ini"), mlp = load_shipped("mlp.ini");
    expect_training(&numpy, OPTIMIZER_SGD, 2e-3, 1500, 200, 100);
    expect_training(&mlp, OPTIMIZER_SGD, 2e-3, 1500, 200, 100);
    cr_expect_eq(numpy.model.init, INIT_NORMAL);
    cr_expect(numpy.model.init_std == 1e-4);
    cr_expect_eq(numpy.model.loss, LOSS_SEPARATE);
    cr_expect_eq(mlp.model.init, INIT_UNIFORM_FAN_IN);
    experiment_free(&numpy);
    experiment_free(&mlp);

    struct experiment best = load_shipped("mlp_best.ini");
    expect_training(&best, OPTIMIZER_ADAM, 1e-5, 5000, 384, 500);
    cr_assert_eq(best.model.hidden.count, 3);
    cr_expect(best.model.hidden.value[0] == 512 && best.model.hidden.value[1] == 128 &&
              best.model.hidden.value[2] == 384);
    cr_expect(best.model.block[0] == BLOCK_ACTIVATION && best.model.block[1] == BLOCK_BATCHNORM &&
              best.model.block[2] == BLOCK_DROPOUT);
    cr_expect_eq(best.model.batchnorm, BATCHNORM_CUSTOM);
    cr_expect(best.model.dropout == 0.01);
    experiment_free(&best);
}

Test(experiment, shipped_convnet_is_that_of_the_report)
{
    struct experiment convnet = load_shipped("convnet.ini");
    expect_training(&convnet, OPTIMIZER_ADAM, 1e-4, 5000, 32, 500);
    cr_expect_eq(convnet.model.batchnorm, BATCHNORM_CUSTOM);
    cr_expect_eq(convnet.model.hidden.count, 0, "no hidden linear layer by default");
    const int64_t channels[] = {64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0};
    cr_assert_eq(convnet.model.features.count, 14);
    for (int i = 0; i < 13; i++) {
        struct feature feature = convnet.model.features.value[i];
        struct window window = feature.window;
        cr_expect_eq(feature.channels, channels[i]);
        cr_expect_eq(feature.kind, channels[i] ? FEATURE_CONV : FEATURE_MAX_POOL);
        cr_expect(window.kernel == 3 && window.stride == (channels[i] ? 1 : 2) && window.padding == 1, "entry %d", i);
    }
    struct feature last = convnet.model.features.value[13];
    cr_expect(last.kind == FEATURE_AVERAGE_POOL && last.window.kernel == 1 && last.window.stride == 1);
    experiment_free(&convnet);
}

/* --- relations between keys --- */

Test(experiment, the_slope_follows_the_activation)
{
    const char *leaky[] = {"model.activation=leaky_relu"}, *elu[] = {"model.activation=elu"};
    const char *own[] = {"model.activation=leaky_relu", "model.activation_slope=0.2"};
    struct experiment a = load_overrides(leaky, 1), b = load_overrides(elu, 1), c = load_overrides(own, 2);
    cr_expect(a.model.activation_slope == 0.01);
    cr_expect(b.model.activation_slope == 1);
    cr_expect(c.model.activation_slope == 0.2);
    experiment_free(&a), experiment_free(&b), experiment_free(&c);
}

Test(experiment, an_optimizer_has_defaults_of_its_own)
{
    const char *lion[] = {"optimizer.name=lion"}, *given[] = {"optimizer.beta2=0.999", "optimizer.name=lion"};
    struct experiment a = load_overrides(lion, 1), b = load_overrides(given, 2);
    cr_expect(a.optimizer.beta1 == 0.9 && a.optimizer.beta2 == 0.99);
    cr_expect(b.optimizer.beta1 == 0.9 && b.optimizer.beta2 == 0.999);
    experiment_free(&a), experiment_free(&b);
    const char *muon[] = {"optimizer.name=muon"};
    a = load_overrides(muon, 1);
    cr_expect(a.optimizer.momentum == 0.95 && a.optimizer.nesterov && a.optimizer.beta2 == 0.999);
    experiment_free(&a);
}

/* A program before the rule may have saved it. */
Test(experiment, a_saved_value_that_the_optimizer_does_not_read_stays)
{
    const char text[] = "[optimizer]\nname = sgd\nbeta2 = 0.5\n";
    struct experiment experiment;
    struct status status = {0};
    cr_assert(experiment_load_saved(&experiment, "x.ini", text, NULL, 0, &status), "%s", status.message);
    cr_expect(experiment.optimizer.beta2 == 0.5);
    experiment_free(&experiment);
    cr_expect(!experiment_load_text(&experiment, "x.ini", text, NULL, 0, &status));
}

Test(experiment, a_convnet_may_have_hidden_layers)
{
    const char *overrides[] = {"model.kind=convnet", "model.features=8", "model.hidden=32,16"};
    struct experiment experiment = load_overrides(overrides, 3);
    cr_expect_eq(experiment.model.hidden.count, 2);
    experiment_free(&experiment);
}

Test(experiment, the_name_is_that_of_the_file)
{
    const char *const files[][2] = {{"a.ini", "a"},   {"b", "b"},     {"c.d.ini", "c.d"},
                                    {".ini", ".ini"}, {"e f", "e f"}, {"./g.ini", "g"}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct experiment experiment;
        struct status status;
        support_file_write(files[i][0], "", 0);
        cr_assert(experiment_load(&experiment, files[i][0], NULL, 0, &status));
        cr_expect_str_eq(experiment.experiment.name, files[i][1]);
        experiment_free(&experiment);
    }
}

/* The name must survive in resolved.ini and be able to name a folder. */
Test(experiment, a_file_name_that_cannot_be_a_name_is_made_fit)
{
    char longest[256], cut[256];
    memset(longest, 'n', 251), strcpy(longest + 251, ".ini");
    memset(cut, 'n', 251), cut[251] = '\0';
    const char *const files[][2] = {{"exp #2.ini", "exp _2"},
                                    {"#.ini", "_"},
                                    {"a ;b ;c.ini", "a _b _c"},
                                    {" a .ini", "_a_"},
                                    {"'a'.ini", "_a_"},
                                    {"a\tb\nc.ini", "a_b_c"},
                                    {"a\xff"
                                     "b.ini",
                                     "a_b"},
                                    {"...ini", "_"},
                                    {"'.ini", "'"},
                                    {"a#b.ini", "a#b"},
                                    {longest, cut},
                                    {"\xc3\xa9.ini", "\xc3\xa9"}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct experiment experiment, again;
        struct status status = {0};
        support_file_write(files[i][0], "", 0);
        cr_assert(experiment_load(&experiment, files[i][0], NULL, 0, &status), "%s", status.message);
        cr_expect_str_eq(experiment.experiment.name, files[i][1]);
        char *text = experiment_text(&experiment);
        cr_assert(load_text(&again, text, &status), "%s", status.message);
        cr_expect_str_eq(again.experiment.name, files[i][1]);
        free(text);
        experiment_free(&experiment), experiment_free(&again);
    }
}

static bool same_window(struct window a, struct window b)
{
    return a.kernel == b.kernel && a.stride == b.stride && a.padding == b.padding;
}

static void expect_features(const struct feature_list *found, const struct feature *expected, int64_t count)
{
    cr_assert_eq(found->count, count);
    for (int64_t i = 0; i < count; i++) {
        struct feature x = found->value[i], y = expected[i];
        cr_expect(x.kind == y.kind && x.channels == y.channels && same_window(x.window, y.window) &&
                      x.groups == y.groups && x.reduction == y.reduction && x.block == y.block &&
                      x.repeats == y.repeats,
                  "feature %" PRId64, i + 1);
        cr_expect(x.pool.present == y.pool.present && x.pool.kind == y.pool.kind &&
                      same_window(x.pool.window, y.pool.window),
                  "the pool of feature %" PRId64, i + 1);
    }
}

Test(experiment, features_have_the_documented_defaults)
{
    const char *overrides[] = {"model.kind=convnet",
                               "model.features=7, 7k1, 7k5s2, 7k5s2p3, 14g7, 14k5s2p0g2, M, M2, M4s3p2, A, A4, G"};
    const struct feature expected[] = {
        {.kind = FEATURE_CONV, .channels = 7, .window = {3, 1, 1}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 7, .window = {1, 1, 0}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 7, .window = {5, 2, 2}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 7, .window = {5, 2, 3}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 14, .window = {3, 1, 1}, .groups = 7},
        {.kind = FEATURE_CONV, .channels = 14, .window = {5, 2, 0}, .groups = 2},
        {.kind = FEATURE_MAX_POOL, .channels = 0, .window = {3, 2, 1}},
        {.kind = FEATURE_MAX_POOL, .channels = 0, .window = {2, 2, 0}},
        {.kind = FEATURE_MAX_POOL, .channels = 0, .window = {4, 3, 2}},
        {.kind = FEATURE_AVERAGE_POOL, .channels = 0, .window = {1, 1, 0}},
        {.kind = FEATURE_AVERAGE_POOL, .channels = 0, .window = {4, 4, 0}},
        {.kind = FEATURE_GLOBAL_POOL, .channels = 0, .window = {0, 0, 0}},
    };
    struct experiment experiment = load_overrides(overrides, 2);
    char text[VALUE_TEXT_SIZE];
    expect_features(&experiment.model.features, expected, 12);
    features_format(&experiment.model.features, text, sizeof text);
    cr_expect_str_eq(text, "7, 7k1, 7k5s2, 7k5s2p3, 14g7, 14k5s2p0g2, M, M2, M4s3p2, A, A4, G");
    experiment_free(&experiment);
}

Test(experiment, residual_blocks_among_the_features)
{
    const char *overrides[] = {"model.kind=convnet", "model.features=9,( 8k1 ,8s2, 16k1 )+  x4, (16)+, (16p0)+x1"};
    const struct feature expected[] = {
        {.kind = FEATURE_CONV, .channels = 9, .window = {3, 1, 1}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 8, .window = {1, 1, 0}, .block = 3, .repeats = 4, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 8, .window = {3, 2, 1}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 16, .window = {1, 1, 0}, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 16, .window = {3, 1, 1}, .block = 1, .repeats = 1, .groups = 1},
        {.kind = FEATURE_CONV, .channels = 16, .window = {3, 1, 0}, .block = 1, .repeats = 1, .groups = 1},
    };
    struct experiment experiment = load_overrides(overrides, 2);
    struct feature_counts counts = features_count(&experiment.model.features);
    char text[VALUE_TEXT_SIZE];
    expect_features(&experiment.model.features, expected, 6);
    cr_expect(counts.convolutions == 15 && counts.blocks == 6);
    features_format(&experiment.model.features, text, sizeof text);
    cr_expect_str_eq(text, "9, (8k1, 8s2, 16k1)+ x4, (16)+, (16p0)+");
    experiment_free(&experiment);
}

Test(experiment, squeeze_and_excitation_among_the_features)
{
    const char *overrides[] = {"model.kind=convnet", "model.features=9M2 ,S3, (8k1,S4, 16s2,S16)+ x4, (6,S1)+"};
    const struct window point = {1, 1, 0}, halving = {2, 2, 0};
    const struct feature expected[] = {
        {.kind = FEATURE_CONV,
         .channels = 9,
         .window = {3, 1, 1},
         .groups = 1,
         .pool = {true, FEATURE_MAX_POOL, halving}},
        {.kind = FEATURE_EXCITATION, .channels = 9, .window = point, .reduction = 3},
        {.kind = FEATURE_CONV, .channels = 8, .window = point, .groups = 1, .block = 4, .repeats = 4},
        {.kind = FEATURE_EXCITATION, .channels = 8, .window = point, .reduction = 4},
        {.kind = FEATURE_CONV, .channels = 16, .window = {3, 2, 1}, .groups = 1},
        {.kind = FEATURE_EXCITATION, .channels = 16, .window = point, .reduction = 16},
        {.kind = FEATURE_CONV, .channels = 6, .window = {3, 1, 1}, .groups = 1, .block = 2, .repeats = 1},
        {.kind = FEATURE_EXCITATION, .channels = 6, .window = point, .reduction = 1},
    };
    struct experiment experiment = load_overrides(overrides, 2);
    struct feature_counts counts = features_count(&experiment.model.features);
    char text[VALUE_TEXT_SIZE];
    expect_features(&experiment.model.features, expected, 8);
    cr_expect(counts.convolutions == 10 && counts.blocks == 5);
    features_format(&experiment.model.features, text, sizeof text);
    cr_expect_str_eq(text, "9M2, S3, (8k1, S4, 16s2, S16)+ x4, (6, S1)+");
    experiment_free(&experiment);
}

Test(experiment, a_convolution_with_a_pool_of_its_own)
{
    const char *overrides[] = {"model.kind=convnet", "model.features=8M2, 9k5s2p1M , 7A4s3p2"};
    const struct feature expected[] = {
        {.kind = FEATURE_CONV,
         .channels = 8,
         .window = {3, 1, 1},
         .groups = 1,
         .pool = {true, FEATURE_MAX_POOL, {2, 2, 0}}},
        {.kind = FEATURE_CONV,
         .channels = 9,
         .window = {5, 2, 1},
         .groups = 1,
         .pool = {true, FEATURE_MAX_POOL, {3, 2, 1}}},
        {.kind = FEATURE_CONV,
         .channels = 7,
         .window = {3, 1, 1},
         .groups = 1,
         .pool = {true, FEATURE_AVERAGE_POOL, {4, 3, 2}}},
    };
    struct experiment experiment = load_overrides(overrides, 2);
    char text[VALUE_TEXT_SIZE];
    expect_features(&experiment.model.features, expected, 3);
    features_format(&experiment.model.features, text, sizeof text);
    cr_expect_str_eq(text, "8M2, 9k5s2p1M, 7A4s3p2");
    experiment_free(&experiment);
}

static void expect_extras(const char *const *overrides, int count, const char *expected)
{
    struct experiment experiment = load_overrides(overrides, count);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    experiment_print_extras(&experiment, out);
    fclose(out);
    cr_expect_str_eq(text, expected);
    free(text);
    experiment_free(&experiment);
}

/* Angles are in 2^-32 of a turn, shares and probabilities in 2^-32, changes in 2^-16. */
Test(experiment, augmentation_in_the_units_of_a_backend)
{
    const char *overrides[] = {"augment.rotate=180",     "augment.scale=0.5",          "augment.resized_crop=0.25",
                               "augment.brightness=0.1", "augment.contrast=1",         "augment.saturation=0.75",
                               "augment.erase=1",        "augment.vertical_flip=true", "augment.crop=3",
                               "experiment.seed=7",      "augment.mixup=0.2",          "augment.cutmix=1.5"};
    struct experiment experiment = load_overrides(overrides, sizeof overrides / sizeof *overrides);
    struct augment_params params = augment_from_experiment(&experiment, 1);
    cr_expect(params.rotate == INT64_C(1) << 31 && params.scale == 32768 && params.resized_crop == 1 << 30);
    cr_expect(params.brightness == 6554 && params.contrast == 65536 && params.saturation == 49152);
    cr_expect(params.erase == INT64_C(1) << 32 && params.vertical_flip && !params.flip);
    cr_expect(params.crop == 3 && params.cutout == 0 && params.seed == 7);
    cr_expect(params.mixup == 0.2 && params.cutmix == 1.5);
    experiment_free(&experiment);
    const char *alternating[] = {"augment.flip=alternating"};
    experiment = load_overrides(alternating, 1);
    params = augment_from_experiment(&experiment, 25);
    cr_expect(params.flip && params.flip_epoch == 25);
    expect_extras(alternating, 1, "training: alternating flip\n");
    experiment_free(&experiment);
}

Test(experiment, the_line_of_extras_names_what_is_on)
{
    const char *overrides[] = {"augment.flip=true",
                               "augment.crop=4",
                               "augment.vertical_flip=true",
                               "augment.rotate=12.5",
                               "augment.scale=0.1",
                               "augment.resized_crop=0.3",
                               "augment.brightness=0.2",
                               "augment.contrast=0.25",
                               "augment.saturation=1",
                               "augment.erase=0.5",
                               "augment.mixup=0.2",
                               "augment.cutmix=1",
                               "train.class_weights=balanced",
                               "train.label_smoothing=0.1",
                               "train.ema_decay=0.995"};
    expect_extras(overrides, 0, "");
    const char *slices[] = {"train.batch_size=256", "train.slices=8"};
    expect_extras(slices, 2, "training: 8 slices of 32 samples\n");
    expect_extras(overrides, 1, "training: flip\n");
    expect_extras(overrides, sizeof overrides / sizeof *overrides,
                  "training: flip, crop 4, vertical flip, rotate 12.5, scale 0.1, resized crop 0.3, brightness 0.2, "
                  "contrast 0.25, saturation 1, erase 0.5, mixup 0.2, cutmix 1, label smoothing 0.1, balanced class "
                  "weights, moving average of the weights 0.995\n");
}

/* --- --set --- */

static void expect_override_failure(const char *override, const char *message)
{
    struct experiment experiment;
    struct status status = {0};
    support_file_write("x.ini", "", 0);
    cr_assert_not(load_with(&experiment, "x.ini", &override, 1, &status), "%s", override);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

static void expect_parts(const char *text, const char *section, const char *key, const char *value)
{
    struct experiment_override *override = memory_alloc(1, sizeof *override);
    struct status status = {0};
    cr_assert(experiment_override_parse(override, text, 1, &status), "%s", status.message);
    cr_expect_str_eq(override->section, section);
    cr_expect_str_eq(override->key, key);
    cr_expect_str_eq(override->value, value);
    experiment_overrides_free(override, 1);
}

Test(experiment, an_override_has_three_parts)
{
    expect_parts("train.max_steps=7", "train", "max_steps", "7");
    expect_parts(" \ttrain.max_steps = 7 \t", "train", "max_steps", "7");
    expect_parts("data.path=a=b.c d", "data", "path", "a=b.c d");
    expect_parts("model.hidden= ", "model", "hidden", "");
    expect_parts("sweep.model.hidden = 1 | 2, 3", "sweep", "model.hidden", "1 | 2, 3");
    expect_override_failure(" = ", "--set  = : expected section.key=value");
    expect_override_failure("a.b.c=1", "--set a.b.c: unknown key; known are [experiment], [data], [augment], [model], "
                                       "[optimizer], [schedule], [train], [checkpoint], [report], [backend]");
}

Test(experiment, overrides_apply_in_order_over_the_file)
{
    const char *overrides[] = {"train.max_steps=7", " train.batch_size = 3 ", "train.max_steps=8", "model.hidden="};
    struct experiment experiment;
    struct status status;
    const char *text = "[train]\nmax_steps = 5\nbatch_size = 6\neval_freq = 9\n";
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", overrides, 4, &status));
    cr_expect_eq(experiment.train.max_steps, 8);
    cr_expect_eq(experiment.train.batch_size, 3);
    cr_expect_eq(experiment.train.eval_freq, 9);
    cr_expect_eq(experiment.model.hidden.count, 0);
    struct key_origin set = experiment_origin(&experiment, "train.max_steps");
    struct key_origin file = experiment_origin(&experiment, "train.eval_freq");
    struct key_origin none = experiment_origin(&experiment, "model.kind");
    cr_expect_str_eq(set.file, "--set");
    cr_expect_eq(set.line, 3);
    cr_expect_str_eq(file.file, "x.ini");
    cr_expect_eq(file.line, 4);
    cr_expect_null(none.file);
    experiment_free(&experiment);
}

Test(experiment, overrides_get_messages_of_their_own)
{
    expect_override_failure("train.max_steps=ten",
                            "--set train.max_steps: expected an integer from 1 to 1000000000, found \"ten\"");
    expect_override_failure("train.max_step=10", "--set train.max_step: unknown key; did you mean train.max_steps?");
    expect_override_failure("trian.max_steps=10", "--set trian.max_steps: unknown key; did you mean train.max_steps?");
    expect_override_failure("gpu.index=1",
                            "--set gpu.index: unknown key; known are [experiment], [data], [augment], [model], "
                            "[optimizer], [schedule], [train], [checkpoint], [report], [backend]");
    expect_override_failure("max_steps=1", "--set max_steps=1: expected section.key=value");
    expect_override_failure("train.max_steps", "--set train.max_steps: expected section.key=value");
    expect_override_failure("", "--set : expected section.key=value");
    expect_override_failure(".x=1", "--set .x=1: expected section.key=value");
    expect_override_failure("train.=1", "--set train.=1: expected section.key=value");
    expect_override_failure("data.path=a\nb", "--set: control character (byte 0x0a) in number 1");
    expect_override_failure("data.path=\xFF", "--set: invalid UTF-8 (byte 0xff) in number 1");
    expect_override_failure("data.path=a #b",
                            "--set data.path: expected text without a comment sign (\" #\", \" ;\"), found \"a #b\"");
    expect_override_failure("model.features=64, M", "--set model.features: expected nothing, as model.kind is mlp");
    expect_override_failure("schedule.warmup_steps=2000", "--set schedule.warmup_steps: expected less than the 1500 of "
                                                          "train.max_steps, found 2000");
}

Test(experiment, later_errors_name_the_place_of_the_key)
{
    const char *overrides[] = {"train.batch_size=3"};
    const char *text = "[train]\nmax_steps = 5\n";
    struct experiment experiment;
    struct status status;
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", overrides, 1, &status));
    cr_expect_not(experiment_fail(&experiment, "train.max_steps", &status, "bad %d", 1));
    cr_expect_str_eq(status.message, "x.ini:2: train.max_steps: bad 1");
    cr_expect_eq(status.code, STATUS_USAGE);
    experiment_fail(&experiment, "train.batch_size", &status, "bad");
    cr_expect_str_eq(status.message, "--set train.batch_size: bad");
    experiment_fail(&experiment, "train.eval_freq", &status, "bad");
    cr_expect_str_eq(status.message, "x.ini: train.eval_freq (default): bad");
    experiment_free(&experiment);
}
