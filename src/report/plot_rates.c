/* Draws the losses of `trainer lr` against the learning rate (plot.h). */
#include <inttypes.h>
#include <math.h>

#include "report/gnuplot.h"
#include "report/plot.h"

enum { RATES_WIDTH = 900, RATES_HEIGHT = 520 };

struct rates {
    const char *title;
    const struct plot_rate *points;
    int count, marked;
};

/* The range of losses in the picture: up to the highest smoothed one before training comes apart. */
static void write_loss_range(const struct rates *rates, FILE *script)
{
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < rates->count; i++) {
        double value = rates->points[i].smoothed;
        if (!isfinite(value)) continue;
        low = fmin(low, value), high = fmax(high, i == 0 || value < 2 * rates->points[0].smoothed ? value : high);
    }
    if (low <= high)
        fprintf(script, "set yrange [%.9g:%.9g]\n", low - 0.1 * (high - low) - 1e-9, high + 0.1 * (high - low) + 1e-9);
}

static void write_rates(const void *body, FILE *script)
{
    const struct rates *rates = body;
    fputs("$points << EOD\n", script);
    for (int i = 0; i < rates->count; i++) {
        const struct plot_rate *point = &rates->points[i];
        if (isfinite(point->loss) && isfinite(point->smoothed))
            fprintf(script, "%.9g %.9g %.9g\n", point->rate, point->loss, point->smoothed);
    }
    fputs("EOD\n"
          "set border 3 lc rgb '#555555'\nset tics nomirror\nset grid back lc rgb '#dddddd' lw 1 lt 1\n"
          "set logscale x\nset format x '%.0e'\nset xlabel 'learning rate'\nset ylabel 'loss of a batch'\n"
          "set key top left\nset title ",
          script);
    gnuplot_write_string(script, rates->title);
    fputc('\n', script);
    write_loss_range(rates, script);
    if (rates->marked >= 0) {
        double rate = rates->points[rates->marked].rate;
        fprintf(script, "set arrow 1 from %.9g, graph 0 to %.9g, graph 1 nohead lc rgb '#d55e00' dt 2\n", rate, rate);
    }
    fputs("plot $points using 1:2 with points pt 7 ps 0.4 lc rgb '#bbbbbb' title 'each batch', "
          "$points using 1:3 with lines lw 2 lc rgb '#0072b2' title 'smoothed'",
          script);
    if (rates->marked >= 0) fputs(", NaN with lines dt 2 lc rgb '#d55e00' title 'suggested'", script);
    fputc('\n', script);
}

bool plot_rates(const char *base, const char *title, const struct plot_rate *points, int count, int marked,
                struct status *status)
{
    struct rates rates = {title, points, count, marked};
    return gnuplot_draw(base, RATES_WIDTH, RATES_HEIGHT, write_rates, &rates, status);
}
