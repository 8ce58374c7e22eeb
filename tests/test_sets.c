/* The sets that a run measures: with and without a validation set, with and without a test set, and which of them tells
 * the best evaluation. */
#include <criterion/criterion.h>
#include <math.h>

#include "program_support.h"
#include "../src/report/csv.h"
#include "run_support.h"

TestSuite(sets, .init = enter_without_gnuplot, .fini = leave_folder);

#define DATA                                                                                                           \
    "[model]\nhidden = 5\n[optimizer]\nlearning_rate = 0.01\n[backend]\ndevice = cpu\nthreads = 1\n"                   \
    "[train]\nmax_steps = 30\nbatch_size = 16\neval_freq = 4\n[checkpoint]\nfreq = 1\nkeep = 100\n"                    \
    "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_classes = 5\nsynthetic_size = 7\n"                   \
    "normalization = channel\n"
static const char both[] = DATA "validation_size = 12\nsynthetic_test = 23\n";
static const char held_out[] = DATA "validation_size = 12\nsynthetic_test = 0\n";
static const char alone[] = DATA "synthetic_test = 0\n";

static struct run_result run_with(const char *text, const char *override, const char *folder)
{
    struct experiment experiment;
    struct run_result result;
    struct status status = {0};
    support_file_write("x.ini", text, strlen(text));
    cr_assert(experiment_load(&experiment, "x.ini", &override, override != NULL, &status), "%s", status.message);
    cr_assert(train_run(&experiment, folder, TRAIN_NEW, NULL, &result, &status), "%s", status.message);
    experiment_free(&experiment);
    return result;
}

/* The rows of a run's metrics.csv; free with free(). */
static struct metrics_row *read_rows(const char *folder, struct metrics_columns *columns, int *count)
{
    char *path = support_path(folder, "metrics.csv");
    struct metrics_row *rows;
    struct status status = {0};
    cr_assert(metrics_csv_read(path, columns, &rows, count, &status), "%s", status.message);
    free(path);
    return rows;
}

static int64_t best_checkpoint_step(const char *folder)
{
    struct checkpoint best;
    struct status status = {0};
    cr_assert(checkpoint_open(&best, folder, CHECKPOINT_BEST, &status), "%s", status.message);
    int64_t step = best.step;
    cr_expect_eq(best.best.step, step);
    checkpoint_free(&best);
    return step;
}

static int64_t first_best_step(const struct metrics_row *rows, int count, enum best_by by)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (best_by_accuracy(by, &rows[i]) > best_by_accuracy(by, &rows[best])) best = i;
    return rows[best].step;
}

/* --- which figures there are --- */

Test(sets, a_validation_set_is_measured_and_chooses)
{
    struct metrics_columns columns;
    int count;
    struct run_result result = run_with(both, NULL, "run");
    struct metrics_row *rows = read_rows("run", &columns, &count);
    cr_assert(columns.validation && columns.test && count == 8);
    for (int i = 0; i < count; i++) {
        double correct = 12 * rows[i].validation.accuracy;
        cr_expect(rows[i].validation.loss > 0 && fabs(correct - round(correct)) < 1e-6, "%g of 12", correct);
    }
    cr_expect_eq(result.best_by, BEST_BY_VALIDATION);
    cr_expect_eq(result.best.step, first_best_step(rows, count, BEST_BY_VALIDATION));
    cr_expect_eq(best_checkpoint_step("run"), result.best.step);
    free(rows);
}

Test(sets, the_test_set_chooses_where_it_is_told_to)
{
    struct metrics_columns columns;
    int count;
    struct run_result result = run_with(both, "checkpoint.best_by=test", "run");
    struct metrics_row *rows = read_rows("run", &columns, &count);
    cr_expect(columns.validation && result.best_by == BEST_BY_TEST);
    cr_expect_eq(result.best.step, first_best_step(rows, count, BEST_BY_TEST));
    cr_expect_eq(best_checkpoint_step("run"), result.best.step);
    cr_expect_neq(first_best_step(rows, count, BEST_BY_TEST), first_best_step(rows, count, BEST_BY_VALIDATION),
                  "the test would not notice");
    free(rows);
}

Test(sets, a_run_without_a_test_set_goes_by_the_validation_set)
{
    struct metrics_columns columns;
    int count;
    struct run_result result = run_with(held_out, NULL, "run");
    struct metrics_row *rows = read_rows("run", &columns, &count);
    cr_expect(columns.validation && !columns.test && result.best_by == BEST_BY_VALIDATION);
    cr_expect_eq(best_checkpoint_step("run"), first_best_step(rows, count, BEST_BY_VALIDATION));
    free(rows);
}

Test(sets, a_run_with_neither_set_has_its_last_evaluation_as_the_best)
{
    struct metrics_columns columns;
    int count;
    struct run_result result = run_with(alone, NULL, "run");
    struct metrics_row *rows = read_rows("run", &columns, &count);
    cr_expect(!columns.validation && !columns.test && count == 8 && result.best.step == 30);
    cr_expect_eq(best_checkpoint_step("run"), 30);
    free(rows);
}

/* --- a run that goes on --- */

