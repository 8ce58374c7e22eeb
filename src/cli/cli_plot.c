/* Pictures of runs that are over or still going on: one, or several overlaid. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "report/csv.h"
#include "trainer/memory.h"
#include "trainer/plot.h"

/* A run on the command line: its folder, or a metrics.csv. */
struct source {
    char *folder, *csv;
    char *label; /* the folder's name */
    struct metrics_row *rows;
    int row_count;
};

/* --- where it is --- */

static void strip_slashes(char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = '\0';
}

/* The folder's own name, also of "." and "..". */
static char *name_of(const char *folder)
{
    char *full = realpath(folder, NULL);
    const char *path = full ? full : folder, *slash = strrchr(path, '/');
    char *name = memory_copy_string(slash && slash[1] ? slash + 1 : path);
    free(full);
    return name;
}

static bool fail_missing(const char *word, struct status *status)
{
    int cause = errno;
    char *usual = memory_format("runs/%s", word);
    if (access(usual, F_OK) == 0)
        status_fail(status, STATUS_USAGE, "%s: %s; did you mean %s?", word, strerror(cause), usual);
    else
        status_fail(status, STATUS_USAGE, "%s: %s; expected the folder of a run, or its metrics.csv", word,
                    strerror(cause));
    free(usual);
    return false;
}

static bool find_source(struct source *source, const char *word, struct status *status)
{
    struct stat info;
    if (stat(word, &info) != 0) return fail_missing(word, status);
    source->folder = memory_copy_string(word);
    if (S_ISDIR(info.st_mode)) {
        strip_slashes(source->folder);
        source->csv = memory_format("%s/metrics.csv", source->folder);
    } else {
        source->csv = memory_copy_string(word);
        char *slash = strrchr(source->folder, '/');
        if (slash == source->folder) slash++; /* the root */
        strcpy(slash ? slash : source->folder, slash ? "" : ".");
    }
    source->label = name_of(source->folder);
    return true;
}

static bool read_source(struct source *source, const char *word, struct status *status)
{
    if (!find_source(source, word, status)) return false;
    if (!metrics_csv_read(source->csv, &source->rows, &source->row_count, status)) return false;
    if (source->row_count > 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: no evaluation in it yet", source->csv);
}

static void free_sources(struct source *sources, int count)
{
    for (int i = 0; i < count; i++) {
        free(sources[i].folder);
        free(sources[i].csv);
        free(sources[i].label);
        free(sources[i].rows);
    }
    free(sources);
}

/* Names that two folders share tell nothing apart: then the words as they were given. */
static void tell_apart(struct source *sources, char **words, int count)
{
    bool apart = true;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++) apart = apart && strcmp(sources[i].label, sources[k].label) != 0;
    for (int i = 0; i < count && !apart; i++) {
        free(sources[i].label);
        sources[i].label = memory_copy_string(words[i]);
    }
}

/* --- the picture --- */

/* As the run itself was headed, if its config is beside it; else the folder's name. */
static char *title_of(const struct source *sources, int count)
{
    if (count > 1) return memory_format("%d runs", count);
    char *config = memory_format("%s/resolved.ini", sources->folder), *title;
    struct experiment experiment;
    struct status ignored;
    if (experiment_load(&experiment, config, NULL, 0, &ignored)) {
        title = plot_title(&experiment);
        experiment_free(&experiment);
    } else {
        title = memory_copy_string(sources->label);
    }
    free(config);
    return title;
}

/* The pictures' path without its ending. */
static char *base_of(const char *out, const struct source *sources, int count)
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

static bool draw(const struct source *sources, int count, const char *out, struct status *status)
{
    struct plot_run *runs = memory_alloc((size_t)count, sizeof *runs);
    for (int i = 0; i < count; i++)
        runs[i] = (struct plot_run){sources[i].label, sources[i].rows, sources[i].row_count};
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
    int count = arguments->word_count;
    struct source *sources = memory_alloc((size_t)count, sizeof *sources);
    bool good = true;
    for (int i = 0; good && i < count; i++) good = read_source(&sources[i], arguments->words[i], status);
    if (good) {
        tell_apart(sources, arguments->words, count);
        good = draw(sources, count, arguments->folder, status);
    }
    free_sources(sources, count);
    return good;
}

static const struct cli_operand operands[] = {{.name = "RUN",
                                               .help = "The folder of a run, or its metrics.csv.",
                                               .expected = "the folder of a run, or its metrics.csv",
                                               .kind = CLI_RUN,
                                               .repeated = true},
                                              {0}};
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
