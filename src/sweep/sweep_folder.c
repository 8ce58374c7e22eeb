/* Keeps the folder of a sweep to one sweep: writes sweep.ini, and compares it with the sweep at hand. */
#include "sweep/sweep_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/experiment_value.h"
#include "sweep/sweep_keys.h"
#include "sweep/sweep_shard.h"
#include "util/check.h"
#include "util/file_atomic.h"
#include "util/file_lock.h"
#include "util/file_regular.h"
#include "util/folder.h"
#include "util/memory.h"

/* --- sweep.ini --- */

static const struct sweep_factor *find_factor(const struct sweep *sweep, int key)
{
    for (int f = 0; f < sweep->factor_count; f++)
        if (sweep->factors[f].key == key) return &sweep->factors[f];
    return NULL;
}

static bool is_name(const struct experiment_key *key)
{
    return strcmp(key->section, "experiment") == 0 && strcmp(key->name, "name") == 0;
}

/* Writes a key with its value. A default becomes a comment, since some defaults depend on keys that vary. A key whose
 * absence would stand for another value is always written. */
static void write_experiment_key(const struct sweep *sweep, int index, FILE *out)
{
    const struct experiment_key *key = &experiment_keys[index];
    char value[VALUE_TEXT_SIZE];
    experiment_value_format(key, &sweep->base, value, sizeof value);
    if (index == 0 || strcmp(key->section, key[-1].section) != 0)
        fprintf(out, "%s[%s]\n", index > 0 ? "\n" : "", key->section);
    bool name = is_name(key), given = name || key->before || sweep->base.origins[index].file;
    if (find_factor(sweep, index)) return;
    const char *shown = name ? sweep->name : value;
    fprintf(out, "%s%s =%s%s\n", given ? "" : "# ", key->name, *shown ? " " : "", shown);
}

void sweep_write(const struct sweep *sweep, FILE *out)
{
    fprintf(out, "# A sweep as `trainer sweep` understood it; defaults are comments.\n\n");
    for (int i = 0; i < experiment_key_count; i++) write_experiment_key(sweep, i, out);
    fprintf(out, "\n[sweep]\n");
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) {
        char value[VALUE_TEXT_SIZE];
        experiment_value_format(&sweep_keys[i], &sweep->settings, value, sizeof value);
        fprintf(out, "%s = %s\n", sweep_keys[i].name, value);
    }
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        fprintf(out, "%s.%s = %s\n", key->section, key->name, sweep->factors[f].text);
    }
}

static void write_body(const void *body, FILE *out)
{
    sweep_write(body, out);
}

/* --- is it the same sweep? --- */

/* The comparison of the stored sweep with the one at hand. */
struct comparison {
    const char *path; /* path of the stored sweep.ini */
    const struct sweep *there, *here;
    struct status *status;
};

static bool differ(const struct comparison *comparison, const char *what, const char *there, const char *here)
{
    return status_fail(comparison->status, STATUS_USAGE,
                       "%s: the folder holds the results of another sweep: %s is \"%s\" there, \"%s\" here; choose "
                       "another folder with --out",
                       comparison->path, what, there, here);
}

static bool compare_key(const struct comparison *comparison, const struct experiment_key *key, const void *there,
                        const void *here)
{
    char a[VALUE_TEXT_SIZE], b[VALUE_TEXT_SIZE];
    experiment_value_format(key, there, a, sizeof a);
    experiment_value_format(key, here, b, sizeof b);
    if (strcmp(a, b) == 0) return true;
    char *what = memory_format("%s.%s", key->section, key->name);
    differ(comparison, what, a, b);
    free(what);
    return false;
}

/* Returns the names of the keys that vary, in their order, on which the numbers of trials depend. */
static char *join_factors(const struct sweep *sweep)
{
    char *text = memory_copy_string("");
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        char *longer = memory_format("%s%s%s.%s", text, f ? ", " : "", key->section, key->name);
        free(text);
        text = longer;
    }
    return text;
}

static bool compare_factor_names(const struct comparison *comparison)
{
    char *there = join_factors(comparison->there), *here = join_factors(comparison->here);
    bool same = strcmp(there, here) == 0 || differ(comparison, "the list of keys in [sweep]", there, here);
    free(there);
    free(here);
    return same;
}

static bool same_values(const struct sweep_factor *a, const struct sweep_factor *b)
{
    bool same = a->value_count == b->value_count;
    for (int i = 0; same && i < a->value_count; i++) same = strcmp(a->values[i], b->values[i]) == 0;
    return same;
}

static bool compare_factors(const struct comparison *comparison)
{
    if (!compare_factor_names(comparison)) return false;
    for (int f = 0; f < comparison->here->factor_count; f++) {
        const struct sweep_factor *there = &comparison->there->factors[f], *here = &comparison->here->factors[f];
        if (same_values(there, here)) continue;
        const struct experiment_key *key = &experiment_keys[here->key];
        char *what = memory_format("sweep.%s.%s", key->section, key->name);
        differ(comparison, what, there->text, here->text);
        free(what);
        return false;
    }
    return true;
}

/* Returns true where a sweep with results may change the setting. */
static bool may_differ(const struct sweep *sweep, const struct experiment_key *setting)
{
    bool halving = sweep->settings.halving == SWEEP_HALVING_ON;
    return setting->resume == KEY_RESUME_FREE || (setting->resume == KEY_RESUME_NO_HALVING && !halving);
}

