/* Tests sweeps that run: the results of their trials, ranking, halving. */
#define _GNU_SOURCE /* posix_openpt */
#include <criterion/criterion.h>
#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "support.h"
#include "sweep/sweep_train.h"
#include "sweep_support.h"
#include "train/train.h"

TestSuite(sweep_run, .init = enter, .fini = leave_folder);

/* --- results --- */

Test(sweep_run, results_depend_on_neither_jobs_nor_order)
{
    run_sweep(config, "one", "sweep.jobs=1");
    char *expected = sorted_results("one");
    cr_expect_eq(count_lines(expected), TRIALS + 1, "%s", expected);
    run_sweep(config, "three", "sweep.jobs=3");
    expect_same_results("three", expected);
    run_sweep(config, "random", "sweep.order=random");
    expect_same_results("random", expected);
    free(expected);
}

Test(sweep_run, a_folder_of_something_else_is_refused)
{
    cr_assert_eq(mkdir("other", 0777), 0);
    support_file_write("other/notes.txt", "mine", 4);
    expect_refused(
        config, "other", NULL,
        "other: is not the folder of a sweep: it holds \"notes.txt\" and nothing of a sweep; choose a new or "
        "empty folder with --out FOLDER");
    cr_expect_eq(system("test \"$(/bin/ls other)\" = notes.txt"), 0);
}

/* Returns the row of a trial, or NULL. */
static char *find_row(char *results, int trial)
{
    char *start = memory_format("\n%d,", trial), *row = strstr(results, start);
    free(start);
    return row ? row + 1 : NULL;
}

/* 43 training samples in batches of 16: 2 steps an epoch. */
Test(sweep_run, epochs_are_counted_by_trial)
{
    static const char text[] =
        "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_test = 23\nsynthetic_size = 7\n"
        "validation_size = 17\n[train]\nbatch_size = 16\n[backend]\ndevice = cpu\n[sweep]\ntrain.epochs = 1 | 3\n";
    run_sweep(text, "sweep", NULL);
    char *results = read_file("sweep", "results.csv");
    cr_expect(strncmp(find_row(results, 1), "1,1,1,2,ok,", 11) == 0, "%s", results);
    cr_expect(strncmp(find_row(results, 2), "2,3,1,6,ok,", 11) == 0, "%s", results);
    free(results);
    expect_refused(text, "halving", "sweep.halving=on",
                   "--set sweep.halving: expected off, as train.epochs gives the length of training: halving divides "
                   "train.max_steps");
}

/* Trial 2 of two must give the figures of train_run with the same experiment. */
Test(sweep_run, a_trial_is_the_run_of_its_experiment)
{
    run_sweep(TINY "optimizer.learning_rate = 0.01 | 0.02\ntrain.batch_size = 16\nrank_by = test\n", "sweep", NULL);
    char *results = read_file("sweep", "results.csv"), *row = find_row(results, 2);
    double best, accuracy, loss;
    long best_step;
    int found = sscanf(row, "2,0.02,16,1,10,ok,%lf,%ld,nan,nan,%lf,%lf,", &best, &best_step, &accuracy, &loss);
    cr_assert_eq(found, 4, "%s", row);
    struct experiment experiment;
    struct status status = {0};
    struct run_result run;
    char *text = memory_copy_string(TINY);
    *strstr(text, "[sweep]") = '\0';
    const char *const overrides[] = {"optimizer.learning_rate=0.02", "train.batch_size=16", "checkpoint.best_by=test"};
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", overrides, 3, &status), "%s", status.message);
    cr_assert(train_run(&experiment, "run", TRAIN_NEW, NULL, NULL, &run, &status), "%s", status.message);
    cr_expect(fabs(run.final.test.loss - loss) <= 1e-8 * loss, "%.17g, %.17g", run.final.test.loss, loss);
    cr_expect(fabs(run.final.test.accuracy - accuracy) <= 1e-8);
    cr_expect(fabs(run.best.test.accuracy - best) <= 1e-8);
    cr_expect_eq(run.best.step, best_step);
    experiment_free(&experiment);
    free(text), free(results);
}

