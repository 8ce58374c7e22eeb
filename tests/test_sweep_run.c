/* Sweeps that run: results, going on after any kind of end, and what is refused. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config_support.h"
#include "trainer/sweep.h"
#include "trainer/train.h"

/* A picture takes longer than all trials of a test together: without a PATH there is no gnuplot. */
static void enter(void)
{
    enter_folder();
    setenv("PATH", "/nowhere", 1);
}

TestSuite(sweep_run, .init = enter, .fini = leave_folder);

#define TINY                                                                                                          \
    "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_test = 23\nsynthetic_classes = 5\n"                 \
    "synthetic_size = 7\nvalidation_size = 17\nnormalization = channel\n"                                             \
    "[train]\nmax_steps = 10\neval_freq = 4\n"                                                                        \
    "[model]\ndropout = 0.1\n[backend]\ndevice = cpu\n[sweep]\n"
/* 12 trials */
#define FACTORS                                                                                                       \
    "model.hidden = (7 | 19)^1..2\ntrain.batch_size = 8 | 11\noptimizer.learning_rate = 0.01\n"                       \
    "optimizer.name = sgd\n"
static const char config[] = TINY FACTORS;
enum { TRIALS = 12 };

static bool run_sweep_to(const char *text, const char *folder, FILE *out, struct status *status, int override_count,
                         const char *const *overrides)
{
    struct sweep sweep;
    support_file_write("x.ini", text, strlen(text));
    if (!sweep_load(&sweep, "x.ini", overrides, override_count, status)) return false;
    bool good = sweep_run(&sweep, folder, out, status);
    sweep_free(&sweep);
    return good;
}

static void run_sweep(const char *text, const char *folder, const char *override)
{
    struct status status = {0};
    cr_assert(run_sweep_to(text, folder, NULL, &status, override != NULL, &override), "%s", status.message);
}

