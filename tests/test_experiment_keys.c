/* Tests each key of the table: mistyped, with a wrong value, out of range, given twice; and the help. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_support.h"
#include "util/number.h"

TestSuite(experiment_keys, .init = enter_folder, .fini = leave_folder);

/* Returns a value that the key takes. */
static const char *good_value(const struct experiment_key *key)
{
    return key->type == KEY_TEXT ? "x" : key->default_text;
}

static void expect_message_part(const char *text, const char *part)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert_not(load_text(&experiment, text, &status), "taken: %s", text);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, part), "\"%s\" lacks \"%s\"", status.message, part);
}

Test(experiment_keys, every_key_mistyped_finds_the_nearest)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        size_t length = strlen(key->name);
        for (size_t i = 0; i < length; i++) {
            char slips[4][64];
            snprintf(slips[0], 64, "%.*s%s", (int)i, key->name, key->name + i + 1);
            snprintf(slips[1], 64, "%.*sz%s", (int)i, key->name, key->name + i + 1);
            snprintf(slips[2], 64, "%.*sz%s", (int)i, key->name, key->name + i);
            snprintf(slips[3], 64, "%s", key->name);
            char last = slips[3][i]; /* swaps two neighbours */
            if (i > 0) slips[3][i] = slips[3][i - 1], slips[3][i - 1] = last;
            for (int s = 0; s < 4; s++) {
                if (experiment_key_find(key->section, slips[s]) >= 0) continue; /* beta1 becomes beta2, which exists */
                char *text = memory_format("[%s]\n%s = 1\n", key->section, slips[s]);
                char *message = memory_format("x.ini:2: %s.%s: unknown key; did you mean %s.", key->section, slips[s],
                                              key->section);
                expect_message_part(text, message);
                free(message);
                free(text);
            }
        }
    }
}

Test(experiment_keys, every_key_given_twice_names_both_lines)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        char *text = memory_format("[%s]\n%s = %s\n\n%s = %s\n", key->section, key->name, good_value(key), key->name,
                                   good_value(key));
        char *message = memory_format("x.ini:4: %s.%s: given twice, first in line 2", key->section, key->name);
        expect_failure(text, message);
        free(message);
        free(text);
    }
}

static void expect_refused(const struct experiment_key *key, const char *value)
{
    char *text = memory_format("[%s]\n%s = %s\n", key->section, key->name, value);
    char *part = memory_format("x.ini:2: %s.%s: ", key->section, key->name);
    expect_message_part(text, part);
    expect_message_part(text, "expected ");
    free(part);
    free(text);
}

Test(experiment_keys, every_key_refuses_wrong_values)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        bool may_be_empty = key->type == KEY_INTEGERS || key->type == KEY_FEATURES;
        if (!may_be_empty) expect_refused(key, "");
        if (key->type == KEY_TEXT) {
            expect_refused(key, "\"quoted\"");
            continue;
        }
        expect_refused(key, "?");
        expect_refused(key, "nan");
        expect_refused(key, "-1");
        expect_refused(key, "1,");
        expect_refused(key, "99999999999999999999999");
    }
}

Test(experiment_keys, every_number_keeps_to_its_range)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        struct experiment experiment;
        struct status problem;
        char text[64];
        if (key->type == KEY_INTEGER || key->type == KEY_INTEGERS) {
            const int64_t values[] = {key->low - 1, key->low, key->high, key->high + 1};
            for (int i = 0; i < 4; i++) {
                snprintf(text, sizeof text, "%lld", (long long)values[i]);
                bool good = experiment_value_parse(key, text, &experiment, &problem);
                cr_expect_eq(good, i == 1 || i == 2, "%s.%s = %s", key->section, key->name, text);
            }
        } else if (key->type == KEY_REAL) {
            const double values[] = {key->from - 1e-9, key->from, key->to, nextafter(key->to, INFINITY)};
            const bool expected[] = {false, !key->from_excluded, !key->to_excluded, false};
            for (int i = 0; i < 4; i++) {
                number_format_real(values[i], text, sizeof text);
                bool good = experiment_value_parse(key, text, &experiment, &problem);
                cr_expect_eq(good, expected[i], "%s.%s = %s", key->section, key->name, text);
            }
        }
    }
}

/* Checks the whole message: place, key, range, found value. */
static void expect_out_of_range(const struct experiment_key *key, const char *value)
{
    char expected[VALUE_TEXT_SIZE];
    experiment_key_expects(key, expected, sizeof expected);
    char *text = memory_format("[%s]\n\n%s = %s\n", key->section, key->name, value);
    char *message =
        memory_format("x.ini:3: %s.%s: expected %s, found \"%s\"", key->section, key->name, expected, value);
    expect_failure(text, message);
    free(message);
    free(text);
}

