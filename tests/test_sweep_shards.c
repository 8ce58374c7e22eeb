/* Tests sweeps whose trials several processes share: together they find what one process finds, whatever happens to them. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep/sweep_shard.h"
#include "sweep_support.h"

TestSuite(sweep_shards, .init = enter, .fini = leave_folder);

enum { TWO_DOZEN = 24 };
static const char two_dozen[] = TINY "model.hidden = (7 | 19)^1..2\ntrain.batch_size = 8 | 11\n"
                                     "optimizer.learning_rate = 0.01 | 0.03\noptimizer.name = sgd\n";

/* --- helpers --- */

static bool try_shard(const char *text, const char *folder, int index, int count, const char *override,
                      const struct run_output *output, struct status *status)
{
    struct sweep sweep;
    const struct sweep_shard shard = {index, count};
    support_file_write("x.ini", text, strlen(text));
    struct experiment_override *parts = cut_overrides(&override, override != NULL, status);
    cr_assert(parts && sweep_load(&sweep, "x.ini", parts, override != NULL, status), "%s", status->message);
    experiment_overrides_free(parts, override != NULL);
    bool good = sweep_run(&sweep, folder, &shard, output, status);
    sweep_free(&sweep);
    return good;
}

static void run_shard(const char *text, const char *folder, int index, int count, const char *override)
{
    struct status status = {0};
    cr_assert(try_shard(text, folder, index, count, override, NULL, &status), "%s", status.message);
}

static void expect_shard_refused(int index, int count, const char *message, enum status_code code)
{
    struct status status = {0};
    cr_assert_not(try_shard(two_dozen, "sweep", index, count, NULL, NULL, &status), "taken");
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    cr_expect_eq(status.code, code);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Joins the tables of all processes in a new folder, in which expect_same_results compares them with one process's. */
static void join_results(const char *folder)
{
    char *command = memory_format("rm -rf joined && mkdir joined && for f in %s/results*.csv; do "
                                  "test -s $f && { test -s joined/results.csv && sed 1d $f || cat $f; } "
                                  ">>joined/results.csv; done; true",
                                  folder);
    setenv("PATH", "/usr/bin:/bin", 1);
    cr_assert_eq(system(command), 0);
    setenv("PATH", "/nowhere", 1);
    free(command);
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    size_t sizes[2];
    char *paths[] = {support_path(a, name), support_path(b, name)};
    char *bytes[] = {support_file_read(paths[0], &sizes[0]), support_file_read(paths[1], &sizes[1])};
    cr_assert(bytes[0] && bytes[1], "%s", name);
    cr_expect(sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0, "%s of %s and %s", name, a, b);
    for (int i = 0; i < 2; i++) free(paths[i]), free(bytes[i]);
}

/* The whole sweep finds nothing to train any more, ranks, and has the weights of the best trial. */
static void expect_ranked_as(const char *text, const char *folder, const char *override, const char *whole)
{
    char *own = support_path(folder, "results.csv"), *left = memory_format("set -- %s/*-of-*.safetensors", folder);
    run_sweep(text, folder, override);
    char *rows = support_file_read(own, NULL);
    cr_expect_str_empty(rows);
    expect_same_file(folder, whole, "ranking.md");
    expect_same_file(folder, whole, "best.safetensors");
    char *command = memory_format("%s; test ! -e \"$1\"", left);
    cr_expect_eq(system(command), 0);
    free(own), free(left), free(rows), free(command);
}

/* Starts the program as a shard, with its output in out.txt. */
static pid_t start_shard(const char *shard, const char *setting)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child > 0) return child;
    if (freopen("out.txt", "w", stdout) && freopen("out.txt", "a", stderr))
        execl(TRAINER_PROGRAM, "trainer", "sweep", "x.ini", "--out", "sweep", "--shard", shard, "--set", setting,
              (char *)NULL);
    _exit(99);
}

static bool has_lines(const char *path, int lines)
{
    char *text = support_file_read(path, NULL);
    bool enough = text && count_lines(text) >= lines;
    free(text);
    return enough;
}

/* --- which trials --- */

