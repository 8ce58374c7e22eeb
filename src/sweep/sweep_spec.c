/* Makes the list of trials from a config with a [sweep] section. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_check.h"
#include "config/experiment_read.h"
#include "config/experiment_value.h"
#include "sweep/sweep_keys.h"
#include "sweep/sweep_read.h"
#include "sweep/sweep_values.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

/* --- the keys of the section --- */

static bool set_setting(struct sweep *sweep, int index, const char *text, struct key_origin origin,
                        struct status *status)
{
    struct status problem;
    sweep->origins[index] = origin;
    if (experiment_value_parse(&sweep_keys[index], text, &sweep->settings, &problem)) return true;
    return sweep_fail(sweep->base.file, origin, sweep_keys[index].name, status, "%s", problem.message);
}

static bool fail_fixed(const struct sweep *sweep, const char *name, struct key_origin origin, struct status *status)
{
    char *others = experiment_keys_list_sweep();
    sweep_fail(sweep->base.file, origin, name, status, "cannot vary from trial to trial; these can: %s", others);
    free(others);
    return false;
}

/* Returns the factor of a key, empty. --set thus replaces the factor of the file; a key without a factor gets a new
 * one. */
static struct sweep_factor *place_factor(struct sweep *sweep, int key)
{
    for (int i = 0; i < sweep->factor_count; i++) {
        struct sweep_factor *factor = &sweep->factors[i];
        if (factor->key != key) continue;
        struct sweep_values values = {factor->values, factor->value_count};
        sweep_values_free(&values);
        free(factor->text);
        return factor;
    }
    sweep->factors = memory_resize(sweep->factors, (size_t)sweep->factor_count + 1, sizeof *sweep->factors);
    return &sweep->factors[sweep->factor_count++];
}

static bool set_factor(struct sweep *sweep, const char *name, int key, const char *text, struct key_origin origin,
                       struct status *status)
{
    const char *file = sweep->base.file;
    if (experiment_keys[key].sweep == KEY_SWEEP_FIXED) return fail_fixed(sweep, name, origin, status);
    struct status problem;
    struct sweep_values values;
    bool good = sweep_values_parse(&values, &experiment_keys[key], text, &problem);
    struct sweep_factor *factor = place_factor(sweep, key);
    *factor = (struct sweep_factor){key, origin, memory_copy_string(text), values.text, values.count};
    return good || sweep_fail(file, origin, name, status, "%s", problem.message);
}

static int find_experiment_key(const char *name)
{
    const char *dot = strchr(name, '.');
    if (!dot) return -1;
    char *section = memory_format("%.*s", (int)(dot - name), name);
    int key = experiment_key_find(section, dot + 1);
    free(section);
    return key;
}

static bool set_key(struct sweep *sweep, const char *name, const char *text, struct key_origin origin,
                    struct status *status)
{
    int setting = sweep_key_find(name), key = find_experiment_key(name);
    if (setting >= 0) return set_setting(sweep, setting, text, origin, status);
    if (key >= 0) return set_factor(sweep, name, key, text, origin, status);
    char suggestion[STATUS_MESSAGE_SIZE / 2];
    sweep_suggest_key(name, suggestion, sizeof suggestion);
    return sweep_fail(sweep->base.file, origin, name, status, "unknown key%s", suggestion);
}

/* --- the file and the command line --- */

static bool apply_section(struct sweep *sweep, const struct ini_file *ini, struct status *status)
{
    for (int i = 0; i < ini->entry_count; i++) {
        const struct ini_entry *entry = &ini->entries[i];
        if (strcmp(entry->section, experiment_sweep_section) != 0) continue;
        struct key_origin origin = {sweep->base.file, entry->line};
        if (!set_key(sweep, entry->key, entry->value, origin, status)) return false;
    }
    return true;
}

static void set_defaults(struct sweep *sweep)
{
    struct status problem;
    for (int i = 0; i < SWEEP_KEY_COUNT; i++)
        CHECK(experiment_value_parse(&sweep_keys[i], sweep_keys[i].default_text, &sweep->settings, &problem));
}

static bool read_config(struct sweep *sweep, const struct ini_file *ini, const char *path,
                        const struct experiment_override *overrides, int override_count, struct status *status)
{
    if (!experiment_read(&sweep->base, ini, path, overrides, override_count, status)) return false;
    set_defaults(sweep);
    bool good = apply_section(sweep, ini, status);
    for (int i = 0; good && i < override_count; i++) {
        if (strcmp(overrides[i].section, experiment_sweep_section) != 0) continue;
        good = set_key(sweep, overrides[i].key, overrides[i].value, (struct key_origin){"--set", i + 1}, status);
    }
    return good;
}

