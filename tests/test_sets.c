/* Tests the sets that a run measures, with and without a validation set and a test set, and the set that tells the best
 * evaluation. */
#include <criterion/criterion.h>
#include <math.h>

#include "../src/train/metrics_csv.h"
#include "program_support.h"
#include "run_support.h"
#include "session_support.h"

TestSuite(sets, .init = enter_without_gnuplot, .fini = leave_folder);

#define CONFIG(train, data)                                                                                            \
    "[model]\nhidden = 5\n[optimizer]\nlearning_rate = 0.01\n[backend]\ndevice = cpu\nthreads = 1\n"                   \
    "[train]\nmax_steps = 30\nbatch_size = 16\neval_freq = 4\n" train "[checkpoint]\nfreq = 1\nkeep = 100\n"           \
    "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_classes = 5\nsynthetic_size = 7\n"                   \
    "normalization = channel\n" data
static const char both[] = CONFIG("", "validation_size = 12\nsynthetic_test = 23\n");
static const char held_out[] = CONFIG("", "validation_size = 12\nsynthetic_test = 0\n");
static const char alone[] = CONFIG("", "synthetic_test = 0\n");

static struct run_result run_with(const char *text, const char *override, const char *folder)
{
    struct experiment experiment;
    struct run_result result;
    struct status status = {0};
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", &override, override != NULL, &status), "%s", status.message);
    cr_assert(train_run(&experiment, folder, TRAIN_NEW, NULL, NULL, &result, &status), "%s", status.message);
    experiment_free(&experiment);
    return result;
}

/* Returns the rows of a run's metrics.csv; free with free(). */
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

/* --- the figures of a run --- */

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

/* Makes a copy of the run without anything after `step`. */
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

/* --- such runs in the other subcommands --- */

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

/* --- a run that gets no better --- */

/* The accuracies of 12 samples soon stand still. */
#define PATIENCE "patience = 3\n"
static const char patient[] = "[model]\nhidden = 5\n[optimizer]\nlearning_rate = 0.05\n[backend]\ndevice = cpu\n"
                              "threads = 1\n[train]\nmax_steps = 100\nbatch_size = 16\neval_freq = 2\n" PATIENCE
                              "[checkpoint]\nfreq = 1\nkeep = 100\n[data]\ndataset = synthetic\nsynthetic_train = 60\n"
                              "synthetic_classes = 5\nsynthetic_size = 7\nnormalization = channel\n"
                              "validation_size = 12\nsynthetic_test = 23\n";

/* Returns the step at which a run with this patience ends by the rows of its metrics.csv, or -1: it does not end. */
static int64_t step_of_end(const char *folder, int patience)
{
    struct metrics_columns columns;
    int count, best = 0;
    int64_t step = -1;
    struct metrics_row *rows = read_rows(folder, &columns, &count);
    for (int i = 1; i < count && step < 0; i++) {
        if (rows[i].validation.accuracy > rows[best].validation.accuracy)
            best = i;
        else if (i - best == patience)
            step = rows[i].step;
    }
    free(rows);
    return step;
}

static void run_again(const char *text, const char *override, const char *folder)
{
    struct status status = {0};
    cr_assert(run_experiment(text, override, folder, TRAIN_RESUME, &status), "%s", status.message);
}

Test(sets, patience_ends_a_run_that_gets_no_better)
{
    struct run_result endless = run_with(patient, "train.patience=0", "endless");
    struct run_result ended = run_with(patient, NULL, "ended");
    int64_t end = step_of_end("endless", 3);
    cr_assert(endless.final.step == 100 && end > 0 && end < 60, "%d", (int)end);
    cr_expect(ended.final.step == end && ended.best.step == end - 6);
    char *long_run = read_metrics("endless"), *some = read_metrics("ended");
    cr_expect_eq(strncmp(long_run, some, strlen(some)), 0, "the same rows up to there");
    char *last = memory_format("ended/checkpoints/step_%08d.safetensors", (int)end);
    cr_expect(file_exists(last), "it is saved");
    free(long_run), free(some), free(last);
}