Test(sweep_shards, every_trial_is_one_shards)
{
    struct sweep sweep;
    struct status status = {0};
    support_file_write("x.ini", two_dozen, strlen(two_dozen));
    cr_assert(sweep_load(&sweep, "x.ini", NULL, 0, &status), "%s", status.message);
    cr_assert_eq(sweep.trial_count, TWO_DOZEN);
    for (int count = 1; count <= TWO_DOZEN + 3; count++) {
        int times[TWO_DOZEN] = {0};
        for (int k = 0; k < count; k++) {
            const struct sweep_shard shard = {k, count};
            int32_t own[TWO_DOZEN], owned = sweep_shard_choose(&shard, &sweep, sweep.order, TWO_DOZEN, own);
            cr_expect(owned == TWO_DOZEN / count || owned == TWO_DOZEN / count + 1, "%d/%d: %d", k, count, owned);
            cr_expect_leq(owned, sweep_shard_most(&shard, TWO_DOZEN));
            for (int i = 0; i < owned; i++) times[own[i]]++;
            for (int i = 1; i < owned; i++) cr_expect_lt(own[i - 1], own[i], "the order of the list");
        }
        for (int i = 0; i < TWO_DOZEN; i++) cr_expect_eq(times[i], 1, "trial %d of %d shards", i, count);
    }
    sweep_free(&sweep);
}

/* By number, every second trial would have the same value of the last key. */
Test(sweep_shards, each_of_two_shards_has_trials_with_each_value)
{
    struct sweep sweep;
    struct status status = {0};
    support_file_write("x.ini", two_dozen, strlen(two_dozen));
    cr_assert(sweep_load(&sweep, "x.ini", NULL, 0, &status), "%s", status.message);
    for (int k = 0; k < 2; k++) {
        int32_t own[TWO_DOZEN];
        const struct sweep_shard shard = {k, 2};
        int32_t owned = sweep_shard_choose(&shard, &sweep, sweep.order, TWO_DOZEN, own), odd = 0;
        for (int i = 0; i < owned; i++) odd += own[i] % 2;
        cr_expect(odd > 2 && odd < 10, "shard %d: %d of %d trials are odd ones", k, (int)odd, (int)owned);
    }
    sweep_free(&sweep);
}