Test(experiment_keys, every_number_out_of_range_is_refused_with_its_line)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        char below[64], above[64];
        if (key->type == KEY_INTEGER) {
            snprintf(below, sizeof below, "%lld", (long long)key->low - 1);
            snprintf(above, sizeof above, "%lld", (long long)key->high + 1);
        } else if (key->type == KEY_REAL) {
            number_format_real(key->from_excluded ? key->from : key->from - 1e-9, below, sizeof below);
            number_format_real(key->to_excluded ? key->to : nextafter(key->to, INFINITY), above, sizeof above);
        } else {
            continue;
        }
        expect_out_of_range(key, below);
        expect_out_of_range(key, above);
    }
}

/* --set has no line, but the same suggestion and range. */
Test(experiment_keys, every_key_mistyped_or_out_of_range_in_set)
{
    support_file_write("x.ini", "", 0);
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        char *slip = memory_format("%s.%sz=1", key->section, key->name);
        char *value = memory_format("%s.%s=\"?\"", key->section, key->name);
        char *unknown = memory_format("--set %s.%sz: unknown key; did you mean %s.%s?", key->section, key->name,
                                      key->section, key->name);
        char *wrong = memory_format("--set %s.%s: ", key->section, key->name);
        const char *const overrides[] = {slip, value}, *const starts[] = {unknown, wrong};
        for (int i = 0; i < 2; i++) {
            struct experiment experiment;
            struct status status = {0};
            cr_assert_not(load_with(&experiment, "x.ini", &overrides[i], 1, &status), "taken: %s", overrides[i]);
            cr_expect_eq(status.code, STATUS_USAGE);
            cr_expect_eq(strncmp(status.message, starts[i], strlen(starts[i])), 0, "\"%s\", not \"%s\"", status.message,
                         starts[i]);
        }
        free(slip), free(value), free(unknown), free(wrong);
    }
}

Test(experiment_keys, every_choice_is_taken)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        if (key->type != KEY_CHOICE) continue;
        for (int i = 0; key->choices[i]; i++) {
            struct experiment experiment;
            struct status problem;
            char text[VALUE_TEXT_SIZE];
            cr_expect(experiment_value_parse(key, key->choices[i], &experiment, &problem));
            experiment_value_format(key, &experiment, text, sizeof text);
            cr_expect_str_eq(text, key->choices[i]);
        }
    }
}

static char *written_defaults(void)
{
    FILE *file = fopen("defaults.ini", "w");
    cr_assert_not_null(file);
    experiment_print_defaults(file);
    cr_assert(fclose(file) == 0);
    return support_file_read("defaults.ini", NULL);
}

Test(experiment_keys, the_help_shows_every_key)
{
    char *help = written_defaults();
    for (int k = 0; k < experiment_key_count; k++) {
        const char *before = experiment_key_varies(&experiment_keys[k]) ? "# " : "";
        char *line = memory_format("\n%s%s =", before, experiment_keys[k].name);
        bool shown = strstr(help, line) != NULL;
        if (k == 0) /* the default of experiment.name is the file's name */
            shown = strstr(help, "\n# name =\n") != NULL;
        cr_expect(shown, "%s is missing", line + 1);
        cr_expect_gt(strlen(experiment_keys[k].help), 5);
        free(line);
    }
    free(help);
}

Test(experiment_keys, the_help_is_a_config_with_the_defaults)
{
    free(written_defaults());
    struct experiment written, defaults = load_overrides((const char *[]){"experiment.name=defaults"}, 1);
    struct status status = {0};
    cr_assert(experiment_load(&written, "defaults.ini", NULL, 0, &status), "%s", status.message);
    for (int k = 0; k < experiment_key_count; k++) {
        char first[VALUE_TEXT_SIZE], second[VALUE_TEXT_SIZE];
        experiment_value_format(&experiment_keys[k], &written, first, sizeof first);
        experiment_value_format(&experiment_keys[k], &defaults, second, sizeof second);
        cr_expect_str_eq(first, second);
        bool unset = k == 0 || experiment_key_varies(&experiment_keys[k]);
        cr_expect_eq(written.origins[k].line == 0, unset, "%s.%s", experiment_keys[k].section, experiment_keys[k].name);
    }
    experiment_free(&written);
    experiment_free(&defaults);
}

Test(experiment_keys, accumulation_of_gradients_is_slices)
{
    expect_message_part("[train]\naccumulate = 4\n", "did you mean train.slices?");
    expect_message_part("[train]\ngradient_accumulation_steps = 4\n", "did you mean train.slices?");
}

Test(experiment_keys, slices_are_a_power_of_two_that_divides_the_batch)
{
    expect_message_part("[train]\nslices = 3\nbatch_size = 9\n",
                        "train.slices: expected 1, 2, 4, ..., a power of two, found 3");
    expect_message_part("[train]\nslices = 8\nbatch_size = 100\n",
                        "train.batch_size: expected a multiple of the 8 slices (train.slices), found 100");
    expect_message_part("[train]\nslices = 8\nbatch_size = 8\n[augment]\nmixup = 0.2\n",
                        "augment.mixup: expected 0, as a slice (train.slices) has 1 sample (nothing to mix with)");
}