/* --- what depends on several keys --- */

/* Refuses a value outside [sweep] that no trial would have: it is a slip. */
static bool check_factor(const struct sweep *sweep, const struct sweep_factor *factor, struct status *status)
{
    const struct experiment_key *key = &experiment_keys[factor->key];
    struct key_origin other = sweep->base.origins[factor->key];
    if (!other.file) return true;
    char *name = memory_format("%s.%s", key->section, key->name);
    if (strcmp(other.file, "--set") == 0)
        status_fail(status, STATUS_USAGE, "--set %s: [sweep] varies this key; expected --set sweep.%s=...", name, name);
    else
        sweep_fail(sweep->base.file, factor->origin, name, status, "the key is also set in line %d; expected it once",
                   other.line);
    free(name);
    return false;
}

/* The set that ranks trials is the one by which a trial finds its best evaluation. */
static enum checkpoint_best best_by_of(const struct sweep *sweep)
{
    return sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? CHECKPOINT_BEST_BY_VALIDATION : CHECKPOINT_BEST_BY_TEST;
}

static bool check_factors(struct sweep *sweep, struct status *status)
{
    if (sweep->factor_count == 0)
        return status_fail(status, STATUS_USAGE,
                           "%s: expected a [sweep] section with at least one key to vary, like "
                           "optimizer.learning_rate = 1e-4 | 1e-3",
                           sweep->base.file);
    int64_t trials = 1;
    for (int i = 0; i < sweep->factor_count; i++) {
        const struct sweep_factor *factor = &sweep->factors[i];
        if (!check_factor(sweep, factor, status)) return false;
        trials *= factor->value_count;
        if (trials > SWEEP_TRIALS_MAX)
            return status_fail(status, STATUS_USAGE, "%s: [sweep] has more than the %d combinations that are possible",
                               sweep->base.file, SWEEP_TRIALS_MAX);
    }
    sweep->grid_size = (int32_t)trials;
    return true;
}

static bool varies(const struct sweep *sweep, const char *section, const char *name)
{
    int key = experiment_key_find(section, name);
    for (int i = 0; i < sweep->factor_count; i++)
        if (sweep->factors[i].key == key) return true;
    return false;
}

static bool check_halving(const struct sweep *sweep, struct status *status)
{
    if (sweep->settings.halving == SWEEP_HALVING_OFF) return true;
    if (varies(sweep, "train", "max_steps"))
        return sweep_setting_fail(sweep, "halving", status, "expected off, as train.max_steps varies");
    if (varies(sweep, "train", "epochs") || sweep->base.train.epochs > 0)
        return sweep_setting_fail(sweep, "halving", status,
                                  "expected off, as train.epochs gives the length of training: halving divides "
                                  "train.max_steps");
    if (sweep_rung_steps(sweep, sweep->base.train.max_steps, 1) >= 1) return true;
    return sweep_setting_fail(sweep, "rungs", status,
                              "the first of %" PRId64 " rungs has less than one step: train.max_steps is %" PRId64
                              ", sweep.eta %" PRId64,
                              sweep->settings.rungs, sweep->base.train.max_steps, sweep->settings.eta);
}

static bool check_best_by(const struct sweep *sweep, struct status *status)
{
    enum checkpoint_best wish = sweep->base.checkpoint.best_by;
    if (wish == CHECKPOINT_BEST_AUTO || wish == best_by_of(sweep)) return true;
    return experiment_fail(&sweep->base, "checkpoint.best_by", status,
                           "expected auto or the set of sweep.rank_by, which is %s",
                           sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? "validation" : "test");
}

static bool check_settings(const struct sweep *sweep, struct status *status)
{
    if (!check_best_by(sweep, status)) return false;
    if (sweep->settings.rank_by == SWEEP_RANK_VALIDATION && !experiment_may_validate(&sweep->base))
        return sweep_setting_fail(
            sweep, "rank_by", status,
            "validation needs samples that are held out, data.validation_size above 0; or rank by test");
    if (sweep->base.backend.threads > 1)
        return experiment_fail(&sweep->base, "backend.threads", status,
                               "expected nothing, as each trial of a sweep runs on one thread; see sweep.jobs");
    return check_halving(sweep, status);
}

static bool check_trials(struct sweep *sweep, struct status *status)
{
    for (int32_t trial = 0; trial < sweep->grid_size; trial++) {
        struct experiment experiment;
        if (!sweep_trial(sweep, trial, &experiment, status)) return false;
        if (trial == 0) memcpy(sweep->name, experiment.experiment.name, sizeof sweep->name);
        experiment_free(&experiment);
    }
    return true;
}