/* A resumed run knows again how many evaluations were no better, wherever it was broken off. */
Test(sets, a_run_that_is_broken_off_ends_at_the_same_step)
{
    run_good(patient, "whole", TRAIN_NEW);
    int end = (int)step_of_end("whole", 3);
    char *last = memory_format("step_%08d.safetensors", end);
    for (int step = 1; step <= end; step += step < end - 8 ? 5 : 1) {
        char *folder = memory_format("broken%d", step);
        cut("whole", folder, step);
        run_good(patient, folder, TRAIN_RESUME);
        cr_expect(same_metrics("whole", folder) && same_checkpoints("whole", folder, last), "%s", folder);
        free(folder);
    }
    free(last);
}

Test(sets, a_run_that_patience_ended_goes_on_only_with_more)
{
    run_with(patient, "train.patience=0", "endless");
    run_good(patient, "run", TRAIN_NEW);
    file_copy("run/metrics.csv", "before.csv");
    run_again(patient, NULL, "run");
    cr_expect(same_files("run/metrics.csv", "before.csv"), "by itself it does not");
    run_again(patient, "train.patience=4", "run");
    cr_expect(!same_files("run/metrics.csv", "before.csv"));
    run_again(patient, "train.patience=0", "run");
    cr_expect(same_metrics("run", "endless"));
}

Test(sets, the_end_by_patience_is_said_in_a_line)
{
    support_file_write("x.ini", patient, strlen(patient));
    struct program_result run = program_run("x.ini", "--set", "checkpoint.freq=0", "--out", "run", NULL);
    char *line =
        memory_format("\nended after step %d: no better validation accuracy in 3 evaluations (train.patience)\n",
                      (int)step_of_end("run", 3));
    cr_expect(run.code == 0 && strstr(run.out, line), "%d: %s", run.code, run.out);
    struct program_result again = program_run("resume", "run", NULL);
    cr_expect(again.code == 0 && strstr(again.out, line), "%d: %s", again.code, again.out);
    free(line);
}

Test(sets, patience_needs_a_set_to_judge_by)
{
    expect_run_error(
        alone, "train.patience=3", "run", TRAIN_NEW, STATUS_USAGE,
        "--set train.patience: expected 0, as the data has neither a validation set (data.validation_size) "
        "nor a test set to judge an evaluation by, found 3");
}

/* --- how much of the training set is evaluated --- */

#define AUGMENTED "synthetic_test = 23\n[augment]\nflip = true\n"
static const char all[] = CONFIG("", AUGMENTED);
static const char part[] = CONFIG("eval_train = 17\n", AUGMENTED);
static const char off[] = CONFIG("eval_train = off\n", AUGMENTED);

/* The figures of those samples of the training set, one by one. */
static struct evaluation evaluate_samples(struct trainer *trainer, const int32_t *samples, int64_t count)
{
    struct evaluation mean = {0, 0};
    int64_t total = trainer->train_set.count;
    int32_t *order = memory_alloc((size_t)total, sizeof *order);
    for (int64_t i = 0; i < count; i++) {
        for (int32_t k = 0; k < total; k++) order[k] = k;
        order[0] = samples[i], order[samples[i]] = 0;
        struct evaluation_set one = {.name = "one", .count = 1, .data = trainer->train_set.data, .order = order};
        one.full = (struct evaluation_batch){.n = 1};
        struct evaluation found = trainer_evaluate(trainer, &one);
        mean.loss += found.loss / (double)count, mean.accuracy += found.accuracy / (double)count;
    }
    free(order);
    return mean;
}

