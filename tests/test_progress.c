/* Tests the text that a run shows on a terminal; a pseudo-terminal of a given width stands for one. */
#define _GNU_SOURCE /* posix_openpt */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "report/progress.h"
#include "support.h"
#include "util/check.h"
#include "util/memory.h"

enum { SCREEN_SIZE = 1 << 16 };

struct terminal {
    int master;
    FILE *out;
    char text[SCREEN_SIZE]; /* all text since the start */
    size_t used;
};

static void terminal_open(struct terminal *terminal, unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    terminal->used = 0;
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(terminal->master >= 0 && grantpt(terminal->master) == 0 && unlockpt(terminal->master) == 0);
    CHECK(ioctl(terminal->master, TIOCSWINSZ, &size) == 0);
    /* The terminal must not control this process: closing it would end the test. */
    int screen = open(ptsname(terminal->master), O_RDWR | O_NOCTTY);
    CHECK(screen >= 0);
    terminal->out = fdopen(screen, "r+");
    CHECK(terminal->out != NULL);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C", 1);
}

/* Moves the new output into text, because the terminal holds only a few kilobytes. */
static void terminal_read(struct terminal *terminal)
{
    struct pollfd ready = {.fd = terminal->master, .events = POLLIN};
    fflush(terminal->out);
    while (poll(&ready, 1, 0) == 1) {
        ssize_t got = read(terminal->master, terminal->text + terminal->used, SCREEN_SIZE - terminal->used - 1);
        CHECK(got > 0);
        terminal->used += (size_t)got;
    }
    terminal->text[terminal->used] = '\0';
}

static void terminal_resize(struct terminal *terminal, unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    CHECK(ioctl(terminal->master, TIOCSWINSZ, &size) == 0);
}

static void start(struct progress *progress, FILE *out, enum progress_mode mode, int64_t max_steps)
{
    struct run_output output = {out, mode};
    progress_start(progress, &output, 0, max_steps);
}

static void terminal_close(struct terminal *terminal)
{
    fclose(terminal->out);
    close(terminal->master);
}

/* Returns the width of the widest line that was on the screen, and the text that stays in the last line. */
static int widest(const char *text, char last[256])
{
    int column = 0, most = 0;
    last[0] = '\0';
    for (const char *c = text; *c; c++) {
        if (*c == '\r' || *c == '\n') {
            column = 0;
            if (*c == '\n') last[0] = '\0';
        } else if (strncmp(c, "\x1b[K", 3) == 0) {
            last[column] = '\0';
            c += 2;
        } else {
            CHECK(*c >= ' ' && *c <= '~' && column < 255);
            last[column++] = *c;
            if (column > most) most = column;
        }
    }
    return most;
}

Test(progress, line_fits_every_width)
{
    const unsigned short widths[] = {1, 2, 10, 40, 70, 80, 81, 120, 239, 241, 400};
    for (int i = 0; i < 11; i++) {
        struct terminal terminal;
        struct progress progress;
        char last[256];
        terminal_open(&terminal, widths[i]);
        start(&progress, terminal.out, PROGRESS_BAR, 1000000000);
        cr_assert(progress.terminal);
        for (int64_t step = 0; step <= 1000000000; step += 250000000) {
            progress_training(&progress, step, step ? 1e300 : NAN, 0.5, 1e12);
            progress_evaluating(&progress, "train set", step, 1000000000);
            terminal_read(&terminal);
        }
        int width = widest(terminal.text, last);
        cr_assert(width < widths[i], "%d of %d columns", width, widths[i]);
        terminal_close(&terminal);
    }
}

Test(progress, line_shows_the_figures_and_leaves_nothing_behind)
{
    struct terminal terminal;
    struct progress progress;
    char last[256];
    struct metrics_row row = {
        .step = 300, .train = {1.25, 0.5}, .validation = EVALUATION_NONE, .test = {1.5, 0.4375}, .elapsed_seconds = 61};
    terminal_open(&terminal, 100);
    start(&progress, terminal.out, PROGRESS_BAR, 1000);
    progress_training(&progress, 250, 1.2345, 0.625, 12345);
    terminal_read(&terminal);
    cr_assert(strstr(terminal.text, "250/1000  loss 1.2345  accuracy 62.5%  12,345 images/s"), "%s", terminal.text);
    cr_assert(strstr(terminal.text, "[=======                        ] "), "%s", terminal.text);
    progress_evaluating(&progress, "test set", 10, 20);
    progress_row(&progress, &(struct run_result){.row_count = 1, .best = row, .final = row});
    terminal_read(&terminal);
    widest(terminal.text, last);
    cr_assert_str_eq(last, "");
    cr_assert(strstr(terminal.text, "\r\x1b[Kstep    300  train loss 1.2500  accuracy  50.00%  test loss 1.5000  "
                                    "accuracy  43.75%  1:01\r\n"),
              "%s", terminal.text);
    terminal_close(&terminal);
}

