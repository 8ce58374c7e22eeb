/* Writes experiments and reads them back. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_support.h"
#include "util/number.h"
#include "util/rng.h"

TestSuite(experiment_write, .init = enter_folder, .fini = leave_folder);

static void expect_same(const struct experiment *a, const struct experiment *b)
{
    for (int k = 0; k < experiment_key_count; k++) {
        char first[VALUE_TEXT_SIZE], second[VALUE_TEXT_SIZE];
        experiment_value_format(&experiment_keys[k], a, first, sizeof first);
        experiment_value_format(&experiment_keys[k], b, second, sizeof second);
        cr_expect_str_eq(first, second);
        if (experiment_keys[k].type != KEY_REAL) continue;
        const void *x = (const char *)a + experiment_keys[k].offset, *y = (const char *)b + experiment_keys[k].offset;
        cr_expect(memcmp(x, y, sizeof(double)) == 0, "%s.%s differs", experiment_keys[k].section,
                  experiment_keys[k].name);
    }
    cr_expect(memcmp(&a->model.hidden, &b->model.hidden, sizeof(int64_t) * (size_t)(1 + a->model.hidden.count)) == 0);
    cr_assert_eq(a->model.features.count, b->model.features.count);
    for (int64_t i = 0; i < a->model.features.count; i++) {
        struct feature x = a->model.features.value[i], y = b->model.features.value[i];
        cr_expect(x.kind == y.kind && x.channels == y.channels && x.window.kernel == y.window.kernel &&
                  x.window.stride == y.window.stride && x.window.padding == y.window.padding && x.block == y.block &&
                  x.repeats == y.repeats);
    }
}

static void expect_round_trip(const struct experiment *experiment)
{
    FILE *file = fopen("written.ini", "w");
    cr_assert_not_null(file);
    experiment_write(experiment, file);
    cr_assert(fclose(file) == 0);
    struct experiment again;
    struct status status = {0};
    cr_assert(experiment_load(&again, "written.ini", NULL, 0, &status), "%s", status.message);
    expect_same(experiment, &again);
    experiment_free(&again);
}

Test(experiment_write, shipped_configs_survive_being_written)
{
    struct dirent **names;
    int count = scandir(CONFIG_FOLDER, &names, is_experiment_ini, alphasort);
    cr_assert_geq(count, 5);
    for (int i = 0; i < count; i++) {
        struct experiment experiment = load_shipped(names[i]->d_name);
        expect_round_trip(&experiment);
        experiment_free(&experiment);
        free(names[i]);
    }
    free(names);
}

Test(experiment_write, the_longest_values_survive_being_written)
{
    char hidden[1024] = "model.hidden=", path[16 + EXPERIMENT_TEXT_SIZE] = "data.path=";
    char features[2048] = "model.features=", name[16 + EXPERIMENT_NAME_SIZE] = "experiment.name=";
    for (int i = 0; i < INT_LIST_SIZE; i++) sprintf(hidden + strlen(hidden), "%s%d", i ? "," : "", 65535 - i);
    for (int i = 0; i < FEATURES_SIZE; i++) strcat(features, i ? ", (65536k99s98p97)+ x10" : "(65536k99s98p97)+ x10");
    memset(path + strlen(path), 'p', EXPERIMENT_TEXT_SIZE - 1);
    memset(name + strlen(name), 'n', EXPERIMENT_NAME_SIZE - 1);
    const char *overrides[] = {hidden, path, features, "model.kind=convnet", name};
    struct experiment experiment = load_overrides(overrides, 5);
    cr_assert_eq(experiment.model.features.count, FEATURES_SIZE);
    cr_assert_eq(experiment.model.hidden.count, INT_LIST_SIZE);
    cr_assert_eq(strlen(experiment.data.path), EXPERIMENT_TEXT_SIZE - 1);
    expect_round_trip(&experiment);
    experiment_free(&experiment);
}

Test(experiment_write, odd_values_survive_being_written)
{
    static const char features[] =
        "model.features=64, 64k1, 64k5, 64k5s2p0, 8s3, 8p0, M, M3, M3s2, M3s2p1, M2, A, A1, A4s1p2, "
        "(8,8k1)+ x2, (8s2p0)+, G";
    const char *overrides[] = {"model.kind=convnet",
                               features,
                               "model.block=dropout,activation,batchnorm",
                               "model.activation=elu",
                               "model.activation_slope=0.30000000000000004",
                               "model.hidden=",
                               "optimizer.learning_rate=0.1234567890123456789",
                               "data.path=a#b;c=[d]: \xC3\xA9",
                               "experiment.name= two words ",
                               "experiment.seed=4294967295"};
    struct experiment experiment = load_overrides(overrides, sizeof overrides / sizeof overrides[0]);
    cr_expect_str_eq(experiment.experiment.name, "two words");
    expect_round_trip(&experiment);
    experiment_free(&experiment);
}

Test(experiment_write, numbers_are_written_short_and_exactly)
{
    const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},           {1, "1"},        {0.1, "0.1"},   {1e-4, "0.0001"},
                 {1e-5, "1e-5"},     {2e-3, "0.002"}, {100, "100"},   {1000, "1000"},
                 {1500.5, "1500.5"}, {1e20, "1e20"},  {-2.5, "-2.5"}, {1e-300, "1e-300"}};
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        number_format_real(cases[i].value, text, sizeof text);
        cr_expect_str_eq(text, cases[i].text, "%s, not %s", text, cases[i].text);
    }
    struct rng rng = rng_create(3, RNG_STREAM_SEARCH, 0);
    for (int i = 0; i < 10000; i++) {
        double value = ldexp(rng_uniform(&rng), (int)rng_below(&rng, 400) - 200), again;
        number_format_real(value, text, sizeof text);
        cr_assert(number_parse_real(text, &again) && again == value, "%s", text);
    }
}

/* Any bytes in a config give a result or a message. */
Test(experiment_write, survives_damaged_configs)
{
    size_t size;
    char *whole = support_file_read(CONFIG_FOLDER "/convnet.ini", &size);
    cr_assert_not_null(whole);
    struct rng rng = rng_create(2, RNG_STREAM_SEARCH, 0);
    for (int trial = 0; trial < 2000; trial++) {
        char *text = memory_alloc(size, 1);
        memcpy(text, whole, size);
        for (uint32_t i = rng_below(&rng, 4); i > 0; i--) {
            uint32_t at = rng_below(&rng, (uint32_t)size);
            text[at] = rng_below(&rng, 2) ? whole[rng_below(&rng, (uint32_t)size)] : (char)rng_below(&rng, 256);
        }
        support_file_write("x.ini", text, size);
        struct experiment experiment;
        struct status status = {0};
        if (experiment_load(&experiment, "x.ini", NULL, 0, &status)) {
            expect_round_trip(&experiment);
            experiment_free(&experiment);
        } else {
            cr_expect(strncmp(status.message, "x.ini:", 6) == 0 && !strchr(status.message, '\n'), "%s", status.message);
        }
        free(text);
    }
    free(whole);
}

Test(experiment_write, a_key_younger_than_a_saved_config_has_the_value_of_before)
{
    struct experiment experiment;
    struct status status;
    const char text[] = "[data]\ndataset = synthetic\n"; /* as a program without data.first_epoch wrote it */
    cr_assert(experiment_load_saved(&experiment, "saved.ini", text, NULL, 0, &status), "%s", status.message);
    cr_expect(experiment.data.first_epoch == FIRST_EPOCH_FILE);
    experiment_free(&experiment);
    cr_assert(experiment_load_text(&experiment, "new.ini", text, NULL, 0, &status), "%s", status.message);
    cr_expect(experiment.data.first_epoch == FIRST_EPOCH_SHUFFLED);
    experiment_free(&experiment);
    const char shuffled[] = "[data]\ndataset = synthetic\nfirst_epoch = shuffled\n";
    cr_assert(experiment_load_saved(&experiment, "saved.ini", shuffled, NULL, 0, &status), "%s", status.message);
    cr_expect(experiment.data.first_epoch == FIRST_EPOCH_SHUFFLED);
    experiment_free(&experiment);
}
