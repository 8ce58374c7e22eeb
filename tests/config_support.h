/* Configs for tests, in a new folder that is the current one during a test. Include after criterion. */
#ifndef TESTS_CONFIG_SUPPORT_H
#define TESTS_CONFIG_SUPPORT_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "../src/config/experiment_value.h"
#include "config/experiment.h"
#include "support.h"
#include "util/memory.h"

static char *test_folder;

/* Are the .init and .fini of a suite. */
static inline void enter_folder(void)
{
    test_folder = support_folder();
    cr_assert(chdir(test_folder) == 0);
    char *cache = support_path(test_folder, ".cache"); /* no test writes into the cache of its user */
    setenv("XDG_CACHE_HOME", cache, 1);
    free(cache);
}

static inline void leave_folder(void)
{
    support_folder_remove(test_folder);
}

/* Loads the text as the file x.ini. */
static inline bool load_text(struct experiment *experiment, const char *text, struct status *status)
{
    support_file_write("x.ini", text, strlen(text));
    return experiment_load(experiment, "x.ini", NULL, 0, status);
}

/* Cuts the texts of --set; free with experiment_overrides_free. Returns NULL after an error. */
static inline struct experiment_override *cut_overrides(const char *const *texts, int count, struct status *status)
{
    struct experiment_override *overrides = memory_alloc((size_t)count + 1, sizeof *overrides);
    for (int i = 0; i < count; i++) {
        if (experiment_override_parse(&overrides[i], texts[i], i + 1, status)) continue;
        experiment_overrides_free(overrides, i);
        return NULL;
    }
    return overrides;
}

/* Loads a config with --set options. */
static inline bool load_with(struct experiment *experiment, const char *path, const char *const *texts, int count,
                             struct status *status)
{
    struct experiment_override *overrides = cut_overrides(texts, count, status);
    if (!overrides) return false;
    bool good = experiment_load(experiment, path, overrides, count, status);
    experiment_overrides_free(overrides, count);
    return good;
}

/* Checks that a config with this text is refused with exactly this message. */
static inline void expect_failure(const char *text, const char *message)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert_not(load_text(&experiment, text, &status), "%s", text);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

/* Loads an empty config with --set options. */
static inline struct experiment load_overrides(const char *const *overrides, int count)
{
    struct experiment experiment;
    struct status status = {0};
    support_file_write("x.ini", "", 0);
    cr_assert(load_with(&experiment, "x.ini", overrides, count, &status), "%s", status.message);
    return experiment;
}

/* Chooses the configs of a folder, for scandir. */
static inline int is_ini(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".ini") == 0;
}

/* Chooses the configs that describe a single run, for scandir. */
static inline int is_experiment_ini(const struct dirent *entry)
{
    return is_ini(entry) && strncmp(entry->d_name, "sweep", 5) != 0;
}

/* Loads a config of configs/ that describes a single run. */
static inline struct experiment load_shipped(const char *name)
{
    char *path = support_path(CONFIG_FOLDER, name);
    struct experiment experiment;
    struct status status = {0};
    cr_assert(experiment_load(&experiment, path, NULL, 0, &status), "%s", status.message);
    free(path);
    return experiment;
}

#endif
