/* Sweeps of a dozen trials that take no time. Include after criterion. */
#ifndef TESTS_SWEEP_SUPPORT_H
#define TESTS_SWEEP_SUPPORT_H

#include <stdlib.h>
#include <criterion/criterion.h>

#include "config_support.h"
#include "sweep/sweep.h"

/* Hides gnuplot by a wrong PATH, since a picture takes longer than all trials of a test together. */
static inline void enter(void)
{
    enter_folder();
    setenv("PATH", "/nowhere", 1);
}

#define TINY                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\nvalidation_size = 17\nnormalization = channel\n"                                              \
    "[train]\nmax_steps = 10\neval_freq = 4\n"                                                                         \
    "[model]\ndropout = 0.1\n[backend]\ndevice = cpu\n[sweep]\n"
/* The factors of 12 trials. */
#define FACTORS                                                                                                        \
    "model.hidden = (7 | 19)^1..2\ntrain.batch_size = 8 | 11\noptimizer.learning_rate = 0.01\n"                        \
    "optimizer.name = sgd\n"
static const char config[] = TINY FACTORS;
enum { TRIALS = 12 };

static inline bool run_sweep_to(const char *text, const char *folder, const struct run_output *output,
                                struct status *status, int override_count, const char *const *overrides)
{
    struct sweep sweep;
    support_file_write("x.ini", text, strlen(text));
    struct experiment_override *parts = cut_overrides(overrides, override_count, status);
    bool good = parts && sweep_load(&sweep, "x.ini", parts, override_count, status);
    experiment_overrides_free(parts, parts ? override_count : 0);
    if (!good) return false;
    good = sweep_run(&sweep, folder, NULL, output, status);
    sweep_free(&sweep);
    return good;
}

static inline void run_sweep(const char *text, const char *folder, const char *override)
{
    struct status status = {0};
    cr_assert(run_sweep_to(text, folder, NULL, &status, override != NULL, &override), "%s", status.message);
}

static inline void expect_refused(const char *text, const char *folder, const char *override, const char *message)
{
    struct status status = {0};
    cr_assert_not(run_sweep_to(text, folder, NULL, &status, override != NULL, &override), "taken");
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

static inline char *read_file(const char *folder, const char *name)
{
    char *path = support_path(folder, name), *text = support_file_read(path, NULL);
    cr_assert(text, "%s", path);
    free(path);
    return text;
}

static inline int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns the lines of results.csv, sorted and without their seconds, in which two sweeps must agree. Checks that every
 * line is whole. */
static inline char *sorted_results(const char *folder)
{
    char *text = read_file(folder, "results.csv"), *lines[256];
    int count = 0;
    cr_assert(*text && text[strlen(text) - 1] == '\n', "%s", text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *last = strrchr(line, ',');
        cr_assert(last && strlen(last) > 4, "%s", line);
        *last = '\0';
        cr_assert_lt(count, 256);
        lines[count++] = line;
    }
    qsort(lines, (size_t)count, sizeof *lines, compare_lines);
    char *sorted = memory_copy_string("");
    for (int i = 0; i < count; i++) {
        char *longer = memory_format("%s%s\n", sorted, lines[i]);
        free(sorted);
        sorted = longer;
    }
    free(text);
    return sorted;
}

static inline int count_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static inline void expect_same_results(const char *folder, const char *expected)
{
    char *results = sorted_results(folder);
    cr_expect_str_eq(results, expected, "%s\nnot\n%s", results, expected);
    free(results);
}

#endif
