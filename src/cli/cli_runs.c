/* Finds and reads the runs that the command line names. */
#include "cli/cli_runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/metrics_csv.h"
#include "util/file_regular.h"
#include "util/memory.h"
#include "util/warning.h"

/* --- the place of a run --- */

static void strip_slashes(char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = '\0';
}

/* Returns the folder's own name, also for "." and "..". */
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

static bool find_source(struct cli_source *source, const char *word, struct status *status)
{
    struct stat info;
    if (stat(word, &info) != 0) return fail_missing(word, status);
    source->folder = memory_copy_string(word);
    if (S_ISDIR(info.st_mode)) {
        strip_slashes(source->folder);
        source->csv = memory_format("%s/metrics.csv", source->folder);
        if (!file_regular_check(source->csv, status)) return false;
    } else {
        source->csv = memory_copy_string(word);
        char *slash = strrchr(source->folder, '/');
        if (slash == source->folder) slash++; /* the root's path is its slash */
        strcpy(slash ? slash : source->folder, slash ? "" : ".");
    }
    source->label = name_of(source->folder);
    return true;
}

static bool read_source(struct cli_source *source, const char *word, struct status *status)
{
    if (!find_source(source, word, status)) return false;
    if (!metrics_csv_read(source->csv, &source->columns, &source->rows, &source->row_count, status)) return false;
    if (source->row_count > 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: no evaluation in it yet", source->csv);
}

/* Labels the runs with the words of the command line where two folders share a name. */
static void tell_apart(struct cli_source *sources, char **words, int count)
{
    bool apart = true;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++) apart = apart && strcmp(sources[i].label, sources[k].label) != 0;
    for (int i = 0; i < count && !apart; i++) {
        free(sources[i].label);
        sources[i].label = memory_copy_string(words[i]);
    }
}

static void source_free(struct cli_source *source)
{
    free(source->folder);
    free(source->csv);
    free(source->label);
    free(source->rows);
    *source = (struct cli_source){0};
}

void cli_sources_free(struct cli_source *sources, int count)
{
    for (int i = 0; i < count; i++) source_free(&sources[i]);
    free(sources);
}

struct cli_source *cli_sources_read(char **words, int word_count, int *count, struct status *status)
{
    struct cli_source *sources = memory_alloc((size_t)word_count, sizeof *sources);
    char **good_words = memory_alloc((size_t)word_count, sizeof *good_words);
    *count = 0;
    for (int i = 0; i < word_count; i++) {
        if (read_source(&sources[*count], words[i], status)) {
            good_words[(*count)++] = words[i];
            continue;
        }
        source_free(&sources[*count]);
        if (word_count > 1) warning_print("%s", status->message);
    }
    tell_apart(sources, good_words, *count);
    free(good_words);
    if (*count > 0) return sources;
    free(sources);
    if (word_count > 1) status_fail(status, status->code, "none of %d runs could be read", word_count);
    return NULL;
}

bool cli_sources_check(int count, int word_count, struct status *status)
{
    return count == word_count ||
           status_fail(status, STATUS_RUNTIME, "%d of %d runs could not be read and are left out", word_count - count,
                       word_count);
}

/* --- the config of a run --- */

bool cli_run_experiment(struct experiment *experiment, const char *folder, const struct experiment_override *overrides,
                        int override_count, struct status *status)
{
    char *config = memory_format("%s/resolved.ini", folder);
    bool good = file_regular_check(config, status) &&
                experiment_load_saved(experiment, config, NULL, overrides, override_count, status);
    free(config);
    return good;
}
