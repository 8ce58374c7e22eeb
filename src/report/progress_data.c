/* Shows the progress of loading a data set. */
#include <inttypes.h>
#include <stdio.h>

#include "build/build.h"
#include "report/progress.h"
#include "report/progress_line.h"
#include "util/clock.h"
#include "util/thousands.h"

/* Rewrites the line at most as often as people can read it. */
static void show(void *context, const char *what, int64_t done, int64_t count)
{
    struct progress *progress = context;
    char share[80];
    if (!progress_due(progress)) return;
    snprintf(share, sizeof share, "%s of %s", thousands_format(done).text, thousands_format(count).text);
    const struct progress_field fields[] = {{what, 0}, {share, 1}};
    progress_line_show(progress, (double)done / (double)count, fields, 2);
}

typedef bool load_function(struct dataset *, const struct experiment *, const struct dataset_watch *, struct status *);

static bool load_shown(load_function *load, struct dataset *dataset, const struct experiment *experiment,
                       const struct run_output *output, struct status *status)
{
    struct progress progress;
    const struct dataset_watch watch = {show, &progress};
    progress_start(&progress, output, 0, 0);
    bool good = load(dataset, experiment, &watch, status);
    progress_close(&progress);
    return good;
}

bool progress_load_data(struct dataset *dataset, const struct experiment *experiment, const struct run_output *output,
                        struct status *status)
{
    return load_shown(dataset_from_experiment, dataset, experiment, output, status);
}

bool progress_load_files(struct dataset *dataset, const struct experiment *experiment, const struct run_output *output,
                         struct status *status)
{
    return load_shown(dataset_files_from_experiment, dataset, experiment, output, status);
}
