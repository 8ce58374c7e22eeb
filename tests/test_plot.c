/* Tests pictures of runs: gnuplot's input and output. The name of a run must do no harm. */
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "config_support.h"
#include "program_support.h"
#include "report/plot.h"
#include "train/train.h"

TestSuite(plot, .init = enter_folder, .fini = leave_folder);

#define NO_GNUPLOT "not drawn, cannot run gnuplot: No such file or directory"

/* --- gnuplot, and machines without it --- */

static bool has_gnuplot(void)
{
    char *path = memory_copy_string(getenv("PATH") ? getenv("PATH") : ""), *rest = path, *folder;
    bool found = false;
    while (!found && (folder = strsep(&rest, ":"))) {
        char *program = support_path(folder, "gnuplot");
        found = access(program, X_OK) == 0;
        free(program);
    }
    free(path);
    return found;
}

#define NEED_GNUPLOT()                                                                                                 \
    do {                                                                                                               \
        if (has_gnuplot()) break;                                                                                      \
        fputs("skipped: no gnuplot\n", stderr); /* Criterion itself is silent */                                       \
        cr_skip_test("install gnuplot to test the pictures");                                                          \
    } while (0)

/* Hides gnuplot from this test alone: every test is a process of its own. */
static void hide_gnuplot(void)
{
    cr_assert_eq(mkdir("empty", 0777), 0);
    char *path = support_path(test_folder, "empty");
    cr_assert_eq(setenv("PATH", path, 1), 0);
    free(path);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int is_partial(const struct dirent *entry)
{
    return strstr(entry->d_name, ".part") != NULL;
}

static void expect_no_partial(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_partial, alphasort);
    cr_expect_eq(count, 0, "%d, %s", count, count > 0 ? entries[0]->d_name : "");
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);
}

/* --- pictures --- */

static int64_t big_endian(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static void expect_png(const char *path)
{
    size_t size;
    char *bytes = support_file_read(path, &size);
    cr_assert_not_null(bytes, "%s", path);
    cr_assert_geq(size, 1000);
    cr_expect_eq(memcmp(bytes, "\x89PNG\r\n\x1a\n", 8), 0, "no PNG");
    cr_expect_eq(memcmp(bytes + 12, "IHDR", 4), 0);
    cr_expect_eq(big_endian(bytes + 16), 1280, "%d wide", (int)big_endian(bytes + 16));
    cr_expect(big_endian(bytes + 20) > 400 && big_endian(bytes + 20) < 1000, "%d high", (int)big_endian(bytes + 20));
    cr_expect_eq(memcmp(bytes + size - 8, "IEND\xae\x42\x60\x82", 8), 0, "no end");
    free(bytes);
}

/* Returns the text of an SVG as a viewer shows it. */
static char *read_svg(const char *path)
{
    static const struct {
        const char *escape;
        char shown;
    } escapes[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}, {"&amp;", '&'}};
    char *text = support_file_read(path, NULL), *to = text;
    cr_assert_not_null(text, "%s", path);
    for (const char *from = text; *from;) {
        char shown = *from;
        size_t used = 1;
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
            size_t length = strlen(escapes[i].escape);
            if (strncmp(from, escapes[i].escape, length) == 0) shown = escapes[i].shown, used = length;
        }
        *to++ = shown, from += used;
    }
    *to = '\0';
    return text;
}

static void expect_shown(const char *path, const char *const *parts, int count)
{
    char *text = read_svg(path);
    cr_expect(strncmp(text, "<?xml ", 6) == 0 && strstr(text, "</svg>"), "no SVG");
    for (int i = 0; i < count; i++) {
        cr_expect_not_null(strstr(text, parts[i]), "%s lacks \"%s\"", path, parts[i]);
    }
    free(text);
}