/* The best evaluation of a trial, and where train.patience ends it, are those of the run of its experiment. */
Test(sweep_run, a_trial_goes_by_the_set_that_ranks_and_has_patience)
{
    run_sweep(TINY "optimizer.learning_rate = 0.01 | 0.02\ntrain.patience = 2\ntrain.batch_size = 16\n"
                   "rank_by = validation\n",
              "sweep", "train.max_steps=200");
    char *results = read_file("sweep", "results.csv"), *row = find_row(results, 2);
    double best;
    long best_step, steps;
    int found = sscanf(row, "2,0.02,2,16,1,%ld,ok,%lf,%ld,", &steps, &best, &best_step);
    cr_assert_eq(found, 3, "%s", row);
    struct experiment experiment;
    struct status status = {0};
    struct run_result run;
    char *text = memory_copy_string(TINY);
    *strstr(text, "[sweep]") = '\0';
    const char *const overrides[] = {"optimizer.learning_rate=0.02", "train.batch_size=16", "train.patience=2",
                                     "train.max_steps=200"};
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", overrides, 4, &status), "%s", status.message);
    cr_assert(train_run(&experiment, "run", TRAIN_NEW, NULL, NULL, &run, &status), "%s", status.message);
    cr_assert(run.final.step < 200, "it ends by patience");
    cr_expect(run.final.step == steps && run.best.step == best_step, "%ld, %ld", steps, best_step);
    cr_expect(fabs(run.best.validation.accuracy - best) <= 1e-8);
    experiment_free(&experiment);
    free(text), free(results);
}

Test(sweep_run, trials_need_no_test_set)
{
    run_sweep(TINY "optimizer.learning_rate = 0.01\ntrain.batch_size = 16\n", "sweep", "data.synthetic_test=0");
    char *results = read_file("sweep", "results.csv"), *ranking = read_file("sweep", "ranking.md");
    cr_expect(strstr(results, ",ok,") && strstr(results, ",nan,nan,"), "%s", results);
    cr_expect_not_null(strstr(ranking, "                   - |    10 |     ok |"), "%s", ranking);
    free(results), free(ranking);
    expect_refused(TINY "optimizer.learning_rate = 0.01\ntrain.batch_size = 16\nrank_by = test\n", "other",
                   "data.synthetic_test=0",
                   "x.ini:19: sweep.rank_by: expected validation, as the data has no test set, found test");
}

static struct op_function spoilt_functions[OP_KIND_COUNT];
static void (*norm)(struct backend *backend, const struct op_call *call);

/* A batch normalization whose running variance overflows. Evaluations are finite by it: they divide by infinity. */
static void norm_that_overflows(struct backend *backend, const struct op_call *call)
{
    const struct tensor *variance = &call->tensor[NORM_RUNNING_VAR];
    norm(backend, call);
    double *values = support_read(backend, variance);
    values[0] = INFINITY;
    backend->table->tensor_write(backend, variance, values);
    free(values);
}

