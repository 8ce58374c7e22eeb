/* Tests sweeps that end too early and go on, and folders that they refuse. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep_support.h"
#include "util/csv_field.h"

TestSuite(sweep_continue, .init = enter, .fini = leave_folder);

/* --- going on --- */

static void expect_continued(const char *results, size_t size, const char *expected)
{
    support_file_write("sweep/results.csv", results, size);
    run_sweep(config, "sweep", NULL);
    expect_same_results("sweep", expected);
}

Test(sweep_continue, goes_on_after_a_row_cut_off_at_any_byte)
{
    run_sweep(config, "sweep", NULL);
    char *expected = sorted_results("sweep"), *results = read_file("sweep", "results.csv");
    size_t size = strlen(results), last = size - 1;
    while (results[last - 1] != '\n') last--;
    cr_assert_gt(size - last, 50);
    for (size_t cut = last; cut <= size; cut++) expect_continued(results, cut, expected);
    free(expected), free(results);
}

Test(sweep_continue, goes_on_after_a_header_cut_off_at_any_byte)
{
    run_sweep(config, "sweep", NULL);
    char *expected = sorted_results("sweep"), *results = read_file("sweep", "results.csv");
    size_t header = strcspn(results, "\n") + 1;
    for (size_t cut = 0; cut <= header; cut += cut < header - 3 ? 31 : 1) expect_continued(results, cut, expected);
    free(expected), free(results);
}

/* Returns the table as spreadsheets save it: with a UTF-8 mark, with lines that end in CR LF, with every field in
 * quotes, with numbers of another form, and without a newline at the end. */
static char *saved_by_spreadsheet(const char *results)
{
    char *text, *copy = memory_copy_string(results), *rest = copy;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    fputs("\xEF\xBB\xBF", out);
    for (char *line; *rest && (line = strsep(&rest, "\n"));) {
        const char *end = "";
        for (char *field; (field = csv_field_next(&line)); end = ",")
            fprintf(out, "%s\"%s\"", end, strcmp(field, "0.01") == 0 ? "1.00E-02" : field);
        if (*rest) fputs("\r\n", out);
    }
    memory_stream_close(out, &text);
    free(copy);
    return text;
}

Test(sweep_continue, goes_on_after_a_spreadsheet_saved_the_table)
{
    run_sweep(config, "whole", NULL);
    char *expected = sorted_results("whole");
    run_sweep(config, "sweep", "sweep.limit=5");
    char *some = read_file("sweep", "results.csv"), *saved = saved_by_spreadsheet(some);
    cr_assert(strstr(saved, "\"1.00E-02\",\"sgd\"") && strstr(saved, "\r\n"), "%s", saved);
    support_file_write("sweep/results.csv", saved, strlen(saved));
    run_sweep(config, "sweep", NULL);
    char *all = read_file("sweep", "results.csv");
    cr_expect_eq(strncmp(all, some, strlen(some)), 0, "%s", all);
    expect_same_results("sweep", expected);
    free(expected), free(some), free(saved), free(all);
}

Test(sweep_continue, a_finished_sweep_trains_nothing)
{
    run_sweep(config, "sweep", NULL);
    char *before = read_file("sweep", "results.csv");
    cr_assert_eq(unlink("sweep/ranking.md"), 0);
    run_sweep(config, "sweep", NULL);
    char *after = read_file("sweep", "results.csv"), *ranking = read_file("sweep", "ranking.md");
    cr_expect_str_eq(before, after);
    free(before), free(after), free(ranking);
}

Test(sweep_continue, a_larger_limit_adds_trials)
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

/* Trials tie: 17 samples have 18 accuracies. The figures of a trial that was just trained have more digits than those of
 * one that was read, and trials that tie rank by their numbers. */
Test(sweep_continue, a_result_ranks_the_same_after_it_was_read)
{
    run_sweep(config, "sweep", NULL);
    char *results = read_file("sweep", "results.csv"), *expected = read_file("sweep", "ranking.md");
    for (char *row = strchr(results, '\n') + 1, *next; *row; row = next) {
        next = strchr(row, '\n') + 1;
        char *others = memory_format("%.*s%s", (int)(row - results), results, next);
        support_file_write("sweep/results.csv", others, strlen(others));
        run_sweep(config, "sweep", NULL);
        char *ranking = read_file("sweep", "ranking.md");
        cr_expect_str_eq(ranking, expected, "%s\nnot\n%s", ranking, expected);
        free(others), free(ranking);
    }
    free(results), free(expected);
}

/* --- kill -9 --- */

/* Becomes the program, on x.ini, with its output in a file. Returns only where that fails. */
static int exec_program(const char *out)
{
    if (!freopen(out, "w", stdout) || !freopen(out, "w", stderr)) return 99;
    execl(TRAINER_PROGRAM, "trainer", "sweep", "x.ini", "--out", "sweep", (char *)NULL);
    return 99;
}

static pid_t start_program(const char *out)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) _exit(exec_program(out));
    return child;
}

/* Waits until the file has that many lines or the child has ended; returns true where the child still runs. */
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

/* The sweep is killed after every second trial, again and again. */
Test(sweep_continue, killed_sweeps_go_on_where_they_were)
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

/* --- what is refused --- */

