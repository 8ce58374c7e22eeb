/* Writes gnuplot's scripts: the curves of runs, and the panels of a sweep's factors. */
#include "report/plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/gnuplot.h"
#include "util/memory.h"

/* Colours that differ in print and for colour-blind eyes (Okabe and Ito). */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
enum { COLOUR_COUNT = sizeof colours / sizeof *colours };

/* Sizes in pixels. */
enum { PANEL_HEIGHT = 400, HEAD_HEIGHT = 70, FOOT_HEIGHT = 56, LEGEND_LINE = 19, CURVES_WIDTH = 1280 };

enum quantity { LOSS, ACCURACY, QUANTITY_COUNT };
enum set { TRAIN, TEST, VALIDATION, SET_COUNT };
static const char *const set_names[SET_COUNT] = {"train", "test", "validation"};

struct curves {
    const char *title;
    const struct plot_run *runs;
    int run_count;
    int legend_lines; /* rows of the legend below the panels, where there are several runs */
    int height;
};

static void write_style(FILE *script)
{
    fputs("set border 3 lc rgb '#555555'\n"
          "set tics nomirror\n"
          "set grid back lc rgb '#dddddd' lw 1 lt 1\n",
          script);
}

/* Writes the title above all panels: its first line large, the rest small below it. */
static void write_title(const char *title, const char *hint, int height, FILE *script)
{
    const char *newline = strchr(title, '\n');
    char *first = memory_format("%.*s", newline ? (int)(newline - title) : (int)strlen(title), title);
    char *second = memory_format("%s%s%s", newline ? newline + 1 : "", newline && *hint ? "; " : "", hint);
    fputs("set label 1 ", script);
    gnuplot_write_string(script, first);
    fprintf(script, " at screen 0.5, screen %.4f center front font ',15'\nset label 2 ", 1 - 24.0 / height);
    gnuplot_write_string(script, second);
    fprintf(script, " at screen 0.5, screen %.4f center front font ',11' tc rgb '#555555'\n", 1 - 48.0 / height);
    free(first);
    free(second);
}

static void write_title_end(FILE *script)
{
    fputs("unset label 1\nunset label 2\n", script);
}

/* --- curves --- */

static const struct evaluation *evaluation_of(const struct metrics_row *row, enum set set)
{
    return set == TRAIN ? &row->train : set == TEST ? &row->test : &row->validation;
}

static double value_of(const struct metrics_row *row, enum quantity quantity, enum set set)
{
    const struct evaluation *evaluation = evaluation_of(row, set);
    return quantity == LOSS ? evaluation->loss : 100 * evaluation->accuracy;
}

/* Returns true where the run measured the set. */
static bool has_set(const struct plot_run *run, enum set set)
{
    for (int i = 0; i < run->row_count; i++)
        if (evaluation_exists(evaluation_of(&run->rows[i], set))) return true;
    return false;
}

/* Returns the set that tells how good a run is; its curve stands out. */
static enum set main_set(const struct plot_run *run)
{
    return has_set(run, TEST) ? TEST : has_set(run, VALIDATION) ? VALIDATION : TRAIN;
}

/* Returns true where the set's curve is drawn. That of the training set always is, so that there is something to
 * draw. */
static bool is_shown(const struct plot_run *run, enum set set)
{
    return set == TRAIN || has_set(run, set);
}

/* Beyond this value gnuplot fails, because it computes with differences and powers of the numbers. */
static const double largest_drawn = 1e100;

static bool is_drawn(double value)
{
    return fabs(value) <= largest_drawn;
}

/* Writes a value, or NaN where gnuplot must leave a gap. */
static void write_value(FILE *script, double value)
{
    if (is_drawn(value))
        fprintf(script, " %.9g", value);
    else
        fputs(" NaN", script);
}

/* Returns k where every k-th row is drawn: a picture has some 550 pixels across for a curve. */
static int stride_of(const struct plot_run *run)
{
    enum { MOST_POINTS = 4000 };
    return 1 + run->row_count / MOST_POINTS;
}