Test(progress, refreshes_at_most_ten_times_per_second)
{
    struct terminal terminal;
    struct progress progress;
    terminal_open(&terminal, 80);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    cr_assert_not(progress_due(&progress));
    progress.refreshed -= 0.2;
    cr_assert(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    cr_assert_not(progress_due(&progress));
    terminal_close(&terminal);
}

Test(progress, dumb_terminals_and_files_get_plain_lines)
{
    struct terminal terminal;
    struct progress progress;
    struct metrics_row row = {.step = 1, .validation = EVALUATION_NONE};
    terminal_open(&terminal, 80);
    setenv("TERM", "dumb", 1);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    progress.refreshed -= 1;
    cr_assert_not(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    progress_evaluating(&progress, "train set", 1, 2);
    progress_clear(&progress);
    terminal_read(&terminal);
    cr_assert_eq(terminal.used, 0);
    progress_row(&progress, &(struct run_result){.row_count = 1, .best = row, .final = row});
    terminal_read(&terminal);
    cr_assert_eq(strncmp(terminal.text, "step      1 ", 12), 0);
    cr_assert_null(strchr(terminal.text, '\x1b'));
    terminal_close(&terminal);
}

static void expect_plain(enum progress_mode mode, const char *expected)
{
    struct terminal terminal;
    struct progress progress;
    struct metrics_row row = {.step = 1, .validation = EVALUATION_NONE};
    terminal_open(&terminal, 80);
    unsetenv("NO_COLOR");
    setenv("LC_ALL", "en_US.UTF-8", 1);
    start(&progress, terminal.out, mode, 10);
    progress.refreshed -= 1;
    cr_assert_not(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    progress_evaluating(&progress, "train set", 1, 2);
    progress_row(&progress, &(struct run_result){.row_count = 1, .best = row, .final = row});
    progress_close(&progress);
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, expected);
    terminal_close(&terminal);
}

Test(progress, plain_and_none_write_no_escapes_on_a_terminal)
{
    expect_plain(PROGRESS_PLAIN,
                 "step      1  train loss 0.0000  accuracy   0.00%  test loss 0.0000  accuracy   0.00%  0:00\r\n");
    expect_plain(PROGRESS_NONE, "");
}

/* --- what fits --- */

/* Expects the line at a width, without the text before it. */
static void expect_line(unsigned short columns, const char *expected)
{
    struct terminal terminal;
    struct progress progress;
    terminal_open(&terminal, columns);
    start(&progress, terminal.out, PROGRESS_BAR, 1000);
    strcpy(progress.usage.cpu_text, "CPU 187%");
    progress.usage.wall += 1e6; /* prevents a new measurement */
    progress_training(&progress, 1000, 1.2345, 0.625, 12345);
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, expected, "%d columns: \"%s\", not \"%s\"", columns, terminal.text, expected);
    terminal_close(&terminal);
}

Test(progress, narrow_lines_leave_out_what_matters_less)
{
    expect_line(90,
                "\r[==========] 1000/1000  loss 1.2345  accuracy 62.5%  12,345 images/s  CPU 187%  0:00 left\x1b[K");
    expect_line(89, "\r[===================] 1000/1000  loss 1.2345  accuracy 62.5%  12,345 images/s  0:00 left\x1b[K");
    expect_line(70, "\r1000/1000  loss 1.2345  accuracy 62.5%  12,345 images/s  0:00 left\x1b[K");
    expect_line(63, "\r[==========] 1000/1000  loss 1.2345  accuracy 62.5%  0:00 left\x1b[K");
    expect_line(38, "\r[============] 1000/1000  loss 1.2345\x1b[K");
    expect_line(10, "\r1000/1000\x1b[K");
}

Test(progress, a_narrower_window_has_all_rows_of_the_broken_line_erased)
{
    struct terminal terminal;
    struct progress progress;
    terminal_open(&terminal, 80);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    progress_show(&progress, 0.5, "text"); /* a bar of 40 columns: 47 columns */
    terminal_read(&terminal);
    terminal.used = 0;
    terminal_resize(&terminal, 20);
    progress_show(&progress, 0.5, "text");
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, "\r\x1b[2A\x1b[J[======      ] text\x1b[K");
    terminal.used = 0;
    terminal_resize(&terminal, 200);
    progress_clear(&progress);
    progress_clear(&progress);
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, "\r\x1b[K");
    terminal_close(&terminal);
}

