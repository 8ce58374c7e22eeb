/* Tests the weights that a sweep keeps: those of the best trial, whatever the order of the trials, and after a kill. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "sweep_support.h"
#include "sweep/sweep_results.h"
#include "train/checkpoint.h"

TestSuite(sweep_best, .init = enter, .fini = leave_folder);

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static void expect_no_trial_files(const char *folder)
{
    char *command = memory_format("set -- %s/trial_*; test ! -e \"$1\"", folder);
    cr_expect_eq(system(command), 0, "%s", folder);
    free(command);
}

/* Returns the best row of a folder's results. */
static struct sweep_result best_row(const char *text, const char *folder)
{
    struct sweep sweep;
    struct sweep_results results;
    struct status status = {0};
    char *path = support_path(folder, "results.csv");
    support_file_write("x.ini", text, strlen(text));
    cr_assert(sweep_load(&sweep, "x.ini", NULL, 0, &status), "%s", status.message);
    cr_assert(sweep_results_open(&results, &sweep, path, &status), "%s", status.message);
    struct sweep_result best = results.rows[0];
    for (int32_t i = 1; i < results.count; i++)
        if (sweep_results_compare(&results.rows[i], &best) < 0) best = results.rows[i];
    sweep_results_close(&results);
    sweep_free(&sweep);
    free(path);
    return best;
}

/* The checkpoint is that of the trial's best evaluation, and its config is the trial's. */
static void expect_best_of(const char *text, const char *folder)
{
    struct sweep_result best = best_row(text, folder);
    struct checkpoint checkpoint;
    struct experiment found, expected;
    struct sweep sweep;
    struct status status = {0};
    char *path = support_path(folder, "best.safetensors");
    cr_assert(checkpoint_read(&checkpoint, path, &status), "%s", status.message);
    cr_expect_eq(checkpoint.step, best.best_step);
    cr_expect_eq(checkpoint.best.step, best.best_step);
    cr_expect(fabs(checkpoint.best.validation.accuracy - best.best_accuracy) < 1e-8);
    cr_assert(checkpoint_experiment(&checkpoint, NULL, 0, &found, &status), "%s", status.message);
    cr_assert(sweep_load(&sweep, "x.ini", NULL, 0, &status) && sweep_trial(&sweep, best.trial, &expected, &status));
    char *a = experiment_text(&found), *b = experiment_text(&expected);
    cr_expect_str_eq(a, b);
    free(a), free(b), free(path);
    experiment_free(&found), experiment_free(&expected);
    sweep_free(&sweep);
    checkpoint_free(&checkpoint);
    expect_no_trial_files(folder);
}

static void expect_same_best(const char *a, const char *b)
{
    size_t sizes[2];
    char *paths[] = {support_path(a, "best.safetensors"), support_path(b, "best.safetensors")};
    char *bytes[] = {support_file_read(paths[0], &sizes[0]), support_file_read(paths[1], &sizes[1])};
    cr_assert(bytes[0] && bytes[1] && sizes[0] == sizes[1], "%s and %s", a, b);
    cr_expect(memcmp(bytes[0], bytes[1], sizes[0]) == 0, "%s and %s", a, b);
    for (int i = 0; i < 2; i++) free(paths[i]), free(bytes[i]);
}

Test(sweep_best, the_best_trial_leaves_its_weights)
{
    run_sweep(config, "one", "sweep.jobs=1");
    expect_best_of(config, "one");
    run_sweep(config, "three", "sweep.jobs=3");
    expect_best_of(config, "three");
    run_sweep(config, "random", "sweep.order=random");
    expect_same_best("one", "three");
    expect_same_best("one", "random");
}

Test(sweep_best, the_last_rung_decides)
{
    const char *text =
        TINY "rank_by = validation\nhalving = on\neta = 3\nrungs = 2\n"
             "optimizer.learning_rate = 1e-3 | 0.01 | 0.1 | 0.05\nmodel.hidden = 7\ntrain.batch_size = 16\n";
    run_sweep(text, "sweep", "train.max_steps=90");
    cr_expect_eq(best_row(text, "sweep").rung, 2);
    expect_no_trial_files("sweep");
    cr_expect(exists("sweep/best.safetensors"));
}

/* A process was killed after the row of the best trial, and while two other trials ran. */
Test(sweep_best, what_a_kill_left_is_settled)
{
    run_sweep(config, "sweep", NULL);
    run_sweep(config, "copy", NULL);
    struct sweep_result best = best_row(config, "sweep");
    char *file = memory_format("sweep/trial_%d_rung_1.safetensors", (int)best.trial + 1);
    cr_assert_eq(rename("sweep/best.safetensors", file), 0);
    support_file_write("sweep/trial_12_rung_2.safetensors", "x", 1);
    support_file_write("sweep/trial_99_rung_1.safetensors", "x", 1);
    support_file_write("sweep/trial_1_of_mine.safetensors", "x", 1);
    run_sweep(config, "sweep", NULL);
    expect_same_best("sweep", "copy");
    cr_expect(!exists("sweep/trial_12_rung_2.safetensors") && !exists("sweep/trial_99_rung_1.safetensors"));
    cr_expect(exists("sweep/trial_1_of_mine.safetensors"));
    free(file);
}

/* A trial that diverges after good evaluations is not the best one. */
Test(sweep_best, a_trial_that_diverges_leaves_nothing)
{
    const char *text = TINY "optimizer.learning_rate = 1000\nmodel.hidden = 7\ntrain.batch_size = 16\n";
    run_sweep(text, "sweep", NULL);
    cr_expect_not(exists("sweep/best.safetensors"));
    expect_no_trial_files("sweep");
}

Test(sweep_best, nothing_is_kept_where_the_config_says_so)
{
    run_sweep(config, "sweep", "checkpoint.best=false");
    cr_expect_not(exists("sweep/best.safetensors"));
    expect_no_trial_files("sweep");
}