/* Returns the data's column: 1 is the step, then follow the losses of the sets in their order, then their
 * accuracies. */
static int column_of(enum quantity quantity, enum set set)
{
    return 2 + SET_COUNT * (int)quantity + (int)set;
}

static void write_data(const struct curves *curves, FILE *script)
{
    for (int r = 0; r < curves->run_count; r++) {
        const struct plot_run *run = &curves->runs[r];
        int stride = stride_of(run);
        fprintf(script, "$run%d << EOD\n", r);
        for (int i = 0; i < run->row_count; i++) {
            if (i % stride != 0 && i + 1 < run->row_count) continue;
            fprintf(script, "%" PRId64, run->rows[i].step);
            for (int column = 0; column < QUANTITY_COUNT * SET_COUNT; column++)
                write_value(script, value_of(&run->rows[i], (enum quantity)(column / SET_COUNT),
                                             (enum set)(column % SET_COUNT)));
            fputc('\n', script);
        }
        fprintf(script, "EOD\n");
    }
}

/* Sets how a curve is drawn. A single run has a colour for each set. Several runs have a colour each; the main set's
 * curve is solid, the training set's thin and dashed, that of a validation set beside a test set thin and dotted. Where
 * there are more runs than colours, marks tell the curves apart. */
static void write_line(const struct curves *curves, FILE *script, int run, enum quantity quantity, enum set set)
{
    static const int marks[] = {7, 5, 9, 13, 6, 4, 8, 12};
    enum { MARK_COUNT = sizeof marks / sizeof *marks, MOST_MARKS = 60, SOLID = 1, DASHED = 2, DOTTED = 3 };
    bool alone = curves->run_count == 1, strong = alone || set == main_set(&curves->runs[run]);
    int points = curves->runs[run].row_count / stride_of(&curves->runs[run]);
    fprintf(script, "$run%d using 1:%d with %s", run, column_of(quantity, set),
            strong || points == 1 ? "linespoints" : "lines");
    if (strong || points == 1)
        fprintf(script, " pt %d ps 0.6 pi %d", marks[run / COLOUR_COUNT % MARK_COUNT], 1 + points / MOST_MARKS);
    fprintf(script, " lw %s dt %d lc rgb '%s' ", strong ? "2" : "1.5",
            strong         ? SOLID
            : set == TRAIN ? DASHED
                           : DOTTED,
            colours[alone ? (int)set : run % COLOUR_COUNT]);
    if (!strong) {
        fputs("notitle", script);
        return;
    }
    fputs("title ", script);
    const char *name = set == TRAIN && curves->runs[run].running ? "train (running means)" : set_names[set];
    gnuplot_write_string(script, alone ? name : curves->runs[run].label);
}

struct range {
    double low, high;
};

/* Returns the range of the drawn values; low > high where there is none. */
static struct range find_range(const struct curves *curves, enum quantity quantity)
{
    struct range range = {INFINITY, -INFINITY};
    for (int r = 0; r < curves->run_count; r++) {
        for (int i = 0; i < SET_COUNT * curves->runs[r].row_count; i++) {
            double value = value_of(&curves->runs[r].rows[i / SET_COUNT], quantity, (enum set)(i % SET_COUNT));
            if (!is_drawn(value)) continue;
            range.low = fmin(range.low, value), range.high = fmax(range.high, value);
        }
    }
    return range;
}

static void write_y_axis(const struct curves *curves, FILE *script, enum quantity quantity)
{
    struct range range = find_range(curves, quantity);
    bool wide = range.low > 1 / largest_drawn && range.high > 1000 * range.low;
    bool empty = range.low > range.high;
    fprintf(script, "set ylabel '%s%s'\n%s logscale y\n", quantity == LOSS ? "loss" : "accuracy (%)",
            empty ? ": no finite value" : "", wide ? "set" : "unset");
    if (empty) /* gnuplot fails where it has to find a range without values */
        fputs("set yrange [0:1]\n", script);
    else if (range.low == range.high)
        fprintf(script, "set yrange [%.9g:%.9g]\n", range.low - fmax(0.05 * fabs(range.low), 0.1),
                range.high + fmax(0.05 * fabs(range.high), 0.1));
    else
        fputs("set yrange [*:*]\n", script);
}

