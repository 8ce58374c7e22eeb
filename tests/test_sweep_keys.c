/* Tests each key of [sweep]: mistyped, with a wrong value, out of range, given twice; and each key of the experiment in
 * [sweep]. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "sweep/sweep_keys.h"
#include "sweep_support.h"

TestSuite(sweep_keys, .init = enter_folder, .fini = leave_folder);

/* The line of the first key of [sweep]. */
enum { LINE = 2 };

/* Expects that the error about a line of [sweep] begins with place and key, and goes on with `part`. */
static void expect_answer(const char *key, const char *value, const char *part)
{
    struct sweep sweep;
    struct status status = {0};
    char *text = memory_format("[sweep]\n%s = %s\n", key, value);
    char *start = memory_format("x.ini:%d: sweep.%s: %s", LINE, key, part);
    support_file_write("x.ini", text, strlen(text));
    cr_assert_not(sweep_load(&sweep, "x.ini", NULL, 0, &status), "taken: %s", text);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_eq(strncmp(status.message, start, strlen(start)), 0, "\"%s\" does not begin with \"%s\"", status.message,
                 start);
    free(text), free(start);
}

Test(sweep_keys, every_key_mistyped_finds_the_nearest)
{
    for (int k = 0; k < SWEEP_KEY_COUNT; k++) {
        const char *name = sweep_keys[k].name;
        for (size_t i = 1; i <= strlen(name); i++) {
            char *slip = memory_format("%.*sz%s", (int)i, name, name + i);
            char *part = memory_format("unknown key; did you mean sweep.%s?", name);
            expect_answer(slip, "1", part);
            free(slip), free(part);
        }
    }
}

Test(sweep_keys, every_experiment_key_mistyped_finds_the_nearest)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        char *slip = memory_format("%s.%sz", key->section, key->name);
        char *part = memory_format("unknown key; did you mean %s.%s?", key->section, key->name);
        expect_answer(slip, "1", part);
        free(slip), free(part);
    }
}

Test(sweep_keys, every_key_refuses_wrong_values_and_keeps_to_its_range)
{
    for (int k = 0; k < SWEEP_KEY_COUNT; k++) {
        const struct experiment_key *key = &sweep_keys[k];
        char expected[VALUE_TEXT_SIZE], below[32], above[32];
        experiment_key_expects(key, expected, sizeof expected);
        char *part = memory_format("expected %s, found ", expected);
        snprintf(below, sizeof below, "%lld", (long long)key->low - 1);
        snprintf(above, sizeof above, "%lld", (long long)key->high + 1);
        const char *const values[] = {"", "?", "-1", "1,", "nan", "99999999999999999999999", below, above};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) expect_answer(key->name, values[i], part);
        free(part);
    }
}

Test(sweep_keys, every_alternative_is_checked_like_a_value)
{
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        if (key->type == KEY_TEXT) continue;
        char *name = memory_format("%s.%s", key->section, key->name);
        bool varies = strncmp(name, "model.", 6) == 0 || strncmp(name, "optimizer.", 10) == 0 ||
                      strncmp(name, "schedule.", 9) == 0 || strncmp(name, "train.", 6) == 0 ||
                      strcmp(name, "experiment.seed") == 0;
        varies = varies && strcmp(name, "train.eval_train") != 0; /* a trial evaluates no training samples */
        expect_answer(name, "?", varies ? "alternative 1: " : "cannot vary from trial to trial");
        free(name);
    }
}

Test(sweep_keys, every_key_given_twice_names_both_lines)
{
    for (int k = 0; k < SWEEP_KEY_COUNT; k++) {
        const struct experiment_key *key = &sweep_keys[k];
        struct sweep sweep;
        struct status status = {0};
        char *text =
            memory_format("[sweep]\n%s = %s\n\n%s = %s\n", key->name, key->default_text, key->name, key->default_text);
        char *message = memory_format("x.ini:4: sweep.%s: given twice, first in line 2", key->name);
        support_file_write("x.ini", text, strlen(text));
        cr_assert_not(sweep_load(&sweep, "x.ini", NULL, 0, &status));
        cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
        free(text), free(message);
    }
}