Test(sweep_shards, names)
{
    const char *const wrong[] = {"3", "3/3", "-1/3", "0/0", "a/3", "1/b", "1/3/5", "", "/", "0/1000001", " 0/3"};
    struct sweep_shard shard;
    struct status status = {0};
    cr_assert(sweep_shard_parse("15/16", &shard, &status) && shard.index == 15 && shard.count == 16);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(sweep_shard_parse(wrong[i], &shard, &status), "%s", wrong[i]);
    cr_expect_not(sweep_shard_parse("16/16", &shard, &status));
    cr_expect_str_eq(status.message, "--shard: expected K/N with N from 1 to 1000000 and K from 0 to N-1, found "
                                     "\"16/16\"; the first shard is 0");
    cr_expect(sweep_shard_of_file("results.csv", "results", "csv", &shard) && sweep_shard_is_whole(&shard));
    cr_expect(sweep_shard_of_file("results-15-of-16.csv", "results", "csv", &shard) && shard.index == 15);
    const char *const others[] = {"results-16-of-16.csv", "results-01-of-16.csv", "results-1-of-16.csv.77-1.part",
                                  "results-1-of-16",      "my_results.csv",       "results-1-of-99999999999.csv"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_not(sweep_shard_of_file(others[i], "results", "csv", &shard), "%s", others[i]);
}

/* --- the same as one process --- */

/* One of three shards is killed on the way; then there are four. */
Test(sweep_shards, a_killed_shard_and_another_number_of_them)
{
    const char *setting = "train.max_steps=1500";
    run_sweep(two_dozen, "whole", setting);
    char *expected = sorted_results("whole");
    for (int k = 0; k < 2; k++) run_shard(two_dozen, "sweep", k, 3, setting);
    pid_t child = start_shard("2/3", setting);
    int how;
    while (!has_lines("sweep/results-2-of-3.csv", 4) && waitpid(child, &how, WNOHANG) == 0) usleep(500);
    cr_assert(kill(child, SIGKILL) == 0 && waitpid(child, &how, 0) == child && WIFSIGNALED(how), "ended by itself");
    cr_expect_not(has_lines("sweep/results-2-of-3.csv", 9));
    for (int k = 3; k >= 0; k--) run_shard(two_dozen, "sweep", k, 4, setting);
    join_results("sweep");
    expect_same_results("joined", expected);
    expect_ranked_as(two_dozen, "sweep", setting, "whole");
    free(expected);
}

Test(sweep_shards, the_whole_sweep_runs_what_is_missing)
{
    run_sweep(two_dozen, "whole", NULL);
    char *expected = sorted_results("whole");
    run_shard(two_dozen, "sweep", 1, 3, NULL);
    run_sweep(two_dozen, "sweep", NULL);
    char *own = read_file("sweep", "results.csv");
    cr_expect_eq(count_lines(own), 1 + 16);
    join_results("sweep");
    expect_same_results("joined", expected);
    expect_same_file("sweep", "whole", "ranking.md");
    expect_same_file("sweep", "whole", "best.safetensors");
    expect_same_file("sweep", "whole", "sweep.ini");
    expect_same_file("sweep", "whole", "data.ini");
    free(expected), free(own);
}

#define RUNGS                                                                                                          \
    TINY "optimizer.learning_rate = 1e-7 | 1e-6 | 1e-5 | 1e-4 | 1e-3 | 1e-2 | 0.1 | 0.05 | 1000\n"                     \
         "model.activation = leaky_relu\ntrain.batch_size = 16\nhalving = on\neta = 3\nrungs = 3\n"

static char *printed_by_shard(int index)
{
    struct status status = {0};
    struct run_output output = {fopen("out.txt", "w"), PROGRESS_NONE};
    cr_assert(try_shard(RUNGS, "sweep", index, 3, "train.max_steps=90", &output, &status), "%s", status.message);
    fclose(output.file);
    return support_file_read("out.txt", NULL);
}

static void expect_printed(int index, const char *end)
{
    char *text = printed_by_shard(index), *at = strstr(text, end);
    cr_expect(at && strcmp(at, end) == 0, "\"%s\" does not end with \"%s\"", text, end);
    free(text);
}

Test(sweep_shards, halving)
{
    run_sweep(RUNGS, "whole", "train.max_steps=90");
    char *expected = sorted_results("whole");
    const char *again =
        "shard 0/3 is done; trials without a result: 6 of 9; when the other shards have ended, give the "
        "same command again for rung 2\n";
    expect_printed(0, again);
    expect_printed(0, again);
    expect_printed(1,
                   "rung 1 of 3: shard 1/3 is done; trials without a result: 3 of 9; when the other shards have ended, "
                   "give the same command again for rung 2\n");
    expect_printed(2,
                   "rung 2 of 3: shard 2/3 is done; trials without a result: 2 of 3; when the other shards have ended, "
                   "give the same command again for rung 3\n");
    for (int round = 0; round < 2; round++)
        for (int k = 0; k < 3; k++) free(printed_by_shard(k));
    expect_printed(1, "rung 3 of 3: shard 1/3 is done; trials without a result: 0 of 1; give the same command as one "
                      "process, without --shard, for the ranking\n");
    join_results("sweep");
    expect_same_results("joined", expected);
    expect_ranked_as(RUNGS, "sweep", "train.max_steps=90", "whole");
    free(expected);
}

/* --- rows that several tables have --- */

/* Copies the table of shard 0/3 to that of 0/2, with other seconds, and with another text in one place. */
static void copy_table(const char *from, const char *to)
{
    char *text = read_file("sweep", "results-0-of-3.csv"), *copy, *at;
    size_t size;
    FILE *out = memory_stream(&copy, &size);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        fprintf(out, "%.*s,%s\n", (int)(strrchr(line, ',') - line), line,
                strncmp(line, "trial", 5) ? "9.875" : "seconds");
    memory_stream_close(out, &copy);
    cr_assert((at = strstr(copy, from)), "%s", copy);
    char *changed = memory_format("%.*s%s%s", (int)(at - copy), copy, to, at + strlen(from));
    support_file_write("sweep/results-0-of-2.csv", changed, strlen(changed));
    free(text), free(copy), free(changed);
}

Test(sweep_shards, equal_rows_are_accepted)
{
    run_sweep(two_dozen, "whole", NULL);
    for (int k = 0; k < 3; k++) run_shard(two_dozen, "sweep", k, 3, NULL);
    copy_table(",ok,", ",ok,");
    run_shard(two_dozen, "sweep", 1, 2, NULL);
    expect_ranked_as(two_dozen, "sweep", NULL, "whole");
}

Test(sweep_shards, a_row_that_differs_is_refused)
{
    run_shard(two_dozen, "sweep", 0, 3, NULL);
    char *results = read_file("sweep", "results-0-of-3.csv"), *row = strchr(results, '\n') + 1;
    int trial = atoi(row);
    copy_table(",ok,", ",nan,");
    char *message = memory_format("sweep/results-0-of-3.csv:2: trial %d has another result than in "
                                  "sweep/results-0-of-2.csv:2: status is ok here, nan there; every machine should find "
                                  "the same one",
                                  trial);
    expect_shard_refused(1, 3, message, STATUS_RUNTIME);
    expect_refused(two_dozen, "sweep", NULL, message);
    free(results), free(message);
}

/* Another process may be writing it. */
Test(sweep_shards, a_line_of_another_shard_that_is_not_complete_is_left_alone)
{
    run_sweep(two_dozen, "whole", NULL);
    run_shard(two_dozen, "sweep", 0, 3, NULL);
    char *results = read_file("sweep", "results-0-of-3.csv");
    size_t size = strlen(results) - 20;
    support_file_write("sweep/results-0-of-3.csv", results, size);
    run_shard(two_dozen, "sweep", 1, 3, NULL);
    run_shard(two_dozen, "sweep", 2, 3, NULL);
    char *after = read_file("sweep", "results-0-of-3.csv");
    cr_expect(strlen(after) == size && strncmp(after, results, size) == 0, "%s", after);
    run_shard(two_dozen, "sweep", 0, 3, NULL);
    expect_ranked_as(two_dozen, "sweep", NULL, "whole");
    free(results), free(after);
}

/* --- weights --- */

Test(sweep_shards, shards_leave_the_files_of_others_alone)
{
    const char *const foreign[] = {"sweep/trial_1_rung_1.safetensors", "sweep/trial_1_rung_1-0-of-3.safetensors",
                                   "sweep/best-0-of-3.safetensors", "sweep/best.safetensors"};
    enum { FOREIGN = sizeof foreign / sizeof *foreign };
    cr_assert_eq(mkdir("sweep", 0777), 0);
    support_file_write("sweep/results-1-of-3.csv", "", 0);
    for (int i = 0; i < FOREIGN; i++) support_file_write(foreign[i], "x", 1);
    support_file_write("sweep/trial_1_rung_1-1-of-3.safetensors", "x", 1);
    run_shard(two_dozen, "sweep", 1, 3, NULL);
    for (int i = 0; i < FOREIGN; i++) cr_expect(exists(foreign[i]), "%s", foreign[i]);
    cr_expect_not(exists("sweep/trial_1_rung_1-1-of-3.safetensors"));
    cr_expect(exists("sweep/best-1-of-3.safetensors"));
}

/* A shard was killed after the row of the best trial, before the trial's weights became its best ones. */
Test(sweep_shards, weights_that_a_killed_shard_left)
{
    run_sweep(two_dozen, "whole", NULL);
    for (int k = 0; k < 3; k++) run_shard(two_dozen, "sweep", k, 3, NULL);
    char *ranking = read_file("whole", "ranking.md");
    int trial;
    cr_assert_eq(sscanf(strstr(ranking, "|    1 |"), "| 1 | %d |", &trial), 1);
    for (int k = 0; k < 3; k++) {
        char *table = memory_format("results-%d-of-3.csv", k), *rows = read_file("sweep", table);
        char *row = memory_format("\n%d,", trial), *best = memory_format("sweep/best-%d-of-3.safetensors", k);
        char *file = memory_format("sweep/trial_%d_rung_1-%d-of-3.safetensors", trial, k);
        if (strstr(rows, row)) cr_assert_eq(rename(best, file), 0, "%s", best);
        free(table), free(rows), free(row), free(best), free(file);
    }
    expect_ranked_as(two_dozen, "sweep", NULL, "whole");
    free(ranking);
}

/* --- the machine's failures --- */

static const char started[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 60\nsynthetic_test = 23\nsynthetic_classes = 5\nsynthetic_size = 7\n"
    "validation_size = 17\n[train]\nmax_steps = 10\nbatch_size = 8\n[model]\nhidden = 7\ninit_from = start.safetensors\n"
    "[backend]\ndevice = cpu\n[sweep]\noptimizer.learning_rate = 0.01 | 0.02 | 0.03 | 0.04\n";

static void expect_no_rows(void)
{
    cr_expect_eq(system("test ! -s sweep/results-0-of-1.csv && test ! -s sweep/results.csv"), 0);
}

static void expect_prevented(const char *override, enum status_code code, const char *message)
{
    struct status status = {0};
    cr_assert_not(try_shard(started, "sweep", 0, 1, override, NULL, &status));
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    cr_expect_eq(status.code, code);
    expect_no_rows();
}

/* Trials that another machine could train are not used up. Once the file is there, the same command trains them. */
Test(sweep_shards, failures_of_the_machine_have_no_rows)
{
    const char *three = "3 trials in a row could not be trained on this machine, so it ends here, without results of "
                        "them; the last, trial 3: start.safetensors: cannot open: No such file or directory";
    expect_prevented("sweep.jobs=1", STATUS_USAGE, three);
    expect_prevented("sweep.limit=2", STATUS_RUNTIME,
                     "2 trials could not be trained on this machine and have no result; the same command tries them "
                     "again");
    expect_refused(started, "sweep", "sweep.jobs=1", three);
    run_sweep(TINY "model.hidden = 7\noptimizer.learning_rate = 0.01\ntrain.batch_size = 8\n", "first", NULL);
    size_t size;
    char *weights = support_file_read("first/best.safetensors", &size);
    support_file_write("start.safetensors", weights, size - 100);
    struct status status = {0};
    cr_assert_not(try_shard(started, "sweep", 0, 1, NULL, NULL, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    expect_no_rows();
    support_file_write("start.safetensors", weights, size);
    run_shard(started, "sweep", 0, 1, NULL);
    cr_expect(has_lines("sweep/results-0-of-1.csv", 5));
    free(weights);
}

/* That the weights do not fit is the trial's own failure, on every machine. */
Test(sweep_shards, failures_of_a_trial_have_rows)
{
    run_sweep(TINY "model.hidden = 19\noptimizer.learning_rate = 0.01\ntrain.batch_size = 8\n", "first", NULL);
    cr_assert_eq(rename("first/best.safetensors", "start.safetensors"), 0);
    run_shard(started, "sweep", 0, 1, NULL);
    char *rows = read_file("sweep", "results-0-of-1.csv");
    cr_expect_eq(count_lines(rows), 5);
    cr_expect(strstr(rows, ",failed,") && !strstr(rows, ",ok,"), "%s", rows);
    free(rows);
}

/* --- who may run --- */

/* Returns a descriptor that holds a lock on the file, as another process would. */
static FILE *hold(const char *path)
{
    FILE *file = fopen(path, "a");
    cr_assert(file && flock(fileno(file), LOCK_EX | LOCK_NB) == 0, "%s", path);
    return file;
}

Test(sweep_shards, a_shard_runs_once_and_not_beside_the_whole_sweep)
{
    run_shard(two_dozen, "sweep", 0, 3, NULL);
    FILE *held = hold("sweep/results-1-of-3.csv");
    expect_shard_refused(1, 3, "sweep/results-1-of-3.csv: another process is appending its results to this file",
                         STATUS_RUNTIME);
    run_shard(two_dozen, "sweep", 2, 3, NULL);
    expect_refused(two_dozen, "sweep", NULL,
                   "sweep/results-1-of-3.csv: a shard of the sweep is running in this folder");
    fclose(held);
    held = hold("sweep/results.csv");
    expect_shard_refused(1, 3, "sweep/results.csv: the whole sweep, without shards, is running in this folder",
                         STATUS_RUNTIME);
    fclose(held);
    run_shard(two_dozen, "sweep", 1, 3, NULL);
}

Test(sweep_shards, another_sweep_in_the_folder)
{
    run_shard(two_dozen, "sweep", 0, 3, NULL);
    struct status status = {0};
    cr_assert_not(try_shard(two_dozen, "sweep", 1, 3, "train.max_steps=11", NULL, &status));
    cr_expect_str_eq(status.message, "sweep/sweep.ini: the folder holds the results of another sweep: train.max_steps "
                                     "is \"10\" there, \"11\" here; choose another folder with --out");
    cr_assert_eq(unlink("sweep/sweep.ini"), 0);
    expect_shard_refused(1, 3,
                         "sweep/results-0-of-3.csv: no sweep.ini beside it says which sweep it belongs to; choose "
                         "another folder with --out",
                         STATUS_USAGE);
}

/* The config was edited after the first job of an array had begun, and before it had a result. */
Test(sweep_shards, another_sweep_came_before_the_first_result)
{
    support_file_write("x.ini", two_dozen, strlen(two_dozen));
    pid_t child = start_shard("0/3", "train.max_steps=20000");
    while (!exists("sweep/data.ini")) usleep(500);
    run_sweep(two_dozen, "other", NULL);
    cr_assert_eq(rename("other/sweep.ini", "sweep/sweep.ini"), 0);
    int how;
    cr_assert(waitpid(child, &how, 0) == child && WIFEXITED(how));
    char *out = support_file_read("out.txt", NULL);
    cr_expect_eq(WEXITSTATUS(how), STATUS_USAGE, "%s", out);
    cr_expect(strstr(out, "train.max_steps is \"10\" there, \"20000\" here"), "%s", out);
    cr_expect_not(has_lines("sweep/results-0-of-3.csv", 1));
    free(out);
}

/* --- the command line --- */

static int trainer(const char *environment, const char *arguments)
{
    char *command = memory_format("%s \"%s\" %s >out.txt 2>&1", environment, TRAINER_PROGRAM, arguments);
    int how = system(command);
    free(command);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void expect_starts(const char *start)
{
    char *text = support_file_read("out.txt", NULL);
    cr_expect_eq(strncmp(text, start, strlen(start)), 0, "\"%s\" does not start with \"%s\"", text, start);
    free(text);
}

Test(sweep_shards, the_launcher_or_the_option_says_which_shard)
{
    const char *ranks = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=3";
    support_file_write("x.ini", two_dozen, strlen(two_dozen));
    cr_expect_eq(trainer(ranks, "sweep x.ini --out sweep --plain"), 0);
    expect_starts(
        "shard 1/3, by OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE\nx: shard 1/3, 8 trials, 0 of them done; ");
    cr_expect(has_lines("sweep/results-1-of-3.csv", 9) && !exists("sweep/results.csv"));
    cr_expect_eq(trainer(ranks, "sweep x.ini --out sweep --shard 0/4"), 0);
    expect_starts("x: shard 0/4, 6 trials, ");
    cr_expect(exists("sweep/results-0-of-4.csv") && !exists("sweep/ranking.md"));
    cr_expect_eq(trainer("SLURM_PROCID=0 SLURM_NTASKS=3", "sweep x.ini --out sweep --quiet"), 0);
    char *text = support_file_read("out.txt", NULL);
    cr_expect(exists("sweep/ranking.md") && !strstr(text, "shard"), "%s", text);
    cr_expect_eq(trainer("", "sweep x.ini --out sweep --shard 4/4"), 2);
    free(text);
}
