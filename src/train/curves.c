/* Draws the curves of a run at its end, and while a long run goes on. */
#include "train/curves.h"

#include <stdlib.h>
#include <unistd.h>

#include "report/plot.h"
#include "util/clock.h"
#include "util/memory.h"

static const double redraw_seconds = 30; /* a picture takes a tenth of a second or two */

void run_curves_start(struct run_curves *curves, const struct experiment *experiment, const char *folder)
{
    static const char *const endings[] = {"png", "svg"};
    *curves = (struct run_curves){.base = memory_format("%s/curves", folder), .drawn = clock_seconds()};
    curves->title = plot_title(experiment);
    curves->running = experiment->train.eval_train == EVAL_TRAIN_OFF;
    for (int i = 0; i < 2; i++) {
        char *path = memory_format("%s.%s", curves->base, endings[i]);
        unlink(path);
        free(path);
    }
}

void run_curves_free(struct run_curves *curves)
{
    free(curves->base);
    free(curves->title);
    free(curves->rows);
    *curves = (struct run_curves){0};
}

static bool draw(struct run_curves *curves, struct status *status)
{
    struct plot_run run = {curves->title, curves->rows, curves->count, curves->running};
    bool drawn = plot_curves(curves->base, curves->title, &run, 1, status);
    curves->drawn = clock_seconds();
    return drawn;
}

void run_curves_add(struct run_curves *curves, const struct metrics_row *row)
{
    if (curves->count == curves->capacity) {
        curves->capacity = curves->capacity ? 2 * curves->capacity : 64;
        curves->rows = memory_resize(curves->rows, (size_t)curves->capacity, sizeof *curves->rows);
    }
    curves->rows[curves->count++] = *row;
    struct status status;
    if (!curves->failed && clock_seconds() - curves->drawn >= redraw_seconds) curves->failed = !draw(curves, &status);
}

bool run_curves_finish(struct run_curves *curves, struct status *status)
{
    return draw(curves, status);
}
