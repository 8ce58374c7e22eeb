/* Shards of a sweep: their names, their files, their trials (sweep_shard.h). */
#include "sweep/sweep_shard.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/number.h"
#include "util/rng.h"

bool sweep_shard_is_whole(const struct sweep_shard *shard)
{
    return shard->count == 0;
}

bool sweep_shard_is_same(const struct sweep_shard *a, const struct sweep_shard *b)
{
    return a->index == b->index && a->count == b->count;
}

bool sweep_shard_parse(const char *text, struct sweep_shard *shard, struct status *status)
{
    char *copy = memory_copy_string(text), *slash = strchr(copy, '/');
    int64_t index = -1, count = 0;
    if (slash) *slash = '\0';
    bool read = slash && number_parse_integer(copy, &index) && number_parse_integer(slash + 1, &count);
    free(copy);
    bool good = read && count >= 1 && count <= SWEEP_TRIALS_MAX && index >= 0 && index < count;
    if (!good)
        return status_fail(status, STATUS_USAGE,
                           "--shard: expected K/N with N from 1 to %d and K from 0 to N-1, found \"%s\"%s",
                           SWEEP_TRIALS_MAX, text, read && index == count ? "; the first shard is 0" : "");
    *shard = (struct sweep_shard){(int)index, (int)count};
    return true;
}

/* --- files --- */

char *sweep_shard_path(const struct sweep_shard *shard, const char *folder, const char *name, const char *ending)
{
    if (sweep_shard_is_whole(shard)) return memory_format("%s/%s.%s", folder, name, ending);
    return memory_format("%s/%s-%d-of-%d.%s", folder, name, shard->index, shard->count, ending);
}

/* Tells whether the file is the shard's: no other spelling of the numbers is. */
static bool is_file_of(const struct sweep_shard *shard, const char *file, const char *name, const char *ending)
{
    char *path = sweep_shard_path(shard, "", name, ending);
    bool same = strcmp(path + 1, file) == 0;
    free(path);
    return same;
}

bool sweep_shard_of_file(const char *file, const char *name, const char *ending, struct sweep_shard *shard)
{
    size_t length = strlen(name);
    *shard = (struct sweep_shard){0, 0};
    if (is_file_of(shard, file, name, ending)) return true;
    if (strncmp(file, name, length) != 0) return false;
    if (sscanf(file + length, "-%d-of-%d.", &shard->index, &shard->count) != 2) return false;
    return shard->index >= 0 && shard->index < shard->count && is_file_of(shard, file, name, ending);
}

static int compare(const void *a, const void *b)
{
    const struct sweep_shard *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

struct sweep_shard *sweep_shard_list(const char *folder, const char *name, const char *ending, int *count)
{
    struct sweep_shard *list = NULL, shard;
    DIR *entries = opendir(folder);
    *count = 0;
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        if (!sweep_shard_of_file(entry->d_name, name, ending, &shard)) continue;
        list = memory_resize(list, (size_t)*count + 1, sizeof *list);
        list[(*count)++] = shard;
    }
    if (entries) closedir(entries);
    if (*count > 0) qsort(list, (size_t)*count, sizeof *list, compare);
    return list;
}

/* --- trials --- */

int32_t sweep_shard_choose(const struct sweep_shard *shard, const struct sweep *sweep, const int32_t *trials,
                           int32_t count, int32_t *own)
{
    enum { OTHER, CANDIDATE, OWN };
    if (sweep_shard_is_whole(shard)) return memcpy(own, trials, (size_t)count * sizeof *own), count;
    size_t size = (size_t)sweep->grid_size;
    int32_t *permutation = memory_alloc(size, sizeof *permutation), place = 0, chosen = 0;
    char *kind = memory_alloc(size, 1);
    struct rng rng = rng_create((uint64_t)sweep->base.experiment.seed, RNG_STREAM_SHARDS, 0);
    rng_permutation(&rng, permutation, sweep->grid_size);
    for (int32_t i = 0; i < count; i++) kind[trials[i]] = CANDIDATE;
    for (int32_t i = 0; i < sweep->grid_size; i++)
        if (kind[permutation[i]] == CANDIDATE && place++ % shard->count == shard->index) kind[permutation[i]] = OWN;
    for (int32_t i = 0; i < count; i++)
        if (kind[trials[i]] == OWN) own[chosen++] = trials[i];
    free(permutation), free(kind);
    return chosen;
}

int32_t sweep_shard_most(const struct sweep_shard *shard, int32_t count)
{
    return sweep_shard_is_whole(shard) ? count : (count + shard->count - 1) / shard->count;
}
