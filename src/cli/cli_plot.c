/* Draws the curves of runs that are over or still going on: of one, or of several in one picture. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "cli/cli_runs.h"
#include "report/plot.h"
#include "util/memory.h"

/* Returns the title that the run gave its own picture, or the folder's name where the run's config is missing. */
static char *title_of(const struct cli_source *sources, int count)
{
    if (count > 1) return memory_format("%d runs", count);
    struct experiment experiment;
    struct status ignored;
    if (!cli_run_experiment(&experiment, sources->folder, NULL, 0, &ignored)) return memory_copy_string(sources->label);
    char *title = plot_title(&experiment);
    experiment_free(&experiment);
    return title;
}

/* Returns the pictures' path without its ending, in a new string. */
static char *base_of(const char *out, const struct cli_source *sources, int count)
{
    enum { LONGEST_NAME = 200 };
    if (out) {
        size_t length = strlen(out);
        bool has_ending =
            length > 4 && (strcmp(out + length - 4, ".png") == 0 || strcmp(out + length - 4, ".svg") == 0);
        return memory_format("%.*s", (int)(has_ending ? length - 4 : length), out);
    }
    if (count == 1) return memory_format("%s/curves", sources->folder);
    char *base = memory_copy_string("curves");
    for (int i = 0; i < count; i++) {
        char *longer = memory_format("%s-%s", base, sources[i].label);
        free(base);
        base = longer;
    }
    for (char *c = base; *c; c++)
        if (*c == '/') *c = '-';
    if (strlen(base) <= LONGEST_NAME) return base;
    free(base);
    return memory_format("curves-of-%d-runs", count);
}

static bool draw(const struct cli_source *sources, int count, const char *out, struct status *status)
{
    struct plot_run *runs = memory_alloc((size_t)count, sizeof *runs);
    for (int i = 0; i < count; i++)
        runs[i] =
            (struct plot_run){sources[i].label, sources[i].rows, sources[i].row_count, sources[i].columns.running};
    char *title = title_of(sources, count), *base = base_of(out, sources, count);
    bool good = plot_curves(base, title, runs, count, status);
    if (good) printf("%s.png\n%s.svg\n", base, base);
    free(title);
    free(base);
    free(runs);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    int count;
    struct cli_source *sources = cli_sources_read(arguments->words, arguments->word_count, &count, status);
    if (!sources) return false;
    bool good = draw(sources, count, arguments->folder, status);
    cli_sources_free(sources, count);
    return good && cli_sources_check(count, arguments->word_count, status);
}

static const struct cli_operand operands[] = {CLI_OPERAND_RUNS, {0}};
static const struct cli_option options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "BASE",
     .help = "Write BASE.png and BASE.svg; default: curves in the run's folder, or curves-<names> in the current "
             "folder for several runs.",
     .expected = "a path without its ending",
     CLI_FIELD(folder)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer plot runs/quickstart runs/faster", "Two runs in one picture."},
    {0},
};

const struct cli_command cli_plot = {
    .name = "plot",
    .summary = "Draw loss and accuracy of runs (folders, or metrics.csv files), overlaid if there are several.",
    .description = "Also while a run is still going on. Drawn by gnuplot.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