Test(sweep_continue, the_folder_of_another_sweep)
{
    const char start[] = "sweep/sweep.ini: the folder holds the results of another sweep: ";
    const char end[] = "; choose another folder with --out";
    const char *const cases[][2] = {
        {"train.max_steps=11", "train.max_steps is \"10\" there, \"11\" here"},
        {"sweep.train.batch_size=8|12", "sweep.train.batch_size is \"8 | 11\" there, \"8|12\" here"},
        {"sweep.rank_by=test", "sweep.rank_by is \"validation\" there, \"test\" here"},
        {"experiment.seed=43", "experiment.seed is \"42\" there, \"43\" here"},
        {"sweep.model.activation=relu",
         "the list of keys in [sweep] is \"model.hidden, train.batch_size, optimizer.learning_rate, optimizer.name\" "
         "there, \"model.hidden, train.batch_size, optimizer.learning_rate, optimizer.name, model.activation\" here"},
        {"sweep.halving=on", "sweep.halving is \"off\" there, \"on\" here"},
    };
    run_sweep(config, "sweep", NULL);
    char *before = read_file("sweep", "results.csv");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *message = memory_format("%s%s%s", start, cases[i][1], end);
        expect_refused(config, "sweep", cases[i][0], message);
        free(message);
    }
    char *after = read_file("sweep", "results.csv");
    cr_expect_str_eq(before, after);
    run_sweep(config, "sweep", "experiment.name=renamed");
    free(before), free(after);
}

Test(sweep_continue, results_that_nothing_explains)
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

Test(sweep_continue, a_second_sweep_in_the_same_folder)
{
    run_sweep(config, "sweep", NULL);
    FILE *folder = fopen("sweep", "r");
    cr_assert(folder && flock(fileno(folder), LOCK_EX) == 0);
    expect_refused(config, "sweep", NULL, "sweep: another sweep is running in this folder");
    fclose(folder);
    run_sweep(config, "sweep", NULL);
}

Test(sweep_continue, a_batch_larger_than_the_train_set_is_found_before_the_first_trial)
{
    expect_refused(TINY "train.batch_size = 8 | 44\n", "sweep", NULL,
                   "x.ini:17: train.batch_size: expected at most the 43 samples of the training set, found 44");
    char *results = read_file("sweep", "results.csv");
    cr_expect_str_empty(results);
    run_sweep(config, "sweep", NULL); /* a folder without results is free */
    free(results);
}

Test(sweep_continue, a_full_disk_is_an_error)
{
    cr_assert(mkdir("sweep", 0777) == 0 && symlink("/dev/full", "sweep/results.csv") == 0);
    expect_refused(config, "sweep", NULL, "sweep/results.csv: cannot write: No space left on device");
}

/* Runs the program where results.csv can grow by no more than some bytes; returns its exit code. */
static int run_program_with_room(size_t room)
{
    char *results = read_file("sweep", "results.csv");
    struct rlimit unlimited, little;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    little = (struct rlimit){strlen(results) + room, unlimited.rlim_max};
    free(results);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &little) != 0) _exit(99);
        _exit(exec_program("/dev/null"));
    }
    int how;
    cr_assert_eq(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

/* The part of a row that did not fit must stay the last text: no result of another thread may follow it. */
Test(sweep_continue, a_disk_that_fills_up_within_a_row_loses_nothing)
{
    run_sweep(config, "whole", NULL);
    char *expected = sorted_results("whole");
    run_sweep(config, "sweep", "sweep.limit=1");
    for (size_t room = 1; room < 400; room += 57) cr_expect_eq(run_program_with_room(room), 1, "room for %zu", room);
    run_sweep(config, "sweep", NULL);
    expect_same_results("sweep", expected);
    free(expected);
}

/* --- the data of the results --- */

static void change_file(const char *name, const char *from, const char *to)
{
    char *text = read_file("sweep", name), *at = strstr(text, from), *path = memory_format("sweep/%s", name);
    cr_assert_not_null(at, "%s: no %s", name, from);
    char *changed = memory_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    support_file_write(path, changed, strlen(changed));
    free(text), free(path), free(changed);
}

static void remove_last_row(void)
{
    char *results = read_file("sweep", "results.csv");
    size_t size = strlen(results) - 1;
    while (results[size - 1] != '\n') size--;
    support_file_write("sweep/results.csv", results, size);
    free(results);
}

Test(sweep_continue, another_data_set_is_refused)
{
    run_sweep(config, "sweep", NULL);
    remove_last_row();
    char *data = read_file("sweep", "data.ini"), *count = strstr(data, "data_train = ") + strlen("data_train = ");
    char *images = strchr(count, ' ') + 1, *labels = strchr(images, ' ') + 1;
    char *digits = memory_format("%.16s", labels),
         *others = memory_format("%c%s", *digits == '0' ? '1' : '0', digits + 1);
    change_file("data.ini", digits, others);
    expect_refused(
        config, "sweep", NULL,
        "sweep/data.ini: the data set is another one than that of the results in this folder: the labels of the "
        "training set are other ones, the images are the same; choose another folder with --out");
    change_file("data.ini", others, digits);
    run_sweep(config, "sweep", NULL);
    free(data), free(digits), free(others);
}

Test(sweep_continue, results_of_an_older_version_are_told_by_the_order_of_their_first_epoch)
{
    run_sweep(config, "sweep", NULL);
    remove_last_row();
    change_file("sweep.ini", "first_epoch = shuffled\n", "");
    expect_refused(
        config, "sweep", NULL,
        "sweep/sweep.ini: the folder holds the results of another sweep: data.first_epoch is \"file\" there, "
        "\"shuffled\" here; choose another folder with --out");
}
