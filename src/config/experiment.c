/* Builds an experiment from a config: the defaults, then the file, then the overrides, then the checks of all
 * together. */
#include "config/experiment.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_check.h"
#include "config/experiment_keys.h"
#include "config/experiment_read.h"
#include "config/experiment_value.h"
#include "config/ini.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/shell.h"

static const char override_file[] = "--set";
const char experiment_sweep_section[] = "sweep";

static bool is_override(struct key_origin origin)
{
    return origin.file && strcmp(origin.file, override_file) == 0;
}

static int find_section_key(const char *section_key)
{
    const char *dot = strchr(section_key, '.');
    CHECK(dot);
    char *section = memory_format("%.*s", (int)(dot - section_key), section_key);
    int key = experiment_key_find(section, dot + 1);
    free(section);
    CHECK(key >= 0);
    return key;
}

struct key_origin experiment_origin(const struct experiment *experiment, const char *section_key)
{
    return experiment->origins[find_section_key(section_key)];
}

bool experiment_is_override(const struct experiment *experiment, const char *section_key)
{
    return is_override(experiment_origin(experiment, section_key));
}

void experiment_forget_origin(struct experiment *experiment, const char *section_key)
{
    experiment->origins[find_section_key(section_key)] = (struct key_origin){0};
}

bool experiment_fail(const struct experiment *experiment, const char *section_key, struct status *status,
                     const char *format, ...)
{
    struct key_origin origin = experiment_origin(experiment, section_key);
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!origin.file)
        return status_fail(status, STATUS_USAGE, "%s: %s (default): %s", experiment->file, section_key, message);
    if (is_override(origin)) return status_fail(status, STATUS_USAGE, "--set %s: %s", section_key, message);
    return status_fail(status, STATUS_USAGE, "%s:%d: %s: %s", origin.file, origin.line, section_key, message);
}

bool experiment_fail_placed(const struct experiment *experiment, const struct status *problem, struct status *status)
{
    char key[64];
    size_t length = strcspn(problem->message, ":");
    if (problem->code != STATUS_USAGE || strncmp(problem->message + length, ": ", 2) != 0 || length >= sizeof key) {
        *status = *problem;
        return false;
    }
    memcpy(key, problem->message, length);
    key[length] = '\0';
    return experiment_fail(experiment, key, status, "%s", problem->message + length + 2);
}

/* Sets the key in row `index` of the table and notes where its value comes from. */
static bool set_key(struct experiment *experiment, int index, const char *text, struct key_origin origin,
                    struct status *status)
{
    const struct experiment_key *key = &experiment_keys[index];
    experiment->origins[index] = origin;
    struct status problem;
    if (experiment_value_parse(key, text, experiment, &problem)) return true;
    char *section_key = memory_format("%s.%s", key->section, key->name);
    experiment_fail(experiment, section_key, status, "%s", problem.message);
    free(section_key);
    return false;
}

static bool set_named(struct experiment *experiment, const char *section, const char *name, const char *value,
                      struct key_origin origin, struct status *status)
{
    int key = experiment_key_find(section, name);
    if (key >= 0) return set_key(experiment, key, value, origin, status);
    char suggestion[STATUS_MESSAGE_SIZE / 2];
    experiment_suggest_key(section, name, suggestion, sizeof suggestion);
    if (is_override(origin))
        return status_fail(status, STATUS_USAGE, "--set %s.%s: unknown key%s", section, name, suggestion);
    return status_fail(status, STATUS_USAGE, "%s:%d: %s.%s: unknown key%s", origin.file, origin.line, section, name,
                       suggestion);
}

/* A config that a run saved holds every key that the program had then. So a key that it lacks is younger than the
 * run. */
static void set_defaults(struct experiment *experiment, bool saved)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        const char *text = saved && key->before ? key->before : key->default_text;
        bool from_file_name = key->type == KEY_TEXT && *text == '\0';
        struct status problem;
        CHECK(from_file_name || experiment_value_parse(key, text, experiment, &problem));
    }
}

static bool is_sweep(const char *section)
{
    return strcmp(section, experiment_sweep_section) == 0;
}

static bool apply_file(struct experiment *experiment, const struct ini_file *ini, struct status *status)
{
    for (int i = 0; i < ini->section_count; i++) {
        const struct ini_section *section = &ini->sections[i];
        if (experiment_section_exists(section->name) || is_sweep(section->name)) continue;
        char suggestion[STATUS_MESSAGE_SIZE / 2];
        experiment_suggest_section(section->name, suggestion, sizeof suggestion);
        return status_fail(status, STATUS_USAGE, "%s:%d: unknown section [%s]%s", experiment->file, section->line,
                           section->name, suggestion);
    }
    for (int i = 0; i < ini->entry_count; i++) {
        const struct ini_entry *entry = &ini->entries[i];
        if (is_sweep(entry->section)) continue;
        struct key_origin origin = {.file = experiment->file, .line = entry->line};
        if (!set_named(experiment, entry->section, entry->key, entry->value, origin, status)) return false;
    }
    return true;
}