Test(sets, a_part_of_the_training_set_is_drawn_once_by_the_seed)
{
    struct session *a = session_open(part, 1), *b = session_open(part, 2);
    const int32_t *samples = a->trainer.part_order;
    int changed = 0;
    cr_assert_eq(a->trainer.train_part.count, 17);
    cr_expect_eq(memcmp(samples, b->trainer.part_order, 60 * sizeof *samples), 0);
    for (int i = 0; i < 17; i++) changed += samples[i] != i;
    cr_expect(changed > 10, "a draw, not the first ones: %d", changed);
    for (int step = 0; step < 9; step++) {
        struct metrics_row row;
        trainer_step(&a->trainer), trainer_step(&b->trainer);
        if (step % 4 != 0) continue;
        trainer_evaluate_row(&a->trainer, NULL, NULL, &row); /* leaves no trace in training */
        struct evaluation expected = evaluate_samples(&a->trainer, samples, 17);
        cr_expect(fabs(row.train.loss - expected.loss) < 1e-6 && row.train.accuracy > 0, "step %d: %g, %g", step,
                  row.train.loss, expected.loss);
        cr_expect(fabs(row.train.accuracy - expected.accuracy) < 1e-12);
    }
    size_t bytes = a->trainer.network->arena_count * a->backend->scalar_size;
    cr_expect_eq(memcmp(a->trainer.network->parameters, b->trainer.network->parameters, bytes), 0);
    session_close(a), session_close(b);
}

Test(sets, a_part_as_large_as_the_training_set_is_all_of_it)
{
    run_with(all, NULL, "all");
    run_with(part, "train.eval_train=60", "sixty");
    run_with(part, "train.eval_train=1000", "more");
    cr_expect(same_metrics("all", "sixty") && same_metrics("all", "more"));
}

/* The test set's column must be the same, whatever part of the training set evaluations cover. */
static void expect_same_tests(const char *a, const char *b)
{
    struct metrics_columns columns;
    int a_count, b_count;
    struct metrics_row *a_rows = read_rows(a, &columns, &a_count), *b_rows = read_rows(b, &columns, &b_count);
    cr_assert_eq(a_count, b_count);
    for (int i = 0; i < a_count; i++) cr_expect(a_rows[i].test.loss == b_rows[i].test.loss, "row %d", i);
    free(a_rows), free(b_rows);
}

Test(sets, without_evaluation_the_figures_are_means_of_training)
{
    struct metrics_columns columns;
    int count;
    run_with(all, NULL, "all");
    run_with(off, NULL, "off");
    expect_same_tests("all", "off");
    struct metrics_row *rows = read_rows("off", &columns, &count);
    struct session *session = session_open(off, 1);
    cr_expect(columns.running && columns.test && count == 8);
    for (int i = 0; i < count; i++) {
        struct metrics sums = {0};
        while (session->trainer.step < rows[i].step) {
            network_set_metrics(session->trainer.network, (struct metrics){0});
            trainer_step(&session->trainer);
            struct metrics step = network_metrics(session->trainer.network);
            sums.loss += step.loss, sums.correct += step.correct, sums.count += step.count;
        }
        cr_expect(fabs(rows[i].train.loss - sums.loss / (double)sums.count) < 1e-8, "row %d", i);
        cr_expect(fabs(rows[i].train.accuracy - (double)sums.correct / (double)sums.count) < 1e-8, "row %d", i);
    }
    session_close(session);
    free(rows);
}

/* The sums of a window that a checkpoint falls into are in it; without them the next row would be another. */
Test(sets, running_means_go_on_to_the_bit)
{
    expect_resumed(off);
    struct checkpoint checkpoint;
    struct status status = {0};
    cr_assert(checkpoint_read(&checkpoint, "whole/checkpoints/step_00000003.safetensors", &status));
    cr_expect_str_eq(safetensors_metadata_find(&checkpoint.file, "running_count"), "48");
    checkpoint_free(&checkpoint);
    cr_assert(checkpoint_read(&checkpoint, "whole/checkpoints/step_00000004.safetensors", &status));
    cr_expect_str_eq(safetensors_metadata_find(&checkpoint.file, "running_count"), "0");
    checkpoint_free(&checkpoint);
}