static void write_x_axis(const struct curves *curves, FILE *script)
{
    int64_t last = 1;
    for (int r = 0; r < curves->run_count; r++) {
        const struct plot_run *run = &curves->runs[r];
        if (run->row_count > 0 && run->rows[run->row_count - 1].step > last) last = run->rows[run->row_count - 1].step;
    }
    fprintf(script, "set xlabel 'step'\nset xrange [0:%" PRId64 "]\nset format x '%%.0f'\n", last);
    if (last < 6) fputs("set xtics 1\n", script);
}

static void write_panel(const struct curves *curves, FILE *script, enum quantity quantity)
{
    write_y_axis(curves, script, quantity);
    if (curves->run_count == 1)
        fprintf(script, "set key %s\n", quantity == LOSS ? "top right" : "bottom right");
    else if (quantity == LOSS)
        fprintf(script, "set key at screen 0.5, screen %.4f center bottom vertical maxrows %d\n", 6.0 / curves->height,
                curves->legend_lines);
    else
        fputs("unset key\n", script);
    const char *before = "plot ";
    for (int r = 0; r < curves->run_count; r++) {
        for (enum set set = TRAIN; set < SET_COUNT; set++) {
            if (!is_shown(&curves->runs[r], set)) continue;
            fputs(before, script);
            write_line(curves, script, r, quantity, set);
            before = ", \\\n     ";
        }
    }
    fputc('\n', script);
}

/* Says which line stands for which set, where a colour stands for a run. */
static char *describe_lines(const struct curves *curves)
{
    bool mains[SET_COUNT] = {false}, dotted = false;
    if (curves->run_count == 1) return memory_copy_string("");
    for (int r = 0; r < curves->run_count; r++) {
        if (curves->runs[r].row_count == 0) continue;
        enum set main = main_set(&curves->runs[r]);
        mains[main] = true;
        dotted = dotted || (main == TEST && has_set(&curves->runs[r], VALIDATION));
    }
    const char *solid = mains[TEST] && mains[VALIDATION] ? "test, or validation without a test set"
                        : mains[VALIDATION]              ? "validation"
                                                         : "test";
    return memory_format("solid: %s, dashed: train%s", solid, dotted ? ", dotted: validation" : "");
}

static void write_curves(const void *body, FILE *script)
{
    const struct curves *curves = body;
    double bottom = (double)(FOOT_HEIGHT + curves->legend_lines * LEGEND_LINE) / curves->height;
    write_data(curves, script);
    write_style(script);
    fprintf(script, "set multiplot layout 1,2 margins 0.07,0.975,%.4f,%.4f spacing 0.09\n", bottom,
            1 - (double)HEAD_HEIGHT / curves->height);
    char *lines = describe_lines(curves);
    write_title(curves->title, lines, curves->height, script);
    free(lines);
    write_x_axis(curves, script);
    write_panel(curves, script, LOSS);
    write_title_end(script);
    write_panel(curves, script, ACCURACY);
    fputs("unset multiplot\n", script);
}

/* Returns the legend's lines. It has as many columns as its longest label leaves room for. */
static int count_legend_lines(const struct plot_run *runs, int run_count)
{
    enum { CHARACTER = 8, SAMPLE = 80, MOST_COLUMNS = 6 };
    size_t longest = 0;
    if (run_count < 2) return 0;
    for (int r = 0; r < run_count; r++) {
        size_t length = strlen(runs[r].label);
        if (length > longest) longest = length;
    }
    size_t columns = CURVES_WIDTH / (SAMPLE + CHARACTER * longest);
    int used = columns < 1 ? 1 : columns > MOST_COLUMNS ? MOST_COLUMNS : (int)columns;
    return (run_count + used - 1) / used;
}