static bool read_ini(struct experiment *experiment, const struct ini_file *ini, const char *path, bool saved,
                     const struct experiment_override *overrides, int override_count, struct status *status)
{
    memset(experiment, 0, sizeof *experiment);
    experiment->file = memory_copy_string(path);
    experiment->origins = memory_alloc((size_t)experiment_key_count, sizeof *experiment->origins);
    set_defaults(experiment, saved);
    bool good = apply_file(experiment, ini, status);
    for (int i = 0; good && i < override_count; i++) {
        const struct experiment_override *override = &overrides[i];
        struct key_origin origin = {override_file, i + 1};
        if (is_sweep(override->section)) continue;
        good = set_named(experiment, override->section, override->key, override->value, origin, status);
    }
    if (!good) experiment_free(experiment);
    return good;
}

bool experiment_read(struct experiment *experiment, const struct ini_file *ini, const char *path,
                     const struct experiment_override *overrides, int override_count, struct status *status)
{
    return read_ini(experiment, ini, path, false, overrides, override_count, status);
}

/* The keys of a sweep mean nothing to a single run, so such a run would not be the one that the file describes. */
static bool refuse_sweep(const struct ini_file *ini, const char *path, const struct experiment_override *overrides,
                         int override_count, struct status *status)
{
    int i = 0;
    for (; i < override_count; i++)
        if (is_sweep(overrides[i].section))
            return status_fail(status, STATUS_USAGE, "--set %s.%s: only for `trainer sweep`", overrides[i].section,
                               overrides[i].key);
    i = 0;
    while (i < ini->section_count && !is_sweep(ini->sections[i].name)) i++;
    if (i == ini->section_count) return true;
    char *word = shell_quote_path(path);
    status_fail(status, STATUS_USAGE,
                "%s:%d: section [%s] describes a search over many trials; run it with: trainer sweep %s", path,
                ini->sections[i].line, experiment_sweep_section, word);
    free(word);
    return false;
}

static bool load_ini(struct experiment *experiment, const struct ini_file *ini, const char *path, bool saved,
                     const struct experiment_override *overrides, int override_count, struct status *status)
{
    if (!refuse_sweep(ini, path, overrides, override_count, status) ||
        !read_ini(experiment, ini, path, saved, overrides, override_count, status))
        return false;
    if (experiment_check(experiment, status) && (saved || experiment_check_read(experiment, status))) return true;
    experiment_free(experiment);
    return false;
}

/* Reads the file at `path` where `text` is NULL. */
static bool load(struct experiment *experiment, const char *path, const char *text, bool saved,
                 const struct experiment_override *overrides, int override_count, struct status *status)
{
    struct ini_file ini;
    memset(experiment, 0, sizeof *experiment);
    if (!(text ? ini_read_text(&ini, path, text, strlen(text), status) : ini_read(&ini, path, status))) return false;
    bool good = load_ini(experiment, &ini, path, saved, overrides, override_count, status);
    ini_free(&ini);
    return good;
}

bool experiment_load_ini(struct experiment *experiment, const struct ini_file *ini, const char *path,
                         const struct experiment_override *overrides, int override_count, struct status *status)
{
    return load_ini(experiment, ini, path, false, overrides, override_count, status);
}

bool experiment_load(struct experiment *experiment, const char *path, const struct experiment_override *overrides,
                     int override_count, struct status *status)
{
    return load(experiment, path, NULL, false, overrides, override_count, status);
}

bool experiment_load_text(struct experiment *experiment, const char *path, const char *text,
                          const struct experiment_override *overrides, int override_count, struct status *status)
{
    return load(experiment, path, text, false, overrides, override_count, status);
}

bool experiment_load_saved(struct experiment *experiment, const char *path, const char *text,
                           const struct experiment_override *overrides, int override_count, struct status *status)
{
    return load(experiment, path, text, true, overrides, override_count, status);
}

void experiment_copy(struct experiment *to, const struct experiment *from)
{
    *to = *from;
    to->file = memory_copy_string(from->file);
    to->origins = memory_alloc((size_t)experiment_key_count, sizeof *to->origins);
    for (int i = 0; i < experiment_key_count; i++) {
        to->origins[i] = from->origins[i];
        if (from->origins[i].file == from->file) to->origins[i].file = to->file;
    }
}

void experiment_free(struct experiment *experiment)
{
    free(experiment->origins);
    free(experiment->file);
    memset(experiment, 0, sizeof *experiment);
}