static bool compare(const struct comparison *comparison)
{
    const struct sweep *there = comparison->there, *here = comparison->here;
    if (!compare_factors(comparison)) return false;
    for (int i = 0; i < experiment_key_count; i++) {
        if (is_name(&experiment_keys[i]) || find_factor(here, i)) continue;
        if (!compare_key(comparison, &experiment_keys[i], &there->base, &here->base)) return false;
    }
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) {
        if (may_differ(here, &sweep_keys[i])) continue;
        if (!compare_key(comparison, &sweep_keys[i], &there->settings, &here->settings)) return false;
    }
    return true;
}

/* A sweep.ini of an older program lacks the younger keys; its trials had the values that stood for them then. */
static void set_younger_keys(struct sweep *stored)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        struct status problem;
        if (!key->before || stored->base.origins[i].file || find_factor(stored, i)) continue;
        CHECK(experiment_value_parse(key, key->before, &stored->base, &problem));
    }
}

static bool compare_stored(const struct sweep *sweep, const char *path, struct status *status)
{
    struct sweep stored;
    if (!file_regular_check(path, status) || !sweep_load(&stored, path, NULL, 0, status)) return false;
    set_younger_keys(&stored);
    struct comparison comparison = {path, &stored, sweep, status};
    bool same = compare(&comparison);
    sweep_free(&stored);
    return same;
}

/* --- opening --- */

/* Returns the path of a file with results, in a new string, or NULL. An empty one belongs to a sweep that ended before its
 * first trial did. */
static char *find_results(const char *folder)
{
    int count;
    char *found = NULL;
    struct sweep_shard *shards = sweep_shard_list(folder, "results", "csv", &count);
    for (int i = 0; i < count && !found; i++) {
        struct stat info;
        char *path = sweep_shard_path(&shards[i], folder, "results", "csv");
        if (stat(path, &info) == 0 && info.st_size > 0)
            found = path;
        else
            free(path);
    }
    free(shards);
    return found;
}

static bool is_mark(const char *folder, const char *name)
{
    struct sweep_shard shard;
    (void)folder;
    return strncmp(name, "sweep.ini", strlen("sweep.ini")) == 0 || sweep_shard_of_file(name, "results", "csv", &shard);
}

bool sweep_folder_check(const struct sweep *sweep, const char *folder, struct status *status)
{
    char *path = memory_format("%s/sweep.ini", folder), *results = find_results(folder);
    bool good;
    if (access(path, F_OK) == 0)
        good = compare_stored(sweep, path, status);
    else
        good =
            status_fail(status, STATUS_USAGE,
                        "%s: no sweep.ini beside it says which sweep it belongs to; choose another folder with --out",
                        results ? results : folder);
    free(path);
    free(results);
    return good;
}

/* Tells whether the file has the text that would be written. */
static bool is_written(const struct sweep *sweep, const char *path)
{
    char *text;
    size_t size, i = 0;
    int64_t there;
    struct status ignored;
    FILE *out = memory_stream(&text, &size), *file = file_regular_stream(path, &there, &ignored);
    sweep_write(sweep, out);
    memory_stream_close(out, &text);
    while (file && i < size && getc(file) == (unsigned char)text[i]) i++;
    bool same = file && i == size && getc(file) == EOF;
    if (file) fclose(file);
    free(text);
    return same;
}

/* Writes sweep.ini, or compares it. Shards that start together find the text that one of them wrote, and leave it. */
static bool claim(const struct sweep *sweep, const char *folder, struct status *status)
{
    char *path = memory_format("%s/sweep.ini", folder), *results = find_results(folder);
    bool good = results ? sweep_folder_check(sweep, folder, status)
                        : is_written(sweep, path) || file_atomic_print(path, write_body, sweep, status);
    free(path);
    free(results);
    return good;
}

/* Refuses to run the whole sweep while one of its shards runs, and a shard while the whole sweep does: each would train
 * what the other one trains. */
static bool check_others(const char *folder, const struct sweep_shard *shard, struct status *status)
{
    int count;
    bool good = true;
    struct sweep_shard *shards = sweep_shard_list(folder, "results", "csv", &count);
    for (int i = 0; i < count && good; i++) {
        if (sweep_shard_is_whole(&shards[i]) == sweep_shard_is_whole(shard)) continue;
        char *path = sweep_shard_path(&shards[i], folder, "results", "csv");
        if (file_is_locked(path))
            good =
                status_fail(status, STATUS_RUNTIME, "%s: %s is running in this folder", path,
                            sweep_shard_is_whole(shard) ? "a shard of the sweep" : "the whole sweep, without shards,");
        free(path);
    }
    free(shards);
    return good;
}

bool sweep_folder_open(const struct sweep *sweep, const char *folder, const struct sweep_shard *shard, int *descriptor,
                       struct status *status)
{
    bool whole = sweep_shard_is_whole(shard);
    return (whole ? folder_lock(folder, "sweep", descriptor, status) : folder_hold(folder, descriptor, status)) &&
           folder_check_marks(folder, "sweep", is_mark, status) && check_others(folder, shard, status) &&
           claim(sweep, folder, status);
}