static void expect_refused(const char *text, const char *folder, const char *override, const char *message)
{
    struct status status = {0};
    cr_assert_not(run_sweep_to(text, folder, NULL, &status, override != NULL, &override), "taken");
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

static char *read_file(const char *folder, const char *name)
{
    char *path = support_path(folder, name), *text = support_file_read(path, NULL);
    cr_assert(text, "%s", path);
    free(path);
    return text;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of results.csv without their seconds, sorted: what two sweeps must have alike. Every line must be whole. */
static char *sorted_results(const char *folder)
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

static int count_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static void expect_same_results(const char *folder, const char *expected)
{
    char *results = sorted_results(folder);
    cr_expect_str_eq(results, expected, "%s\nnot\n%s", results, expected);
    free(results);
}

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

/* The row of a trial, or NULL. */
static char *find_row(char *results, int trial)
{
    char *start = memory_format("\n%d,", trial), *row = strstr(results, start);
    free(start);
    return row ? row + 1 : NULL;
}

/* Trial 2 of two: the same experiment by train_run. */
Test(sweep_run, a_trial_is_the_run_of_its_experiment)
{
    run_sweep(TINY "optimizer.learning_rate = 0.01 | 0.02\nrank_by = test\n", "sweep", NULL);
    char *results = read_file("sweep", "results.csv"), *row = find_row(results, 2);
    double best, accuracy, loss;
    long best_step;
    int found = sscanf(row, "2,0.02,1,10,ok,%lf,%ld,nan,nan,%lf,%lf,", &best, &best_step, &accuracy, &loss);
    cr_assert_eq(found, 4, "%s", row);
    struct experiment experiment;
    struct status status = {0};
    struct run_result run;
    char *text = memory_copy_string(TINY);
    *strstr(text, "[sweep]") = '\0';
    const char *override = "optimizer.learning_rate=0.02";
    support_file_write("x.ini", text, strlen(text));
    cr_assert(experiment_load(&experiment, "x.ini", &override, 1, &status), "%s", status.message);
    cr_assert(train_run(&experiment, "run", NULL, &run, &status), "%s", status.message);
    cr_expect(fabs(run.final.test.loss - loss) <= 1e-8 * loss, "%.17g, %.17g", run.final.test.loss, loss);
    cr_expect(fabs(run.final.test.accuracy - accuracy) <= 1e-8);
    cr_expect(fabs(run.best.test.accuracy - best) <= 1e-8);
    cr_expect_eq(run.best.step, best_step);
    experiment_free(&experiment);
    free(text), free(results);
}

Test(sweep_run, a_trial_that_diverges_is_a_row_and_no_failure)
{
    run_sweep(TINY "model.activation = leaky_relu\ntrain.batch_size = 16\noptimizer.learning_rate = 1000 | 0.001\n"
                   "model.hidden = 9, 9 | 65536, 65536\ntrain.max_steps = 300\n",
              "sweep", "train.eval_freq=300");
    char *results = read_file("sweep", "results.csv"), *ranking = read_file("sweep", "ranking.md");
    cr_expect_eq(count_lines(results), 5, "%s", results);
    const char *outcomes[] = {",nan,nan,0,nan,", ",failed,nan,0,nan,", ",300,ok,0.", ",failed,nan,0,nan,"};
    for (int trial = 1; trial <= 4; trial++) {
        char *row = find_row(results, trial), *end = strchr(row, '\n'), *found = strstr(row, outcomes[trial - 1]);
        cr_expect(found && found < end, "trial %d: %s", trial, row);
    }
    int steps;
    char *row = find_row(results, 1);
    cr_assert_eq(sscanf(strstr(row, ",1,") + 3, "%*[^,],"), 0);
    cr_assert_eq(sscanf(strstr(row, "300,1,"), "300,1,%d,nan", &steps), 1, "%s", row);
    cr_expect_lt(steps, 300);
    cr_expect(strstr(ranking, "|    1 |     3 |") && strstr(ranking, "|    2 |     1 |"), "%s", ranking);
    free(results), free(ranking);
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

Test(sweep_run, plain_output_is_a_line_per_trial)
{
    struct status status = {0};
    FILE *out = fopen("out.txt", "w");
    cr_assert(run_sweep_to(config, "sweep", out, &status, 0, NULL), "%s", status.message);
    fclose(out);
    char *text = support_file_read("out.txt", NULL);
    cr_expect(strstr(text, "x: 12 trials, 0 of them done; "), "%s", text);
    cr_expect(strstr(text, "\n12/12  trial ") && strstr(text, "model.hidden = 7, 19; train.batch_size = 11; "), "%s", text);
    cr_expect(strstr(text, "\nestimate: ") && strstr(text, "| rank | trial |"), "%s", text);
    for (const char *c = text; *c; c++) cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'), "%s", text);
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

/* --- going on --- */

static void expect_continued(const char *results, size_t size, const char *expected)
{
    support_file_write("sweep/results.csv", results, size);
    run_sweep(config, "sweep", NULL);
    expect_same_results("sweep", expected);
}

Test(sweep_run, goes_on_after_a_row_cut_off_at_any_byte)
{
    run_sweep(config, "sweep", NULL);
    char *expected = sorted_results("sweep"), *results = read_file("sweep", "results.csv");
    size_t size = strlen(results), last = size - 1;
    while (results[last - 1] != '\n') last--;
    cr_assert_gt(size - last, 50);
    for (size_t cut = last; cut <= size; cut++) expect_continued(results, cut, expected);
    free(expected), free(results);
}

Test(sweep_run, goes_on_after_a_header_cut_off_at_any_byte)
{
    run_sweep(config, "sweep", NULL);
    char *expected = sorted_results("sweep"), *results = read_file("sweep", "results.csv");
    size_t header = strcspn(results, "\n") + 1;
    for (size_t cut = 0; cut <= header; cut += cut < header - 3 ? 31 : 1) expect_continued(results, cut, expected);
    free(expected), free(results);
}

Test(sweep_run, a_finished_sweep_trains_nothing)
{
    run_sweep(config, "sweep", NULL);
    char *before = read_file("sweep", "results.csv");
    cr_assert_eq(unlink("sweep/ranking.md"), 0);
    run_sweep(config, "sweep", NULL);
    char *after = read_file("sweep", "results.csv"), *ranking = read_file("sweep", "ranking.md");
    cr_expect_str_eq(before, after);
    free(before), free(after), free(ranking);
}

Test(sweep_run, a_larger_limit_adds_trials)
{
    run_sweep(config, "whole", NULL);
    char *expected = sorted_results("whole");
    run_sweep(config, "sweep", "sweep.limit=5");
    char *some = read_file("sweep", "results.csv");
    cr_expect_eq(count_lines(some), 6);
    run_sweep(config, "sweep", NULL);
    char *all = read_file("sweep", "results.csv");
    cr_expect_eq(strncmp(all, some, strlen(some)), 0);
    expect_same_results("sweep", expected);
    free(expected), free(some), free(all);
}

/* --- kill -9 --- */

/* Starts the program on x.ini; its words go to a file. */
static pid_t start_program(const char *out)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child > 0) return child;
    if (!freopen(out, "w", stdout) || !freopen(out, "w", stderr)) _exit(99);
    execl(TRAINER_PROGRAM, "trainer", "sweep", "x.ini", "--out", "sweep", (char *)NULL);
    _exit(99);
}

/* Waits until the file has that many lines, or the child has ended; true where it had not. */
static bool wait_for_lines(pid_t child, const char *path, int lines)
{
    for (;;) {
        char *text = support_file_read(path, NULL);
        bool enough = text && count_lines(text) >= lines;
        free(text);
        if (enough) return true;
        if (waitpid(child, NULL, WNOHANG) == child) return false;
        usleep(500);
    }
}

/* Killed after every second trial, again and again. */
Test(sweep_run, killed_sweeps_go_on_where_they_were)
{
    run_sweep(config, "whole", NULL);
    char *expected = sorted_results("whole");
    support_file_write("x.ini", config, strlen(config));
    int kills = 0;
    for (int lines = 3; lines < TRIALS; lines += 2) {
        pid_t child = start_program("out.txt");
        if (!wait_for_lines(child, "sweep/results.csv", lines)) continue;
        cr_assert_eq(kill(child, SIGKILL), 0);
        int how;
        cr_assert_eq(waitpid(child, &how, 0), child);
        kills += WIFSIGNALED(how);
    }
    cr_expect_geq(kills, 2, "%d kills only: the trials are too short", kills);
    int how;
    pid_t child = start_program("out.txt");
    cr_assert_eq(waitpid(child, &how, 0), child);
    char *out = support_file_read("out.txt", NULL);
    cr_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0, "%s", out);
    expect_same_results("sweep", expected);
    free(expected), free(out);
}

/* --- halving --- */

#define HALVING                                                                                                       \
    TINY "optimizer.learning_rate = 1e-7 | 1e-6 | 1e-5 | 1e-4 | 1e-3 | 1e-2 | 0.1 | 0.05 | 1000\n"                    \
         "model.activation = leaky_relu\ntrain.batch_size = 16\nhalving = on\neta = 3\nrungs = 3\n"

/* Best accuracy of a trial in a rung, or -1: it did not take part. */
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
    memmove(strstr(whole, "offeta"), "off\n# ", 6); /* what follows is a comment */
    run_sweep(whole, "whole", halving_steps);
    char *full = read_file("whole", "results.csv");
    for (int trial = 1; trial <= 9; trial++) {
        double last = rung_accuracy(results, trial, 3);
        if (last >= 0) cr_expect_eq(last, rung_accuracy(full, trial, 1));
    }
    free(expected), free(results), free(whole), free(full);
}