bool plot_curves(const char *base, const char *title, const struct plot_run *runs, int run_count, struct status *status)
{
    int rows = 0;
    for (int r = 0; r < run_count; r++) rows |= runs[r].row_count;
    if (rows == 0) return status_fail(status, STATUS_RUNTIME, "%s: nothing to draw, no evaluation has been made", base);
    struct curves curves = {.title = title, .runs = runs, .run_count = run_count};
    curves.legend_lines = count_legend_lines(runs, run_count);
    curves.height = HEAD_HEIGHT + PANEL_HEIGHT + FOOT_HEIGHT + curves.legend_lines * LEGEND_LINE;
    return gnuplot_draw(base, CURVES_WIDTH, curves.height, write_curves, &curves, status);
}

/* --- factors --- */

enum { FACTOR_WIDTH = 300, FACTORS_HEIGHT = 480 };

struct factors {
    const char *title;
    const struct plot_panel *panels;
    int panel_count;
};

static void write_factor_panel(const struct plot_panel *panel, FILE *script, int index)
{
    fprintf(script, "set title ");
    gnuplot_write_string(script, panel->title);
    fprintf(script, "\nset xrange [-0.6:%d.6]\nset xtics rotate by -30 (", panel->bar_count - 1);
    for (int b = 0; b < panel->bar_count; b++) {
        gnuplot_write_string(script, panel->bars[b].label);
        fprintf(script, " %d%s", b, b + 1 < panel->bar_count ? ", " : ")\n");
    }
    fprintf(script, "$panel%d << EOD\n", index);
    for (int b = 0; b < panel->bar_count; b++) {
        fprintf(script, "%d", b);
        write_value(script, 100 * panel->bars[b].median);
        write_value(script, 100 * panel->bars[b].low);
        write_value(script, 100 * panel->bars[b].high);
        fputc('\n', script);
    }
    fprintf(script, "EOD\nplot $panel%d using 1:2:3:4 with yerrorbars pt 7 ps 1.1 lw 2 lc rgb '%s' notitle\n", index,
            colours[index % COLOUR_COUNT]);
}

static struct range find_factor_range(const struct factors *factors)
{
    struct range range = {100, 0};
    for (int p = 0; p < factors->panel_count; p++) {
        for (int b = 0; b < factors->panels[p].bar_count; b++) {
            const struct plot_bar *bar = &factors->panels[p].bars[b];
            range.low = fmin(range.low, 100 * bar->low), range.high = fmax(range.high, 100 * bar->high);
        }
    }
    if (range.low > range.high) return (struct range){0, 100};
    return (struct range){fmax(0, range.low - 2), fmin(100, range.high + 2)};
}

static void write_factors(const void *body, FILE *script)
{
    const struct factors *factors = body;
    struct range range = find_factor_range(factors);
    double left = 70.0 / (FACTOR_WIDTH * factors->panel_count);
    write_style(script);
    fprintf(script, "set multiplot layout 1,%d margins %.4f,%.4f,0.16,%.4f spacing %.4f\n", factors->panel_count, left,
            1 - left / 4, 1 - (HEAD_HEIGHT + 24.0) / FACTORS_HEIGHT, left / 2);
    write_title(factors->title, "", FACTORS_HEIGHT, script);
    fprintf(script, "set ylabel 'accuracy (%%): lowest, median, highest'\nset yrange [%.4g:%.4g]\n", range.low,
            range.high);
    for (int p = 0; p < factors->panel_count; p++) {
        write_factor_panel(&factors->panels[p], script, p);
        if (p == 0) write_title_end(script), fputs("unset ylabel\n", script);
    }
    fputs("unset multiplot\n", script);
}

bool plot_factors(const char *base, const char *title, const struct plot_panel *panels, int panel_count,
                  struct status *status)
{
    struct factors factors = {title, panels, panel_count};
    return gnuplot_draw(base, FACTOR_WIDTH * panel_count, FACTORS_HEIGHT, write_factors, &factors, status);
}
