/* Experiments (trainer/experiment.h). */
#include <trainer/experiment.h>

#include <stdlib.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "config/experiment_read.h"
#include "config/experiment_value.h"
#include "library/library_private.h"
#include "util/memory.h"

struct experiment_override *library_overrides(const char *const *set, int set_count, struct status *status)
{
    struct experiment_override *overrides = memory_alloc((size_t)set_count, sizeof *overrides);
    for (int i = 0; i < set_count; i++) {
        if (experiment_override_parse(&overrides[i], set[i], i + 1, status)) continue;
        experiment_overrides_free(overrides, i);
        return NULL;
    }
    return overrides;
}

/* Appends the texts to the experiment's overrides. */
static bool add_overrides(struct trainer_experiment *experiment, const char *const *set, int set_count,
                          struct status *status)
{
    struct experiment_override *more = library_overrides(set, set_count, status);
    if (!more) return false;
    int count = experiment->override_count + set_count;
    experiment->overrides = memory_resize(experiment->overrides, (size_t)count, sizeof *more);
    memcpy(experiment->overrides + experiment->override_count, more, (size_t)set_count * sizeof *more);
    experiment->override_count = count;
    free(more);
    return true;
}

/* Reads the experiment anew, from what its file holds and from all that was set. */
static bool read_again(struct trainer_experiment *experiment, struct status *status)
{
    struct experiment read;
    if (!experiment_load_ini(&read, &experiment->ini, experiment->path, experiment->overrides,
                             experiment->override_count, status))
        return false;
    experiment_free(&experiment->experiment);
    experiment->experiment = read;
    return true;
}

static void remove_overrides(struct trainer_experiment *experiment, int count)
{
    while (experiment->override_count > count) free(experiment->overrides[--experiment->override_count].memory);
}

static bool set_keys(struct trainer_experiment *experiment, const char *const *set, int set_count,
                     struct status *status)
{
    int before = experiment->override_count;
    if (add_overrides(experiment, set, set_count, status) && read_again(experiment, status)) return true;
    remove_overrides(experiment, before);
    return false;
}

/* Makes an experiment of a file, or of a text where it is not NULL. */
static struct trainer_experiment *make(const char *path, const char *text, const char *const *set, int set_count,
                                       struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    struct trainer_experiment *made = memory_alloc(1, sizeof *made);
    made->path = memory_copy_string(path);
    bool good = text ? ini_read_text(&made->ini, path, text, strlen(text), &inner) : ini_read(&made->ini, path, &inner);
    good = good && set_keys(made, set, set_count, &inner);
    library_pass(&inner, status);
    if (good) return made;
    trainer_experiment_free(made);
    return NULL;
}

struct trainer_experiment *trainer_experiment_load(const char *path, const char *const *set, int set_count,
                                                   struct trainer_status *status)
{
    return make(path, NULL, set, set_count, status);
}

struct trainer_experiment *trainer_experiment_parse(const char *text, const char *name, const char *const *set,
                                                    int set_count, struct trainer_status *status)
{
    return make(name, text, set, set_count, status);
}

void trainer_experiment_free(struct trainer_experiment *experiment)
{
    if (!experiment) return;
    experiment_free(&experiment->experiment);
    experiment_overrides_free(experiment->overrides, experiment->override_count);
    ini_free(&experiment->ini);
    free(experiment->path);
    free(experiment);
}

bool trainer_experiment_set(struct trainer_experiment *experiment, const char *const *set, int set_count,
                            struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    set_keys(experiment, set, set_count, &inner);
    return library_pass(&inner, status);
}

static int find_key(const char *text, struct status *status)
{
    char suggestion[STATUS_MESSAGE_SIZE / 2];
    const char *dot = strchr(text, '.');
    if (!dot) return status_fail(status, STATUS_USAGE, "%s: expected section.key", text), -1;
    char *section = memory_format("%.*s", (int)(dot - text), text);
    int key = experiment_key_find(section, dot + 1);
    if (key < 0) {
        experiment_suggest_key(section, dot + 1, suggestion, sizeof suggestion);
        status_fail(status, STATUS_USAGE, "%s: unknown key%s", text, suggestion);
    }
    free(section);
    return key;
}

char *trainer_experiment_get(const struct trainer_experiment *experiment, const char *key,
                             struct trainer_status *status)
{
    char value[VALUE_TEXT_SIZE];
    struct status inner = {.code = STATUS_OK};
    int found = find_key(key, &inner);
    if (!library_pass(&inner, status)) return NULL;
    experiment_value_format(&experiment_keys[found], &experiment->experiment, value, sizeof value);
    return memory_copy_string(value);
}

char *trainer_experiment_text(const struct trainer_experiment *experiment)
{
    return experiment_text(&experiment->experiment);
}