/* --- what is refused --- */

Test(sweep_run, the_folder_of_another_sweep)
{
    const char start[] = "sweep/sweep.ini: the folder holds the results of another sweep: ";
    const char end[] = "; choose another folder with --out";
    const char *const cases[][2] = {
        {"train.max_steps=11", "train.max_steps is \"10\" there, \"11\" here"},
        {"sweep.train.batch_size=8|12", "sweep.train.batch_size is \"8 | 11\" there, \"8|12\" here"},
        {"sweep.rank_by=test", "sweep.rank_by is \"validation\" there, \"test\" here"},
        {"sweep.model.dropout=0.1|0.2", NULL},
        {"experiment.seed=43", "experiment.seed is \"42\" there, \"43\" here"},
        {"sweep.model.activation=relu",
         "the list of keys in [sweep] is \"model.hidden, train.batch_size, optimizer.learning_rate, optimizer.name\" "
         "there, \"model.hidden, train.batch_size, optimizer.learning_rate, optimizer.name, model.activation\" here"},
        {"sweep.halving=on", "sweep.halving is \"off\" there, \"on\" here"},
    };
    run_sweep(config, "sweep", NULL);
    char *before = read_file("sweep", "results.csv");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!cases[i][1]) continue;
        char *message = memory_format("%s%s%s", start, cases[i][1], end);
        expect_refused(config, "sweep", cases[i][0], message);
        free(message);
    }
    char *after = read_file("sweep", "results.csv");
    cr_expect_str_eq(before, after);
    run_sweep(config, "sweep", "experiment.name=renamed");
    free(before), free(after);
}