Test(progress, colours_and_line_drawing_where_they_are_wanted)
{
    struct terminal terminal;
    struct progress progress;
    struct metrics_row row = {.step = 1, .validation = EVALUATION_NONE, .test = {1, 0.5}};
    terminal_open(&terminal, 18);
    unsetenv("NO_COLOR");
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    progress_show(&progress, 0.25, "text");
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, "\r\x1b[32m━━━\x1b[0;2m─────────\x1b[0m text\x1b[K");
    terminal.used = 0;
    struct run_result result = {0};
    for (int i = 0; i < 2; i++) { /* the second one is not better than the best */
        run_result_add(&result, &row);
        progress_row(&progress, &result);
    }
    terminal_read(&terminal);
    cr_assert_not_null(strstr(terminal.text, "test 1.0000  \x1b[1;32m 50.00%\x1b[0m  0:00\r\n"));
    cr_assert_not_null(strstr(terminal.text, "test 1.0000   50.00%  0:00\r\n"));
    setenv("NO_COLOR", "", 1); /* empty counts as not set */
    setenv("LC_ALL", "", 1);
    setenv("LC_CTYPE", "C", 1);
    setenv("LANG", "C.UTF-8", 1);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    cr_assert(progress.colour && !progress.unicode);
    terminal_close(&terminal);
}

Test(progress, rows_of_a_narrow_terminal_have_fewer_words)
{
    struct terminal terminal;
    struct progress progress;
    struct metrics_row row = {
        .step = 300, .train = {1.25, 0.5}, .validation = EVALUATION_NONE, .test = {1.5, 0.4375}, .elapsed_seconds = 61};
    terminal_open(&terminal, 80);
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    progress_row(&progress, &(struct run_result){.row_count = 1, .best = row, .final = row});
    terminal_read(&terminal);
    cr_assert_str_eq(terminal.text, "step    300  train 1.2500   50.00%  test 1.5000   43.75%  1:01\r\n");
    terminal_close(&terminal);
}

/* Expects the row and the summary of a run with these figures, on a terminal of that width. */
static void expect_sets(unsigned short columns, const struct metrics_row *row, const char *expected, const char *best)
{
    struct terminal terminal;
    struct progress progress;
    struct run_result result = {.best_by = BEST_BY_VALIDATION};
    run_result_add(&result, row);
    terminal_open(&terminal, columns);
    unsetenv("NO_COLOR");
    start(&progress, terminal.out, PROGRESS_BAR, 10);
    progress_row(&progress, &result);
    progress_finish(&progress, &result, "run");
    terminal_read(&terminal);
    cr_expect_not_null(strstr(terminal.text, expected), "%s", terminal.text);
    cr_expect_not_null(strstr(terminal.text, best), "%s", terminal.text);
    terminal_close(&terminal);
}

Test(progress, rows_show_every_set_that_there_is)
{
    const struct metrics_row three = {.step = 3, .train = {1, 0.5}, .validation = {2, 0.25}, .test = {3, 0.125}};
    const struct metrics_row two = {.step = 3, .train = {1, 0.5}, .validation = {2, 0.25}, .test = EVALUATION_NONE};
    expect_sets(128, &three,
                "step      3  train loss 1.0000  accuracy  50.00%  val loss 2.0000  accuracy \x1b[1;32m 25.00%\x1b[0m  "
                "test loss 3.0000  accuracy  12.50%  0:00\r\n",
                "  by validation accuracy\r\nfinal ");
    expect_sets(
        127, &three,
        "step      3  train 1.0000   50.00%  val 2.0000  \x1b[1;32m 25.00%\x1b[0m  test 3.0000   12.50%  0:00\r\n",
        "best   step      3  train 1.0000   50.00%  val ");
    expect_sets(92, &two,
                "step      3  train loss 1.0000  accuracy  50.00%  val loss 2.0000  accuracy \x1b[1;32m 25.00%\x1b[0m  "
                "0:00\r\n",
                "accuracy \x1b[1;32m 25.00%\x1b[0m  by validation accuracy\r\n");
}

/* --- time left --- */