#define EXPECT_SHOWN(path, ...)                                                                                        \
    expect_shown(path, (const char *const[]){__VA_ARGS__},                                                             \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void expect_not_shown(const char *path, const char *part)
{
    char *text = read_svg(path);
    cr_expect_null(strstr(text, part), "%s has \"%s\"", path, part);
    free(text);
}

static const struct metrics_row some_rows[] = {
    {1, 0, {2.5, 0.25}, EVALUATION_NONE, {2.75, 0.125}, 0.1, 1.5},
    {50, 1, {1.5, 0.5}, EVALUATION_NONE, {1.75, 0.375}, 0.1, 2.5},
    {100, 2, {0.5, 0.75}, EVALUATION_NONE, {0.75, 0.625}, 0.1, 3.5},
};
static const struct plot_run some_run = {"some", some_rows, 3, false};

static void draw(const char *base, const char *title, const struct plot_run *runs, int count)
{
    struct status status = {0};
    cr_assert(plot_curves(base, title, runs, count, &status), "%s", status.message);
}

Test(plot, one_run)
{
    NEED_GNUPLOT();
    draw("curves", "A name\nMLP 32, batch 5", &some_run, 1);
    expect_png("curves.png");
    EXPECT_SHOWN("curves.svg", ">A name<", ">MLP 32, batch 5", ">loss<", ">accuracy (%)<", ">step<", ">train<",
                 ">test<");
    expect_no_partial(".");
}

Test(plot, several_runs)
{
    NEED_GNUPLOT();
    const struct plot_run runs[] = {
        {"first", some_rows, 3, false}, {"second", some_rows, 2, false}, {"not begun", NULL, 0, false}};
    draw("curves", "3 runs", runs, 3);
    expect_png("curves.png");
    EXPECT_SHOWN("curves.svg", ">3 runs<", ">first<", ">second<", ">loss<", ">accuracy (%)<", ">step<",
                 "solid: test, dashed: train");
}

/* Curves are drawn for the sets that a run has, and the legend names them. */
Test(plot, sets)
{
    NEED_GNUPLOT();
    const struct metrics_row both[] = {{1, 0, {2.5, 0.25}, {2, 0.5}, {2.75, 0.125}, 0.1, 1.5}};
    const struct metrics_row held_out[] = {{1, 0, {2.5, 0.25}, {2, 0.5}, EVALUATION_NONE, 0.1, 1.5}};
    const struct metrics_row alone[] = {{1, 0, {2.5, 0.25}, EVALUATION_NONE, EVALUATION_NONE, 0.1, 1.5}};
    const struct plot_run runs[] = {{"a", both, 1, false}, {"b", held_out, 1, false}, {"c", alone, 1, false}};
    draw("a", "a", &runs[0], 1);
    EXPECT_SHOWN("a.svg", ">train<", ">validation<", ">test<");
    draw("b", "b", &runs[1], 1);
    EXPECT_SHOWN("b.svg", ">train<", ">validation<");
    expect_not_shown("b.svg", ">test<");
    draw("c", "c", &runs[2], 1);
    EXPECT_SHOWN("c.svg", ">train<");
    expect_not_shown("c.svg", ">test<"), expect_not_shown("c.svg", ">validation<");
    draw("all", "all", runs, 3);
    EXPECT_SHOWN("all.svg", ">a<", ">b<", ">c<",
                 "solid: test, or validation without a test set, dashed: train, dotted: validation");
    draw("two", "two", &runs[1], 2);
    EXPECT_SHOWN("two.svg", "solid: validation, dashed: train");
}

/* There are more runs than colours, and than columns in the legend. */
Test(plot, many_runs)
{
    NEED_GNUPLOT();
    enum { RUNS = 40 };
    struct plot_run runs[RUNS];
    char labels[RUNS][16];
    for (int i = 0; i < RUNS; i++) {
        snprintf(labels[i], sizeof labels[i], "run%02d", i);
        runs[i] = (struct plot_run){labels[i], some_rows, 3, false};
    }
    draw("curves", "many", runs, RUNS);
    char *text = read_svg("curves.svg");
    for (int i = 0; i < RUNS; i++) cr_expect_not_null(strstr(text, labels[i]), "%s", labels[i]);
    free(text);
    expect_png("curves.png");
}

/* A text full of special characters, which gnuplot gets in its script. */
#define HOSTILE                                                                                                         \
    "it's \"q\" $(touch hit) `touch hit` @x {/Bold y} a_b^c ~z \\n \\ %s %d # ; <b> & é system('touch hit')'; !touch " \
    "hit"

Test(plot, hostile_names_are_shown_as_they_are)
{
    NEED_GNUPLOT();
    const struct plot_run runs[] = {{HOSTILE " one\\", some_rows, 3, false}, {"'", some_rows, 3, false}};
    draw("one", HOSTILE "\nsecond " HOSTILE, runs, 1);
    EXPECT_SHOWN("one.svg", ">" HOSTILE "<", ">second " HOSTILE "<");
    draw("two", HOSTILE, runs, 2);
    EXPECT_SHOWN("two.svg", ">" HOSTILE "<", ">" HOSTILE " one\\<", ">'<");
    cr_expect_not(exists("hit"));
    expect_png("one.png"), expect_png("two.png");
}

/* gnuplot's own quoting fails on some of these. */
Test(plot, quotes_and_backslashes)
{
    NEED_GNUPLOT();
    static const char *const names[] = {"'",      "''", "'''",  "'x",   "x'",  "x''y", "\"", "\"\"", "\"x",
                                        "x\"\"y", "\\", "\\\\", "\\\"", "x\\", "\\'",  "`",  "``",   "\\`touch hit`",
                                        "\\140",  "$"};
    enum { NAMES = sizeof names / sizeof *names };
    struct plot_run runs[NAMES];
    for (int i = 0; i < NAMES; i++) runs[i] = (struct plot_run){names[i], some_rows, 3, false};
    draw("curves", "quotes", runs, NAMES);
    char *text = read_svg("curves.svg");
    for (int i = 0; i < NAMES; i++) {
        char *shown = memory_format(">%s<", names[i]);
        cr_expect_not_null(strstr(text, shown), "%s", names[i]);
        free(shown);
    }
    cr_expect_not(exists("hit"));
    free(text);
}

/* A newline would end gnuplot's command. Bytes that are no text would make the SVG invalid. */
Test(plot, what_is_no_text_becomes_a_question_mark)
{
    NEED_GNUPLOT();
    const struct plot_run runs[] = {{"a\nsystem 'touch hit'\n", some_rows, 3, false},
                                    {"b\x1b[1m\xff", some_rows, 3, false}};
    draw("curves", "\x01\nx\n!touch hit\nEOD\n", runs, 2);
    EXPECT_SHOWN("curves.svg", ">?<", ">x?!touch hit?EOD?; solid", ">a?system 'touch hit'?<", ">b?[1m?<");
    cr_expect_not(exists("hit"));
    expect_png("curves.png");
}

/* The title is empty, and the file is in a folder whose name needs quotes. */
Test(plot, odd_paths)
{
    NEED_GNUPLOT();
    cr_assert_eq(mkdir("it's $(x) `y`", 0777), 0);
    draw("it's $(x) `y`/a b", "", &some_run, 1);
    expect_png("it's $(x) `y`/a b.png");
    EXPECT_SHOWN("it's $(x) `y`/a b.svg", ">loss<");
    expect_no_partial("it's $(x) `y`");
}

/* gnuplot itself could not find a range for these rows. */
Test(plot, values_that_are_hard_to_draw)
{
    NEED_GNUPLOT();
    const struct evaluation none = {NAN, NAN}, much = {INFINITY, 1}, least = {-1e308, 0}, most = {1e308, 1};
    const struct metrics_row rows[][2] = {
        {{1, 0, none, EVALUATION_NONE, none, 0, 0}, {2, 0, none, EVALUATION_NONE, none, 0, 0}},
        {{1, 0, much, EVALUATION_NONE, much, 0, 0}, {2, 0, {1, 1}, EVALUATION_NONE, none, 0, 0}},
        {{1, 0, {0, 0}, EVALUATION_NONE, {0, 0}, 0, 0}, {2, 0, {0, 0}, EVALUATION_NONE, {0, 0}, 0, 0}},
        {{1, 0, {1e-9, 1e-6}, EVALUATION_NONE, {1e9, 1}, 0, 0}, {2, 0, {1, 0.5}, EVALUATION_NONE, {1, 0.5}, 0, 0}},
        {{1, 0, most, EVALUATION_NONE, most, 0, 0}, {2, 0, {1, 0}, EVALUATION_NONE, {1, 0}, 0, 0}},
        {{1, 0, least, EVALUATION_NONE, most, 0, 0}, {INT64_MAX, 0, most, EVALUATION_NONE, least, 0, 0}},
        {{0, 0, {5e-324, 0.5}, EVALUATION_NONE, {1, 0.5}, 0, 0}, {1, 0, {2, 0.5}, EVALUATION_NONE, {1, 0.5}, 0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int count = 1; count <= 2; count++) {
            struct plot_run run = {"run", rows[i], count, false};
            struct status status = {0};
            cr_expect(plot_curves("curves", "t", &run, 1, &status), "rows %zu, %d: %s", i, count, status.message);
        }
    }
    expect_png("curves.png");
}

Test(plot, very_many_rows)
{
    NEED_GNUPLOT();
    enum { ROWS = 100000 };
    struct metrics_row *rows = memory_alloc(ROWS, sizeof *rows);
    for (int i = 0; i < ROWS; i++) rows[i] = (struct metrics_row){.step = i + 1, .train.loss = i, .test.loss = 1};
    struct plot_run run = {"long", rows, ROWS, false};
    draw("curves", "long", &run, 1);
    expect_png("curves.png");
    free(rows);
}

/* --- failures --- */

static void expect_not_drawn(const char *base, const struct plot_run *runs, int count, const char *message)
{
    struct status status = {0};
    cr_assert_not(plot_curves(base, "t", runs, count, &status));
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    expect_no_partial(".");
}

Test(plot, nothing_to_draw)
{
    const struct plot_run runs[] = {{"a", NULL, 0, false}, {"b", NULL, 0, false}};
    expect_not_drawn("curves", runs, 2, "curves: nothing to draw, no evaluation has been made");
}

/* An older picture stays. */
Test(plot, without_gnuplot)
{
    hide_gnuplot();
    support_file_write("curves.png", "old", 3);
    expect_not_drawn("curves", &some_run, 1, "curves.png: " NO_GNUPLOT);
    char *text = support_file_read("curves.png", NULL);
    cr_expect_str_eq(text, "old");
    cr_expect_not(exists("curves.svg"));
    free(text);
}

Test(plot, no_folder_for_the_picture)
{
    expect_not_drawn("none/curves", &some_run, 1,
                     "none/curves.png.part: cannot create the file: No such file or directory");
}

static void fake_gnuplot(const char *script)
{
    hide_gnuplot();
    support_file_write("empty/gnuplot", script, strlen(script));
    cr_assert_eq(chmod("empty/gnuplot", 0777), 0);
}

Test(plot, gnuplot_fails)
{
    fake_gnuplot("#!/bin/sh\necho >&2\necho '   ^' >&2\necho 'line 3: no such terminal' >&2\nexit 1\n");
    expect_not_drawn("curves", &some_run, 1, "curves.png: not drawn, gnuplot failed: line 3: no such terminal");
}

Test(plot, gnuplot_dies)
{
    fake_gnuplot("#!/bin/sh\nkill -9 $$\n");
    expect_not_drawn("curves", &some_run, 1, "curves.png: not drawn, gnuplot failed: no reason given");
}

/* gnuplot repeats the command before it says what is wrong with it. */
Test(plot, gnuplot_explains)
{
    fake_gnuplot("#!/bin/sh\necho 'multiplot> plot it' >&2\necho '   ^' >&2\n"
                 "echo '   line 2: undefined!' >&2\necho >&2\nexit 1\n");
    expect_not_drawn("curves", &some_run, 1, "curves.png: not drawn, gnuplot failed: line 2: undefined!");
}

/* gnuplot exits with 0 when the disk is full. */
Test(plot, incomplete_picture)
{
    fake_gnuplot("#!/bin/sh\necho 'half of a picture that is longer than its last bytes'\n");
    expect_not_drawn("curves", &some_run, 1, "curves.png: not drawn, gnuplot left it incomplete: is the disk full?");
}

/* --- trainer plot --- */

#define HEADER "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n"
#define ROWS "1,0,2.5,0.25,2.75,0.125,0.1,1.500\n50,1,1.5,0.5,1.75,0.375,0.1,2.500\n"

static void write_run(const char *folder, const char *text)
{
    cr_assert_eq(mkdir(folder, 0777), 0);
    char *path = support_path(folder, "metrics.csv");
    support_file_write(path, text, strlen(text));
    free(path);
}

Test(plot, program_draws_one_run)
{
    NEED_GNUPLOT();
    write_run("first", HEADER ROWS);
    program_expect(program_run("plot", "first/", NULL), 0, "first/curves.png\nfirst/curves.svg\n", "");
    expect_png("first/curves.png");
    EXPECT_SHOWN("first/curves.svg", ">first<", ">train<", ">test<");
    program_expect(program_run("plot", "first/metrics.csv", "--out", "a.png", NULL), 0, "a.png\na.svg\n", "");
    program_expect(program_run("plot", "first", "--out", "b.svg", NULL), 0, "b.png\nb.svg\n", "");
    program_expect(program_run("plot", "first", "--out", "c", NULL), 0, "c.png\nc.svg\n", "");
    expect_png("a.png"), expect_png("b.png"), expect_png("c.png");
    expect_no_partial(".");
}

Test(plot, program_draws_two_runs)
{
    NEED_GNUPLOT();
    write_run("first", HEADER ROWS);
    write_run("it's `2`", HEADER ROWS);
    program_expect(program_run("plot", "first", "it's `2`", NULL), 0,
                   "curves-first-it's `2`.png\ncurves-first-it's `2`.svg\n", "");
    expect_png("curves-first-it's `2`.png");
    EXPECT_SHOWN("curves-first-it's `2`.svg", ">2 runs<", ">first<", ">it's `2`<");
    program_expect(program_run("plot", "first", "it's `2`", "--out", "both", NULL), 0, "both.png\nboth.svg\n", "");
    expect_png("both.png");
}

/* Folders of the same name are told apart by their paths. */
Test(plot, program_tells_runs_apart)
{
    NEED_GNUPLOT();
    cr_assert(mkdir("a", 0777) == 0 && mkdir("b", 0777) == 0);
    write_run("a/run", HEADER ROWS), write_run("b/run", HEADER ROWS);
    program_expect(program_run("plot", "a/run", "b/run", NULL), 0, "curves-a-run-b-run.png\ncurves-a-run-b-run.svg\n",
                   "");
    EXPECT_SHOWN("curves-a-run-b-run.svg", ">a/run<", ">b/run<");
}

Test(plot, program_leaves_out_what_is_no_run)
{
    NEED_GNUPLOT();
    write_run("first", HEADER ROWS), write_run("second", HEADER ROWS), write_run("bad", HEADER ROWS "x\n");
    program_expect(program_run("plot", "first", "none", "second", "bad", NULL), 1,
                   "curves-first-second.png\ncurves-first-second.svg\n",
                   "trainer: none: No such file or directory; expected the folder of a run, or its metrics.csv\n"
                   "trainer: bad/metrics.csv:4: expected 8 columns, found 1\n"
                   "trainer: 2 of 4 runs could not be read and are left out\n");
    EXPECT_SHOWN("curves-first-second.svg", ">2 runs<", ">first<", ">second<");
}

Test(plot, program_errors_of_usage)
{
    write_run("first", HEADER ROWS);
    program_expect(program_run("plot", "none", NULL), 2, "",
                   "trainer: none: No such file or directory; expected the folder of a run, or its metrics.csv\n");
    program_expect(program_run("plot", "no", "none", NULL), 2, "",
                   "trainer: no: No such file or directory; expected the folder of a run, or its metrics.csv\n"
                   "trainer: none: No such file or directory; expected the folder of a run, or its metrics.csv\n"
                   "trainer: none of 2 runs could be read\n");
    program_expect(program_run("plot", "first", "--out", "", NULL), 2, "",
                   "trainer: --out: expected a path without its ending, found nothing\n");
    struct program_result result = program_run("plot", NULL);
    cr_expect_eq(result.code, 2, "exit code %d", result.code);
    cr_expect_not_null(strstr(result.error, "usage: trainer plot RUN... [--out BASE]\n"), "%s", result.error);
    free(result.out), free(result.error);
    cr_assert_eq(mkdir("runs", 0777), 0);
    write_run("runs/second", HEADER ROWS);
    program_expect(program_run("plot", "second", NULL), 2, "",
                   "trainer: second: No such file or directory; did you mean runs/second?\n");
}

Test(plot, program_errors_of_a_run)
{
    write_run("empty", HEADER), write_run("bad", HEADER ROWS "51,1,x,1,1,1,1,1\n"), write_run("cut", HEADER "1,0,2");
    write_run("good", HEADER ROWS);
    cr_assert_eq(mkdir("no_metrics", 0777), 0);
    program_expect(program_run("plot", "empty", NULL), 1, "", "trainer: empty/metrics.csv: no evaluation in it yet\n");
    program_expect(program_run("plot", "bad", NULL), 1, "",
                   "trainer: bad/metrics.csv:4: train_loss: expected a number, found \"x\"\n");
    program_expect(program_run("plot", "cut/metrics.csv", NULL), 1, "",
                   "trainer: cut/metrics.csv:2: the line is cut off: no newline at its end\n");
    program_expect(program_run("plot", "no_metrics", NULL), 1, "",
                   "trainer: no_metrics/metrics.csv: cannot open: No such file or directory\n");
    program_expect(program_run("plot", "good", "--out", "none/x", NULL), 1, "",
                   "trainer: none/x.png.part: cannot create the file: No such file or directory\n");
}

Test(plot, program_without_gnuplot)
{
    hide_gnuplot();
    write_run("first", HEADER ROWS);
    program_expect(program_run("plot", "first", NULL), 1, "", "trainer: first/curves.png: " NO_GNUPLOT "\n");
    expect_no_partial("first");
}

/* --- a run and its picture --- */

static const char tiny_text[] = "[experiment]\nname = tiny $(x) `y` @z {w}\n"
                                "[data]\ndataset = synthetic\nsynthetic_train = 20\nsynthetic_test = 10\n"
                                "synthetic_classes = 2\nsynthetic_channels = 1\nsynthetic_size = 4\n"
                                "[model]\nhidden = 3\n[train]\nmax_steps = 4\nbatch_size = 5\neval_freq = 2\n"
                                "[backend]\ndevice = cpu\nthreads = 1\n";

static void train_tiny(void)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert(load_text(&experiment, tiny_text, &status), "%s", status.message);
    cr_assert(train_run(&experiment, "run", TRAIN_OVERWRITE, NULL, NULL, NULL, &status), "%s", status.message);
    experiment_free(&experiment);
}

Test(plot, run_leaves_its_curves)
{
    NEED_GNUPLOT();
    train_tiny();
    expect_png("run/curves.png");
    EXPECT_SHOWN("run/curves.svg", ">tiny $(x) `y` @z {w}<", ">MLP 3, ", "batch 5, seed ", ">train<", ">test<");
    expect_no_partial("run");
    /* drawn anew, the picture is the same: the head comes from the config beside it */
    char *first = read_svg("run/curves.svg");
    program_expect(program_run("plot", "run", NULL), 0, "run/curves.png\nrun/curves.svg\n", "");
    EXPECT_SHOWN("run/curves.svg", ">tiny $(x) `y` @z {w}<", ">MLP 3, ");
    char *second = read_svg("run/curves.svg");
    cr_expect_str_eq(first, second);
    free(first), free(second);
}

/* A run must not keep the pictures of an earlier run in its folder. */
Test(plot, run_without_gnuplot_succeeds)
{
    hide_gnuplot();
    cr_assert_eq(mkdir("run", 0777), 0);
    support_file_write("run/curves.png", "old", 3), support_file_write("run/curves.svg", "old", 3);
    support_file_write("run/resolved.ini", "", 0); /* makes it the folder of a run */
    support_file_write("x.ini", tiny_text, strlen(tiny_text));
    program_expect(program_run("train", "x.ini", "--out", "run", "--quiet", NULL), 0, "",
                   "trainer: no picture of the curves: run/curves.png: " NO_GNUPLOT "\n");
    cr_expect(exists("run/metrics.csv"));
    cr_expect_not(exists("run/curves.png") || exists("run/curves.svg"));
    expect_no_partial("run");
    train_tiny();
}

/* --- the title --- */

Test(plot, title_names_every_schedule)
{
    static const char *const names[][2] = {{"constant", "0.1, batch"},
                                           {"step", "0.1 (step), batch"},
                                           {"cosine", "0.1 (cosine), batch"},
                                           {"linear", "0.1 (linear), batch"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct experiment experiment;
        struct status status = {0};
        char *text = memory_format("[optimizer]\nlearning_rate = 0.1\n[schedule]\nname = %s\n", names[i][0]);
        cr_assert(load_text(&experiment, text, &status), "%s", status.message);
        char *title = plot_title(&experiment);
        cr_expect_not_null(strstr(title, names[i][1]), "%s", title);
        free(title), free(text);
        experiment_free(&experiment);
    }
}