static void set_order(struct sweep *sweep)
{
    struct rng rng = rng_create((uint64_t)sweep->base.experiment.seed, RNG_STREAM_SEARCH, 0);
    int64_t limit = sweep->settings.limit;
    sweep->order = memory_alloc((size_t)sweep->grid_size, sizeof *sweep->order);
    if (sweep->settings.order == SWEEP_ORDER_RANDOM)
        rng_permutation(&rng, sweep->order, sweep->grid_size);
    else
        for (int32_t i = 0; i < sweep->grid_size; i++) sweep->order[i] = i;
    sweep->trial_count = limit > 0 && limit < sweep->grid_size ? (int32_t)limit : sweep->grid_size;
}

bool sweep_read(struct sweep *sweep, const struct ini_file *ini, const char *path,
                const struct experiment_override *overrides, int override_count, struct status *status)
{
    return read_config(sweep, ini, path, overrides, override_count, status) && check_factors(sweep, status) &&
           check_settings(sweep, status);
}

bool sweep_load(struct sweep *sweep, const char *path, const struct experiment_override *overrides, int override_count,
                struct status *status)
{
    *sweep = (struct sweep){0};
    struct ini_file ini;
    if (!ini_read(&ini, path, status)) return false;
    bool good = sweep_read(sweep, &ini, path, overrides, override_count, status) && check_trials(sweep, status);
    ini_free(&ini);
    if (good)
        set_order(sweep);
    else
        sweep_free(sweep);
    return good;
}

void sweep_free(struct sweep *sweep)
{
    for (int i = 0; i < sweep->factor_count; i++) {
        struct sweep_values values = {sweep->factors[i].values, sweep->factors[i].value_count};
        sweep_values_free(&values);
        free(sweep->factors[i].text);
    }
    free(sweep->factors);
    free(sweep->order);
    experiment_free(&sweep->base);
    *sweep = (struct sweep){0};
}

/* --- trials --- */

static int value_index(const struct sweep *sweep, int32_t trial, int f)
{
    for (int later = sweep->factor_count - 1; later > f; later--) trial /= sweep->factors[later].value_count;
    return trial % sweep->factors[f].value_count;
}

const char *sweep_value(const struct sweep *sweep, int32_t trial, int f)
{
    CHECK(trial >= 0 && trial < sweep->grid_size && f >= 0 && f < sweep->factor_count);
    return sweep->factors[f].values[value_index(sweep, trial, f)];
}

/* Names the trial in the message: a value that is good alone may be wrong beside another one. */
static bool fail_trial(const struct sweep *sweep, int32_t trial, const char *message, struct status *status)
{
    char values[STATUS_MESSAGE_SIZE / 2] = "";
    size_t used = 0;
    for (int f = 0; f < sweep->factor_count && used < sizeof values; f++) {
        const struct experiment_key *key = &experiment_keys[sweep->factors[f].key];
        used += (size_t)snprintf(values + used, sizeof values - used, "%s%s.%s = %s", f ? "; " : "", key->section,
                                 key->name, sweep_value(sweep, trial, f));
    }
    return status_fail(status, STATUS_USAGE, "%s (trial %" PRId32 ": %s)", message, trial + 1, values);
}

bool sweep_trial(const struct sweep *sweep, int32_t trial, struct experiment *experiment, struct status *status)
{
    struct status problem;
    experiment_copy(experiment, &sweep->base);
    for (int f = 0; f < sweep->factor_count; f++) {
        const struct sweep_factor *factor = &sweep->factors[f];
        struct key_origin origin = factor->origin;
        if (origin.file == sweep->base.file) origin.file = experiment->file;
        experiment->origins[factor->key] = origin;
        CHECK(
            experiment_value_parse(&experiment_keys[factor->key], sweep_value(sweep, trial, f), experiment, &problem));
    }
    experiment->checkpoint.best_by = best_by_of(sweep);
    if (experiment_check(experiment, &problem) && experiment_check_read(experiment, &problem)) return true;
    experiment_free(experiment);
    return fail_trial(sweep, trial, problem.message, status);
}

int sweep_rung_count(const struct sweep *sweep)
{
    return sweep->settings.halving == SWEEP_HALVING_ON ? (int)sweep->settings.rungs : 1;
}

int64_t sweep_rung_steps(const struct sweep *sweep, int64_t max_steps, int rung)
{
    for (int r = sweep_rung_count(sweep); r > rung; r--) max_steps /= sweep->settings.eta; /* rounded down */
    return max_steps;
}