/* The run without what came after `step`. */
static void cut(const char *whole, const char *folder, int step)
{
    char *from = memory_format("%s/checkpoints/step_%08d.safetensors", whole, step);
    char *to = memory_format("%s/checkpoints/step_%08d.safetensors", folder, step);
    char *checkpoints = support_path(folder, "checkpoints");
    char *metrics = support_path(whole, "metrics.csv"), *copy = support_path(folder, "metrics.csv");
    cr_assert(mkdir(folder, 0777) == 0 && mkdir(checkpoints, 0777) == 0);
    file_copy(from, to), file_copy(metrics, copy);
    free(from), free(to), free(checkpoints), free(metrics), free(copy);
}

static void expect_resumed(const char *text)
{
    run_good(text, "whole", TRAIN_NEW);
    for (int step = 3; step <= 30; step += 9) {
        char *folder = memory_format("broken%d", step);
        cut("whole", folder, step);
        run_good(text, folder, TRAIN_RESUME);
        cr_expect(same_metrics("whole", folder), "%s", folder);
        cr_expect(same_checkpoints("whole", folder, "step_00000030.safetensors"), "%s", folder);
        free(folder);
    }
}

Test(sets, a_run_with_both_sets_goes_on)
{
    expect_resumed(both);
}

Test(sets, a_run_without_a_test_set_goes_on)
{
    expect_resumed(held_out);
}

Test(sets, a_run_with_neither_set_goes_on)
{
    expect_resumed(alone);
}

Test(sets, the_set_that_chooses_may_not_change_on_the_way)
{
    run_good(both, "run", TRAIN_NEW);
    expect_run_error(
        both, "checkpoint.best_by=test", "run", TRAIN_RESUME, STATUS_USAGE,
        "--set checkpoint.best_by: expected \"auto\", as in the run in run that is to go on, found \"test\"");
}

/* --- what is refused --- */

Test(sets, a_set_that_is_not_there_cannot_choose)
{
    expect_failure(
        "[data]\ndataset = synthetic\n[checkpoint]\nbest_by = validation\n",
        "x.ini:4: checkpoint.best_by: validation needs samples that are held out: data.validation_size above "
        "0, found 0");
    expect_run_error(held_out, "checkpoint.best_by=test", "run", TRAIN_NEW, STATUS_USAGE,
                     "--set checkpoint.best_by: expected auto or validation, as the data has no test set, found test");
    cr_expect(!file_exists("run"));
}

/* --- what the other subcommands make of such runs --- */

Test(sets, subcommands_work_without_a_test_set)
{
    run_with(held_out, NULL, "run");
    run_with(alone, NULL, "alone");
    struct program_result eval = program_run("eval", "run", NULL);
    cr_expect(eval.code == 2 && strstr(eval.error, "no test"), "%d: %s", eval.code, eval.error);
    eval = program_run("eval", "run", "--on", "validation", NULL);
    cr_expect(eval.code == 0 && strstr(eval.out, "validation: 12 images"), "%s%s", eval.out, eval.error);
    struct program_result report = program_run("report", "run", "alone", "--out", "r.html", NULL);
    cr_assert_eq(report.code, 0, "%s", report.error);
    char *page = support_file_read("r.html", NULL);
    cr_expect_not_null(strstr(page, "\"set\":\"validation set\""));
    cr_expect_not_null(strstr(page, "no confusion matrix and no images: the data has neither a test set nor a "
                                    "validation set"));
    cr_expect_not_null(strstr(page, "\"best_by\":\"validation\""));
    cr_expect_not_null(strstr(page, "\"best_by\":\"none\""));
    free(page);
    struct program_result plot = program_run("plot", "run", "alone", NULL);
    cr_expect(plot.code == 1 && strstr(plot.error, "gnuplot"), "the rows were read: %s", plot.error);
    struct program_result bench = program_run("bench", "run/resolved.ini", "--steps", "1", NULL);
    cr_expect_eq(bench.code, 0, "%s", bench.error);
}

Test(sets, the_head_and_the_lines_name_the_sets)
{
    support_file_write("x.ini", both, strlen(both));
    struct program_result run = program_run("x.ini", "--set", "train.max_steps=4", NULL);
    cr_expect_not_null(strstr(run.out, "x: 48 training, 12 validation and 23 test images of 3x7x7, 5 classes\n"));
    cr_expect(strstr(run.out, "  val loss ") && strstr(run.out, "  by validation accuracy\n"), "%s", run.out);
    run = program_run("x.ini", "--set", "data.synthetic_test=0", "--out", "b", NULL);
    cr_expect_not_null(strstr(run.out, "x: 48 training and 12 validation images of"), "%s", run.out);
    cr_expect_null(strstr(run.out, "test loss"));
    run = program_run("x.ini", "--set", "data.synthetic_test=0", "--set", "data.validation_size=0", "--out", "c", NULL);
    cr_expect_not_null(strstr(run.out, "x: 60 training images of"), "%s", run.out);
}

Test(sets, an_import_measures_the_sets_that_there_are)
{
    run_with(held_out, NULL, "run");
    struct program_result import =
        program_run("import", "run/resolved.ini", "run/checkpoints/best.safetensors", "--output", "imported", NULL);
    cr_expect(import.code == 0 && strstr(import.out, "  val loss ") && !strstr(import.out, "test loss"), "%s%s",
              import.out, import.error);
    struct program_result resumed = program_run("resume", "imported", NULL);
    cr_expect_eq(resumed.code, 0, "%s", resumed.error);
}
