#include "trainer/plot.h"

#include "report/gnuplot.h"

/* Colours that stay apart in print and for colour-blind eyes (Okabe and Ito). */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
enum { COLOUR_COUNT = sizeof colours / sizeof *colours };

struct curves {
    const char *title;
    const struct plot_run *runs;
    int run_count;
};

static void write_data(const struct curves *curves, FILE *script)
{
    for (int r = 0; r < curves->run_count; r++) {
        const struct plot_run *run = &curves->runs[r];
        fprintf(script, "$run%d << EOD\n", r);
        for (int i = 0; i < run->row_count; i++) {
            const struct metrics_row *row = &run->rows[i];
            fprintf(script, "%lld %.9g %.9g %.9g %.9g\n", (long long)row->step, row->train.loss, row->test.loss,
                    100 * row->train.accuracy, 100 * row->test.accuracy);
        }
        fprintf(script, "EOD\n");
    }
}

/* A run alone has a colour for train and one for test; several have a colour each, train thin and dashed. */
static void write_line(const struct curves *curves, FILE *script, int run, int column, bool test)
{
    bool alone = curves->run_count == 1;
    const char *colour = colours[(alone ? (int)test : run) % COLOUR_COUNT];
    const char *marks = curves->runs[run].row_count <= 60 ? "linespoints pt 7 ps 0.5" : "lines";
    fprintf(script, "$run%d using 1:%d with %s lw %s dt %d lc rgb '%s' title ", run, column, marks,
            test || alone ? "2" : "1.2", test || alone ? 1 : 2, colour);
    if (alone) {
        gnuplot_write_string(script, test ? "test" : "train");
        return;
    }
    char label[256];
    snprintf(label, sizeof label, "%s, %s", curves->runs[run].label, test ? "test" : "train");
    gnuplot_write_string(script, label);
}

static void write_panel(const struct curves *curves, FILE *script, const char *label, int first_column,
                        const char *key_place)
{
    fprintf(script, "set ylabel ");
    gnuplot_write_string(script, label);
    fprintf(script, "\nset key %s\nplot ", key_place);
    for (int r = 0; r < curves->run_count; r++) {
        for (int test = 0; test < 2; test++) {
            write_line(curves, script, r, first_column + test, test);
            fputs(r + 1 < curves->run_count || !test ? ", \\\n     " : "\n", script);
        }
    }
}

static void write_style(FILE *script)
{
    fputs("set border 3 lc rgb '#555555'\n"
          "set tics nomirror\n"
          "set grid back lc rgb '#dddddd' lw 1 lt 1\n",
          script);
}

static void write_curves(const void *body, FILE *script)
{
    const struct curves *curves = body;
    write_data(curves, script);
    write_style(script);
    fputs("set multiplot layout 1,2 title ", script);
    gnuplot_write_string(script, curves->title);
    fputs(" font 'DejaVu Sans,14'\n"
          "set xlabel 'step'\nset xrange [0:*]\nset format x '%.0f'\n",
          script);
    write_panel(curves, script, "loss", 2, "top right");
    write_panel(curves, script, "accuracy (%)", 4, "bottom right");
    fputs("unset multiplot\n", script);
}

bool plot_curves(const char *base, const char *title, const struct plot_run *runs, int run_count,
                 struct status *status)
{
    int rows = 0;
    for (int r = 0; r < run_count; r++) rows += runs[r].row_count;
    if (rows == 0) return status_fail(status, STATUS_RUNTIME, "%s: nothing to draw, no evaluation has been made", base);
    struct curves curves = {title, runs, run_count};
    return gnuplot_draw(base, 1280, 480, write_curves, &curves, status);
}

struct factors {
    const char *title;
    const struct plot_panel *panels;
    int panel_count;
};

static void write_factor_panel(const struct plot_panel *panel, FILE *script, int index)
{
    fprintf(script, "set title ");
    gnuplot_write_string(script, panel->title);
    fprintf(script, "\nset xrange [-0.6:%d.6]\nset xtics (", panel->bar_count - 1);
    for (int b = 0; b < panel->bar_count; b++) {
        gnuplot_write_string(script, panel->bars[b].label);
        fprintf(script, " %d%s", b, b + 1 < panel->bar_count ? ", " : ")\n");
    }
    fprintf(script, "$panel%d << EOD\n", index);
    for (int b = 0; b < panel->bar_count; b++)
        fprintf(script, "%d %.9g %.9g %.9g\n", b, 100 * panel->bars[b].low, 100 * panel->bars[b].median,
                100 * panel->bars[b].high);
    fprintf(script, "EOD\nplot $panel%d using 1:3:2:4 with yerrorbars pt 7 ps 1.1 lw 2 lc rgb '%s' notitle\n", index,
            colours[index % COLOUR_COUNT]);
}

static void write_factors(const void *body, FILE *script)
{
    const struct factors *factors = body;
    double low = 100, high = 0;
    for (int p = 0; p < factors->panel_count; p++) {
        for (int b = 0; b < factors->panels[p].bar_count; b++) {
            const struct plot_bar *bar = &factors->panels[p].bars[b];
            low = 100 * bar->low < low ? 100 * bar->low : low;
            high = 100 * bar->high > high ? 100 * bar->high : high;
        }
    }
    write_style(script);
    fprintf(script, "set multiplot layout 1,%d title ", factors->panel_count);
    gnuplot_write_string(script, factors->title);
    fprintf(script, " font 'DejaVu Sans,14'\nset ylabel 'best accuracy (%%): lowest, median, highest'\n"
                    "set yrange [%.3g:%.3g]\nset xtics rotate by -30\n",
            low - 2, high + 2);
    for (int p = 0; p < factors->panel_count; p++) write_factor_panel(&factors->panels[p], script, p);
    fputs("unset multiplot\n", script);
}

bool plot_factors(const char *base, const char *title, const struct plot_panel *panels, int panel_count,
                  struct status *status)
{
    struct factors factors = {title, panels, panel_count};
    return gnuplot_draw(base, 360 * (panel_count > 2 ? panel_count : 2), 460, write_factors, &factors, status);
}