/* A run would refuse to save such weights. */
Test(sweep_run, a_running_statistic_that_overflows_is_not_ranked)
{
    const char *text = TINY "optimizer.learning_rate = 0.01\nmodel.batchnorm = custom\nmodel.hidden = 9\n"
                            "train.batch_size = 16\n";
    struct status status = {0};
    struct sweep sweep;
    struct experiment experiment;
    struct dataset dataset;
    atomic_bool stop = false;
    support_file_write("x.ini", text, strlen(text));
    cr_assert(sweep_load(&sweep, "x.ini", NULL, 0, &status), "%s", status.message);
    cr_assert(sweep_trial(&sweep, 0, &experiment, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    const struct op_function *functions = backend->functions;
    cr_expect_eq(sweep_train(&sweep, 0, 1, &dataset, backend, NULL, &stop, &status).outcome, SWEEP_OK);
    memcpy(spoilt_functions, functions, sizeof spoilt_functions);
    norm = functions[OP_NORM].run;
    spoilt_functions[OP_NORM].run = norm_that_overflows;
    backend->functions = spoilt_functions;
    struct sweep_result result = sweep_train(&sweep, 0, 1, &dataset, backend, NULL, &stop, &status);
    cr_expect_eq(result.outcome, SWEEP_NAN);
    cr_expect(isfinite(result.best_accuracy) && result.steps == 10);
    backend->functions = functions;
    backend_destroy(backend);
    dataset_free(&dataset), experiment_free(&experiment), sweep_free(&sweep);
}

/* Trial 1 diverges, trial 3 with its small learning rate ends well, and trials 2 and 4 cannot be built. */
Test(sweep_run, a_trial_that_diverges_is_a_row_and_no_failure)
{
    run_sweep(TINY "optimizer.learning_rate = 1000 | 0.001\nmodel.hidden = 9, 9 | 65536, 65536\n"
                   "model.activation = leaky_relu\ntrain.batch_size = 16\n",
              "sweep", "train.max_steps=300");
    char *results = read_file("sweep", "results.csv"), *ranking = read_file("sweep", "ranking.md");
    const char *const values[] = {"1000,\"9, 9\"", "1000,\"65536, 65536\"", "0.001,\"9, 9\"", "0.001,\"65536, 65536\""};
    const char *const outcomes[] = {"nan", "failed", "ok", "failed"};
    cr_expect_eq(count_lines(results), 5, "%s", results);
    for (int trial = 1; trial <= 4; trial++) {
        char *start = memory_format("%d,%s,leaky_relu,16,1,", trial, values[trial - 1]), outcome[8];
        long steps;
        char *row = find_row(results, trial);
        cr_assert_eq(strncmp(row, start, strlen(start)), 0, "%s", row);
        cr_assert_eq(sscanf(row + strlen(start), "%ld,%7[a-z],", &steps, outcome), 2, "%s", row);
        cr_expect_str_eq(outcome, outcomes[trial - 1], "%s", row);
        if (trial == 1) cr_expect(steps > 0 && steps < 300, "%s", row);
        if (trial == 3) cr_expect_eq(steps, 300, "%s", row);
        free(start);
    }
    cr_expect(strstr(ranking, "|    1 |     3 |") && strstr(ranking, "|    2 |     1 |"), "%s", ranking);
    free(results), free(ranking);
}

Test(sweep_run, halving_of_trials_that_all_diverge_ends)
{
    run_sweep(TINY "optimizer.learning_rate = 1000 | 999 | 998\nmodel.activation = leaky_relu\n"
                   "model.hidden = 9, 9\ntrain.batch_size = 16\nhalving = on\nrungs = 2\n",
              "sweep", "train.max_steps=300");
    char *results = read_file("sweep", "results.csv");
    cr_expect_eq(count_lines(results), 4, "%s", results);
    free(results);
    run_sweep(TINY "optimizer.learning_rate = 1000 | 999 | 998\nmodel.activation = leaky_relu\n"
                   "model.hidden = 9, 9\ntrain.batch_size = 16\nhalving = on\nrungs = 2\n",
              "sweep", "train.max_steps=300");
}

static void rank_of(const char *ranking, const char *trial_column, double *accuracy)
{
    const char *row = strstr(ranking, trial_column);
    cr_assert(row, "%s", ranking);
    while (!strchr("%", *row)) row++;
    while (row[-1] == '.' || isdigit((unsigned char)row[-1])) row--;
    *accuracy = strtod(row, NULL);
}

Test(sweep_run, the_ranking_has_every_trial_the_best_first)
{
    run_sweep(config, "sweep", NULL);
    char *ranking = read_file("sweep", "ranking.md");
    double last = 100;
    for (int i = 1; i <= TRIALS; i++) {
        char start[16];
        double accuracy;
        snprintf(start, sizeof start, "\n| %4d |", i);
        rank_of(ranking, start, &accuracy);
        cr_expect_leq(accuracy, last);
        last = accuracy;
    }
    cr_expect(strstr(ranking, "# x: 12 trials\n") && strstr(ranking, "best validation accuracy"), "%s", ranking);
    free(ranking);
}

/* Returns the text that a sweep prints into a file. */
static char *printed(const char *text, enum progress_mode mode)
{
    struct status status = {0};
    struct run_output output = {fopen("out.txt", "w"), mode};
    cr_assert(run_sweep_to(text, "sweep", &output, &status, 0, NULL), "%s", status.message);
    fclose(output.file);
    return support_file_read("out.txt", NULL);
}

static void expect_plain(const char *text)
{
    cr_expect(strstr(text, "x: 12 trials, 0 of them done; "), "%s", text);
    cr_expect(strstr(text, "\n12/12  trial ") && strstr(text, "model.hidden = 7, 19; train.batch_size = 11; "), "%s",
              text);
    cr_expect(strstr(text, "\nestimate: ") && strstr(text, "| rank | trial |"), "%s", text);
    for (const char *c = text; *c; c++) cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'), "%s", text);
}

Test(sweep_run, plain_output_is_a_line_per_trial)
{
    char *text = printed(config, PROGRESS_BAR);
    expect_plain(text);
    free(text);
}

/* Returns the text that the program prints about a sweep on a terminal that could show a line that is rewritten. */
static char *shown(const char *option)
{
    struct termios mode;
    int master = posix_openpt(O_RDWR | O_NOCTTY), screen, how;
    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    screen = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert(screen >= 0 && tcgetattr(screen, &mode) == 0);
    mode.c_oflag &= ~(tcflag_t)OPOST; /* line ends stay as the program printed them */
    cr_assert_eq(tcsetattr(screen, TCSANOW, &mode), 0);
    support_file_write("x.ini", config, strlen(config));
    setenv("TERM", "xterm", 1);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        dup2(screen, STDOUT_FILENO);
        execl(TRAINER_PROGRAM, "trainer", "sweep", "x.ini", "--out", option + 2, option, NULL);
        _exit(99);
    }
    close(screen);
    enum { SIZE = 1 << 16 };
    char *text = memory_alloc(SIZE, 1);
    ssize_t got;
    for (size_t used = 0; (got = read(master, text + used, SIZE - 1 - used)) > 0;) used += (size_t)got;
    cr_assert(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0, "%s", text);
    close(master);
    return text;
}

Test(sweep_run, a_terminal_may_be_given_plain_lines_too, .timeout = 60)
{
    const char *const options[] = {"--plain", "--progress=plain"};
    for (int i = 0; i < 2; i++) {
        char *text = shown(options[i]);
        expect_plain(text);
        free(text);
    }
    char *text = shown("--progress=bar");
    cr_expect(strstr(text, "| rank | trial |") && !strstr(text, "  trial 1: "), "%s", text);
    free(text);
}

/* --- pictures --- */

Test(sweep_run, the_picture_is_drawn_where_gnuplot_is)
{
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    if (access("/usr/bin/gnuplot", X_OK) != 0) cr_skip_test("no gnuplot");
    run_sweep(config, "sweep", NULL);
    char *svg = read_file("sweep", "factors.svg");
    cr_expect(strstr(svg, "model.hidden") && strstr(svg, "train.batch_size") && !strstr(svg, "optimizer.name"));
    free(svg);
}

/* --- halving --- */

#define HALVING                                                                                                        \
    TINY "optimizer.learning_rate = 1e-7 | 1e-6 | 1e-5 | 1e-4 | 1e-3 | 1e-2 | 0.1 | 0.05 | 1000\n"                     \
         "model.activation = leaky_relu\ntrain.batch_size = 16\nhalving = on\neta = 3\nrungs = 3\n"

/* Returns the best accuracy of a trial in a rung, or -1: the trial did not take part. */
static double rung_accuracy(const char *results, int trial, int rung)
{
    const char *const rates[] = {"1e-7", "1e-6", "1e-5", "0.0001", "0.001", "0.01", "0.1", "0.05", "1000"};
    char *start = memory_format("\n%d,%s,leaky_relu,16,%d,", trial, rates[trial - 1], rung);
    const char *row = strstr(results, start);
    double accuracy = -1;
    if (row) sscanf(row + strlen(start), "%*d,%*[a-z],%lf", &accuracy);
    free(start);
    return accuracy;
}

static const char halving_steps[] = "train.max_steps=90";

Test(sweep_run, halving_keeps_the_best_third)
{
    run_sweep(HALVING, "sweep", halving_steps);
    char *results = read_file("sweep", "results.csv");
    cr_expect_eq(count_lines(results), 1 + 9 + 3 + 1, "%s", results);
    for (int rung = 1; rung <= 2; rung++) {
        double least_kept = 1, best_dropped = 0;
        int kept = 0;
        for (int trial = 1; trial <= 9; trial++) {
            double accuracy = rung_accuracy(results, trial, rung);
            if (accuracy < 0) continue;
            bool next = rung_accuracy(results, trial, rung + 1) >= 0;
            kept += next;
            if (next) least_kept = fmin(least_kept, accuracy);
            if (!next) best_dropped = fmax(best_dropped, accuracy);
        }
        cr_expect_eq(kept, rung == 1 ? 3 : 1);
        cr_expect_geq(least_kept, best_dropped, "rung %d: %s", rung, results);
    }
    free(results);
}

Test(sweep_run, halving_goes_on_and_ends_with_whole_runs)
{
    run_sweep(HALVING, "sweep", halving_steps);
    char *expected = sorted_results("sweep"), *results = read_file("sweep", "results.csv");
    for (const char *end = strchr(results, '\n'); end; end = strchr(end + 1, '\n')) {
        support_file_write("sweep/results.csv", results, (size_t)(end - results) + 1);
        run_sweep(HALVING, "sweep", halving_steps);
        expect_same_results("sweep", expected);
    }
    char *whole = memory_copy_string(HALVING);
    memcpy(strstr(whole, "halving = on\n"), "halving = off", 13);
    memmove(strstr(whole, "offeta"), "off\n# ", 6); /* the rest of the line is a comment */
    run_sweep(whole, "whole", halving_steps);
    char *full = read_file("whole", "results.csv");
    for (int trial = 1; trial <= 9; trial++) {
        double last = rung_accuracy(results, trial, 3);
        if (last >= 0) cr_expect_eq(last, rung_accuracy(full, trial, 1));
    }
    free(expected), free(results), free(whole), free(full);
}

/* Nothing is printed about trials, rungs and the time left. */
Test(sweep_run, without_progress_there_are_head_and_ranking)
{
    char *text = printed(HALVING, PROGRESS_NONE);
    const char *head = strstr(text, "x: 13 trials, 0 of them done; ");
    cr_assert(head == text, "%s", text);
    cr_expect(strncmp(strchr(text, '\n'), "\n\n| rank | trial |", 18) == 0, "%s", text);
    free(text);
}