Test(sweep_run, results_that_nothing_explains)
{
    run_sweep(config, "sweep", NULL);
    cr_assert_eq(rename("sweep/sweep.ini", "sweep.ini"), 0);
    expect_refused(config, "sweep", NULL,
                   "sweep/results.csv: no sweep.ini beside it says which sweep it belongs to; choose another folder "
                   "with --out");
    cr_assert_eq(rename("sweep.ini", "sweep/sweep.ini"), 0);
    char *results = read_file("sweep", "results.csv");
    char *second = strchr(results, '\n') + 1;
    char *twice = memory_format("%s%.*s\n", results, (int)strcspn(second, "\n"), second);
    support_file_write("sweep/results.csv", twice, strlen(twice));
    struct status status = {0};
    cr_assert_not(run_sweep_to(config, "sweep", NULL, &status, 0, NULL));
    cr_expect(strstr(status.message, "sweep/results.csv:14: trial ") && strstr(status.message, " is there twice"), "%s",
              status.message);
    results[second - results] = '7', results[second - results + 1] = '7';
    support_file_write("sweep/results.csv", results, strlen(results));
    cr_assert_not(run_sweep_to(config, "sweep", NULL, &status, 0, NULL));
    cr_expect(strstr(status.message, "sweep/results.csv:2: not a row of this sweep: "), "%s", status.message);
    support_file_write("sweep/results.csv", "a,b\n", 4);
    cr_assert_not(run_sweep_to(config, "sweep", NULL, &status, 0, NULL));
    cr_expect(strstr(status.message, "sweep/results.csv:1: expected the header \"trial,"), "%s", status.message);
    free(results), free(twice);
}

Test(sweep_run, a_second_sweep_in_the_same_folder)
{
    run_sweep(config, "sweep", NULL);
    FILE *folder = fopen("sweep", "r");
    cr_assert(folder && flock(fileno(folder), LOCK_EX) == 0);
    expect_refused(config, "sweep", NULL, "sweep: another sweep is running in this folder");
    fclose(folder);
    run_sweep(config, "sweep", NULL);
}

Test(sweep_run, a_batch_larger_than_the_train_set_is_found_before_the_first_trial)
{
    expect_refused(TINY "train.batch_size = 8 | 44\n", "sweep", NULL,
                   "x.ini:16: train.batch_size: expected at most the 43 samples of the training set, found 44");
    char *results = read_file("sweep", "results.csv");
    cr_expect_str_empty(results);
    run_sweep(config, "sweep", NULL); /* a folder without results is free */
    free(results);
}

Test(sweep_run, a_full_disk_is_an_error)
{
    cr_assert(mkdir("sweep", 0777) == 0 && symlink("/dev/full", "sweep/results.csv") == 0);
    expect_refused(config, "sweep", NULL, "sweep/results.csv: cannot write: No space left on device");
}
