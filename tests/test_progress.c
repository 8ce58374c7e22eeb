/* What a run shows on a terminal: a pseudo-terminal of a given width stands for one. */
#define _GNU_SOURCE /* posix_openpt */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "support.h"
#include "trainer/check.h"
#include "trainer/progress.h"

enum { SCREEN_SIZE = 1 << 16 };

struct terminal {
    int master;
    FILE *out;
    char text[SCREEN_SIZE]; /* all that was written */
    size_t used;
};

static void terminal_open(struct terminal *terminal, unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    terminal->used = 0;
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(terminal->master >= 0 && grantpt(terminal->master) == 0 && unlockpt(terminal->master) == 0);
    CHECK(ioctl(terminal->master, TIOCSWINSZ, &size) == 0);
    /* Not to become the terminal that controls this process: closing it would end the test. */
    int screen = open(ptsname(terminal->master), O_RDWR | O_NOCTTY);
    CHECK(screen >= 0);
    terminal->out = fdopen(screen, "r+");
    CHECK(terminal->out != NULL);
    setenv("TERM", "xterm", 1);
}

/* Moves what was written into text; the terminal holds a few kilobytes only. */
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

static void terminal_close(struct terminal *terminal)
{
    fclose(terminal->out);
    close(terminal->master);
}

/* The widest line that stood on the screen, and what stays in the last line. */
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
        progress_start(&progress, terminal.out, 1000000000);
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
    struct metrics_row row = {.step = 300, .train = {1.25, 0.5}, .test = {1.5, 0.4375}, .elapsed_seconds = 61};
    terminal_open(&terminal, 100);
    progress_start(&progress, terminal.out, 1000);
    progress_training(&progress, 250, 1.2345, 0.625, 12345);
    terminal_read(&terminal);
    cr_assert(strstr(terminal.text, "250/1000  loss 1.2345  accuracy 62.5%  12,345 images/s"), "%s", terminal.text);
    cr_assert(strstr(terminal.text, "[=======                        ] "), "%s", terminal.text);
    progress_evaluating(&progress, "test set", 10, 20);
    progress_row(&progress, &row);
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
    progress_start(&progress, terminal.out, 10);
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
    struct metrics_row row = {.step = 1};
    terminal_open(&terminal, 80);
    setenv("TERM", "dumb", 1);
    progress_start(&progress, terminal.out, 10);
    progress.refreshed -= 1;
    cr_assert_not(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    progress_evaluating(&progress, "train set", 1, 2);
    progress_clear(&progress);
    terminal_read(&terminal);
    cr_assert_eq(terminal.used, 0);
    progress_row(&progress, &row);
    terminal_read(&terminal);
    cr_assert_eq(strncmp(terminal.text, "step      1 ", 12), 0);
    cr_assert_null(strchr(terminal.text, '\x1b'));
    terminal_close(&terminal);
}

Test(progress, quiet_prints_nothing)
{
    struct progress progress;
    struct metrics_row row = {.step = 1};
    struct run_result result = {.row_count = 1, .best = row, .final = row};
    progress_start(&progress, NULL, 10);
    cr_assert_not(progress_due(&progress));
    progress_training(&progress, 1, 1, 1, 1);
    progress_row(&progress, &row);
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
}
