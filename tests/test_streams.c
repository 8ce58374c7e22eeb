/* Tests the standard streams of the program: closed ones, full ones, and those without a reader. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run_support.h"
#include "session_support.h"
#include "util/streams.h"

TestSuite(streams, .init = enter_folder, .fini = leave_folder);

static const char config[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"
    "synthetic_size = 7\n[model]\nhidden = 8\n[train]\nmax_steps = 30\nbatch_size = 16\neval_freq = 3\n"
    "[backend]\ndevice = cpu\nthreads = 1\n";
static const char search[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 500\nsynthetic_test = 23\nsynthetic_size = 16\n"
    "[train]\nmax_steps = 400\nbatch_size = 32\n[backend]\ndevice = cpu\n"
    "[sweep]\nmodel.hidden = 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10\nrank_by = test\njobs = 1\n";

/* Runs a command of the shell, in which $TRAINER is the program; returns its exit code. */
static int shell(const char *command)
{
    setenv("TRAINER", TRAINER_PROGRAM, 1);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        execl("/bin/bash", "bash", "-c", command, (char *)NULL);
        _exit(99);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_configs(void)
{
    support_file_write("x.ini", config, strlen(config));
    support_file_write("s.ini", search, strlen(search));
}

static void expect_file(const char *path, const char *expected)
{
    char *text = support_file_read(path, NULL);
    cr_assert(text, "%s", path);
    cr_expect_str_eq(text, expected, "%s: \"%s\", not \"%s\"", path, text, expected);
    free(text);
}

Test(streams, missing_ones_are_opened)
{
    pid_t child = fork();
    if (child == 0) {
        close(0), close(1), close(2);
        streams_open_missing();
        int next = open("/dev/null", O_RDONLY);
        _exit(next > 2 && write(1, "x", 1) == 1 && write(2, "x", 1) == 1 && read(0, &next, 1) == 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* The output must not get into a file that the program opens. */
Test(streams, a_run_without_them_is_the_same_run)
{
    write_configs();
    cr_expect_eq(shell("\"$TRAINER\" x.ini --out whole >/dev/null 2>&1"), 0);
    cr_expect_eq(shell("\"$TRAINER\" x.ini --out none <&- >&- 2>&-"), 0);
    cr_expect_eq(shell("\"$TRAINER\" x.ini --out no_output >&-"), 0);
    cr_expect_eq(shell("\"$TRAINER\" x.ini --out no_errors 2>&- >/dev/null"), 0);
    cr_expect(same_metrics("whole", "none") && same_metrics("whole", "no_output") &&
              same_metrics("whole", "no_errors"));
    cr_expect_eq(shell("\"$TRAINER\" sweep s.ini --out a >/dev/null 2>&1"), 0);
    cr_expect_eq(shell("\"$TRAINER\" sweep s.ini --out b <&- >&- 2>&-"), 0);
    cr_expect_eq(shell("cmp <(cut -d, -f1-10 a/results.csv) <(cut -d, -f1-10 b/results.csv)"), 0);
}

/* The failing print comes long before the end. */
Test(streams, a_full_disk_under_the_output_is_named)
{
    const char expected[] = "trainer: cannot write to the standard output: No space left on device\n";
    write_configs();
    cr_expect_eq(shell("\"$TRAINER\" x.ini --out a >/dev/full 2>err"), 1);
    cr_expect_eq(shell("tail -1 err >last"), 0);
    expect_file("last", expected);
    cr_expect(file_exists("a/checkpoints/step_00000030.safetensors"), "the run itself is whole");
    cr_expect_eq(shell("\"$TRAINER\" config --defaults >/dev/full 2>last"), 1);
    expect_file("last", expected);
    cr_expect_eq(shell("\"$TRAINER\" config x.ini >/dev/full 2>last"), 1);
    expect_file("last", expected);
}

/* The failing print may leave nothing to flush: stdio drops the rest of a text that did not fit into its buffer. */
Test(streams, the_cause_is_found_where_nothing_is_left_to_flush)
{
    char buffer[16];
    FILE *full = fopen("/dev/full", "w");
    cr_assert(full && setvbuf(full, buffer, _IOFBF, sizeof buffer) == 0);
    fputs("ten bytes,", full), fputs("then twenty, dropped", full);
    cr_expect_not(streams_flush(full));
    cr_expect_eq(streams_error(), ENOSPC, "%d", streams_error());
    fclose(full);
}

/* `trainer CONFIG | head` does this: the run saves its state. */
Test(streams, a_run_that_nothing_listens_to_is_saved)
{
    write_configs();
    cr_expect_eq(shell("mkfifo pipe; (read -r line <pipe) &"
                       "\"$TRAINER\" x.ini --set train.max_steps=1000000 --set model.hidden=64 --plain --out a 2>err "
                       ">pipe; code=$?; wait; exit $code"),
                 1);
    char *text = support_file_read("err", NULL);
    struct checkpoint checkpoint;
    struct status status = {0};
    cr_assert(checkpoint_open(&checkpoint, "a", CHECKPOINT_LAST, &status), "%s", status.message);
    char *expected = memory_format("trainer: stopped, since nothing reads the standard output any more, after step %d, "
                                   "which is saved; go on with: trainer resume a\n",
                                   (int)checkpoint.step);
    cr_expect_str_eq(text, expected, "%s", text);
    cr_expect_lt(checkpoint.step, 1000000);
    checkpoint_free(&checkpoint);
    free(expected), free(text);
}

Test(streams, a_sweep_that_nothing_listens_to_ends_and_goes_on)
{
    write_configs();
    cr_expect_eq(shell("mkfifo pipe; (read -r line <pipe) & \"$TRAINER\" sweep s.ini --plain --out a 2>err >pipe; "
                       "code=$?; wait; exit $code"),
                 1);
    expect_file("err", "trainer: stopped, since nothing reads the standard output any more; the results so far are in "
                       "a/results.csv, and the same command goes on with the sweep\n");
    cr_expect_eq(shell("\"$TRAINER\" sweep s.ini --out a >/dev/null 2>&1 && test $(wc -l <a/results.csv) = 9"), 0);
}

/* A command that only prints ends like other programs: by the signal, without a word. */
Test(streams, a_list_that_nothing_reads_ends_quietly)
{
    cr_expect_eq(shell("set -o pipefail; \"$TRAINER\" config --defaults 2>err | true; test ! -s err"), 0);
}