Test(progress, time_left_counts_from_where_the_run_went_on)
{
    struct terminal terminal;
    struct progress progress;
    struct run_output output;
    terminal_open(&terminal, 100);
    output = (struct run_output){terminal.out, PROGRESS_BAR};
    progress_start(&progress, &output, 900, 1000);
    progress.started -= 60;
    progress_training(&progress, 950, 1, 1, 1);
    terminal_read(&terminal);
    cr_assert_not_null(strstr(terminal.text, "  1:00 left"), "%s", terminal.text);
    terminal_close(&terminal);
}

/* --- the end --- */

Test(progress, the_summary_names_the_files_that_are_there)
{
    struct terminal terminal;
    struct progress progress;
    struct metrics_row row = {
        .step = 7, .train = {1.5, 0.25}, .validation = EVALUATION_NONE, .test = {2.5, 0.125}, .elapsed_seconds = 61.2};
    struct run_result result = {.row_count = 1, .best = row, .final = row, .images = 50000, .train_seconds = 10};
    char *folder = support_folder(), *csv = support_path(folder, "metrics.csv");
    support_file_write(csv, "", 0);
    terminal_open(&terminal, 80);
    start(&progress, terminal.out, PROGRESS_PLAIN, 10);
    progress_finish(&progress, &result, folder);
    terminal_read(&terminal);
    char *expected = memory_format(
        "\r\nbest   step      7  train loss 1.5000  accuracy  25.00%%  test loss 2.5000  accuracy  12.50%%\r\n"
        "final  step      7  train loss 1.5000  accuracy  25.00%%  test loss 2.5000  accuracy  12.50%%\r\n"
        "time   1:01 in all, 10.0 s of it training: 5,000 images/s\r\n"
        "run    %s\r\n       metrics.csv    every evaluation\r\n",
        folder);
    cr_assert_str_eq(terminal.text, expected, "%s", terminal.text);
    free(expected);
    free(csv);
    support_folder_remove(folder);
    terminal_close(&terminal);
}

Test(progress, quiet_prints_nothing)
{
    struct progress progress;
    struct metrics_row row = {.step = 1, .validation = EVALUATION_NONE};
    struct run_result result = {.row_count = 1, .best = row, .final = row};
    progress_start(&progress, NULL, 0, 10);
    cr_assert_not(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    progress_row(&progress, &result);
    progress_finish(&progress, &result, "folder");
    progress_clear(&progress);
}

Test(progress, best_is_the_first_of_the_highest)
{
    struct run_result result = {0};
    const double accuracies[] = {0.25, 0.5, 0.5, 0.375};
    for (int i = 0; i < 4; i++) {
        struct metrics_row row = {.step = i, .test = {1, accuracies[i]}};
        run_result_add(&result, &row);
    }
    cr_assert(result.best.step == 1 && result.final.step == 3 && result.row_count == 4);
    cr_assert_eq(result.since_best, 2);
}

/* Returns the result of rows whose validation accuracy is highest at step 1 and whose test accuracy is highest at step
 * 2. */
static struct run_result result_by(enum best_by by)
{
    struct run_result result = {.best_by = by};
    const double validation[] = {0.25, 0.5, 0.375}, test[] = {0.5, 0.125, 0.75};
    for (int i = 0; i < 3; i++) {
        struct metrics_row row = {.step = i, .validation = {1, validation[i]}, .test = {1, test[i]}};
        run_result_add(&result, &row);
    }
    return result;
}

Test(progress, best_goes_by_the_chosen_set)
{
    struct run_result validation = result_by(BEST_BY_VALIDATION), test = result_by(BEST_BY_TEST);
    struct run_result none = result_by(BEST_BY_NONE);
    cr_expect(validation.best.step == 1 && validation.since_best == 1);
    cr_expect(test.best.step == 2 && test.since_best == 0);
    cr_expect(none.best.step == 2 && none.since_best == 0, "without a set to choose by the last is the best");
}

/* The row comes from a program that knew no validation set. */
Test(progress, a_row_without_the_chosen_set_is_worse_than_any_other)
{
    struct run_result result = {.best_by = BEST_BY_VALIDATION};
    struct metrics_row old = {.step = 1, .validation = EVALUATION_NONE, .test = {1, 1}};
    struct metrics_row new = {.step = 2, .validation = {1, 0}, .test = {1, 0}};
    run_result_add(&result, &old);
    run_result_add(&result, &new);
    run_result_add(&result, &old);
    cr_expect(result.best.step == 2 && result.since_best == 1);
}