Test(sets, a_part_and_nothing_go_on)
{
    expect_resumed(part);
}

static bool always(void *argument)
{
    (void)argument;
    return true;
}

/* A stop request on the way: what training has summed must still be there for the row that is due. */
Test(sets, an_abandoned_evaluation_leaves_the_running_sums)
{
    struct session *session = session_open(off, 1);
    struct metrics_row row;
    const struct evaluation_watch stopping = {.stop = always};
    for (int i = 0; i < 3; i++) trainer_step(&session->trainer);
    struct metrics before = network_metrics(session->trainer.network);
    cr_expect_not(trainer_evaluate_row(&session->trainer, NULL, &stopping, &row));
    struct metrics after = network_metrics(session->trainer.network);
    cr_expect(after.count == 48 && after.loss == before.loss && after.correct == before.correct);
    cr_expect(trainer_evaluate_row(&session->trainer, NULL, NULL, &row));
    cr_expect_eq(row.train.loss, before.loss / 48);
    cr_expect_eq(network_metrics(session->trainer.network).count, 0);
    session_close(session);
}

Test(sets, lines_and_heads_say_which_training_figures_these_are)
{
    support_file_write("x.ini", all, strlen(all));
    struct program_result run = program_run("x.ini", "--set", "train.eval_train=17", "--out", "a", NULL);
    cr_expect_not_null(strstr(run.out, "\ntrain figures: 17 of the 60 training images, the same ones each time\n"),
                       "%s", run.out);
    run = program_run("x.ini", "--set", "train.eval_train=off", "--out", "b", NULL);
    cr_expect_not_null(strstr(run.out, "\nrunning: means over the training batches since the evaluation before"));
    cr_expect(strstr(run.out, "step      4  running loss ") && !strstr(run.out, "train loss"), "%s", run.out);
    char *csv = support_file_read("b/metrics.csv", NULL);
    cr_expect_eq(strncmp(csv, "step,epoch,running_loss,running_accuracy,test_loss,", 50), 0, "%s", csv);
    free(csv);
    struct program_result report = program_run("report", "b", "--no-evaluation", NULL);
    cr_expect_eq(report.code, 0, "%s", report.error);
    char *page = support_file_read("b/report.html", NULL);
    cr_expect_not_null(strstr(page, "\"running\":true"));
    free(page);
    struct program_result import =
        program_run("import", "b/resolved.ini", "b/checkpoints/best.safetensors", "--output", "imported", NULL);
    cr_expect(import.code == 0 && strstr(import.out, "imported: ") && !strstr(import.out, "train"), "%s%s", import.out,
              import.error);
    struct program_result resumed = program_run("resume", "imported", NULL);
    cr_expect_eq(resumed.code, 0, "%s", resumed.error);
}

Test(sets, eval_train_takes_a_word_or_a_number)
{
    expect_failure(
        "[train]\neval_train = some\n",
        "x.ini:2: train.eval_train: expected one of all, off, or an integer from 1 to 10000000, found \"some\"");
    expect_failure(
        "[train]\neval_train = 0\n",
        "x.ini:2: train.eval_train: expected one of all, off, or an integer from 1 to 10000000, found \"0\"");
    const char *const values[] = {"all", "off", "500"};
    for (int i = 0; i < 3; i++) {
        char *text = memory_format("[train]\neval_train = %s\n", values[i]);
        char *line = memory_format("\neval_train = %s\n", values[i]);
        struct experiment experiment;
        struct status status = {0};
        cr_assert(load_text(&experiment, text, &status), "%s", status.message);
        char *written = experiment_text(&experiment);
        cr_expect_not_null(strstr(written, line));
        experiment_free(&experiment);
        free(text), free(line), free(written);
    }
}
