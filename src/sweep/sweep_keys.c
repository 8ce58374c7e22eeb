/* The table of the sweep's own keys, and errors about them. */
#include "sweep/sweep_keys.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

/* clang-format off */
#define PLACE(key, going_on)                                                                                          \
    .section = "sweep", .name = #key, .offset = offsetof(struct sweep_settings, key), .resume = KEY_RESUME_##going_on
#define INTEGER(key, going_on, value, smallest, largest, words)                                                       \
    {PLACE(key, going_on), .type = KEY_INTEGER, .default_text = value, .low = smallest, .high = largest, .help = words}
#define CHOICE(key, going_on, value, list, words)                                                                     \
    {PLACE(key, going_on), .type = KEY_CHOICE, .default_text = value, .help = words, .choices = CHOICE_NAMES(list)}

/* `going_on` is a KEY_RESUME_ rule without its beginning: for a sweep with results that goes on. */
const struct experiment_key sweep_keys[] = {
    CHOICE(order, NO_HALVING, "grid", SWEEP_ORDER_CHOICES,
           "Order of the trials. grid: the last key changes fastest; random: an order drawn from experiment.seed."),
    CHOICE(rank_by, KEPT, "validation", SWEEP_RANK_CHOICES,
           "Set by whose best accuracy trials are ranked: the data.validation_size samples that are held out, or the "
           "test set."),
    INTEGER(limit, NO_HALVING, "0", 0, SWEEP_TRIALS_MAX, "Number of trials to run, the first of the order; 0: all."),
    INTEGER(jobs, FREE, "0", 0, 1024,
            "Number of trials that run at the same time, each on one thread; 0: one for each core that the process may "
            "use."),
    CHOICE(halving, KEPT, "off", SWEEP_HALVING_CHOICES,
           "Successive halving: all trials train for a short time, then the best 1/eta eta times as long, and so on."),
    INTEGER(eta, NO_HALVING, "3", 2, 100, "halving: the best 1/eta of the trials of a round go on."),
    INTEGER(rungs, NO_HALVING, "3", 2, 10, "halving: number of rounds; in the last one trials run all train.max_steps."),
};
/* clang-format on */

_Static_assert(sizeof sweep_keys / sizeof *sweep_keys == SWEEP_KEY_COUNT, "a row for each key of [sweep]");

static const char factors_help[] =
    "A key of [sweep] with a dot names a key of the experiment and lists its alternatives:\n"
    "  optimizer.learning_rate = 1e-5 | 1e-4 | 1e-3    three alternatives\n"
    "  model.hidden = 128 | 256, 128                   two: one hidden layer, and two\n"
    "  model.hidden = (128 | 256)^1..3                 every list of 1 to 3 entries, each 128 or 256: 14\n"
    "  model.hidden = | (128 | 256)^2                  no hidden layer, and every list of 2 entries: 5\n"
    "Every combination is a trial. These keys can vary:\n";

char *sweep_factors_help(void)
{
    char *keys = experiment_keys_list_sweep(), *text = memory_format("%s  %s\n", factors_help, keys);
    free(keys);
    return text;
}

int sweep_key_find(const char *name)
{
    for (int i = 0; i < SWEEP_KEY_COUNT; i++)
        if (strcmp(sweep_keys[i].name, name) == 0) return i;
    return -1;
}

void sweep_suggest_key(const char *name, char *text, size_t size)
{
    const char *dot = strchr(name, '.');
    if (dot) {
        char section[64];
        snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
        experiment_suggest_key(section, dot + 1, text, size);
        return;
    }
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) {
        if (!text_is_slip(name, sweep_keys[i].name)) continue;
        snprintf(text, size, "; did you mean sweep.%s?", sweep_keys[i].name);
        return;
    }
    /* The user may have left out the section of an experiment's key. */
    for (int i = 0; i < experiment_key_count; i++) {
        if (strcmp(name, experiment_keys[i].name) != 0) continue;
        snprintf(text, size, "; did you mean sweep.%s.%s?", experiment_keys[i].section, name);
        return;
    }
    snprintf(text, size, "; [sweep] has");
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) {
        size_t length = strlen(text);
        snprintf(text + length, size - length, " %s,", sweep_keys[i].name);
    }
    size_t length = strlen(text);
    snprintf(text + length, size - length, " and keys of the experiment, like optimizer.learning_rate");
}

static bool fail(const char *file, struct key_origin origin, const char *key, const char *message,
                 struct status *status)
{
    if (!origin.file) return status_fail(status, STATUS_USAGE, "%s: sweep.%s (default): %s", file, key, message);
    if (strcmp(origin.file, "--set") == 0) return status_fail(status, STATUS_USAGE, "--set sweep.%s: %s", key, message);
    return status_fail(status, STATUS_USAGE, "%s:%d: sweep.%s: %s", origin.file, origin.line, key, message);
}

bool sweep_fail(const char *file, struct key_origin origin, const char *key, struct status *status, const char *format,
                ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return fail(file, origin, key, message, status);
}

bool sweep_setting_fail(const struct sweep *sweep, const char *key, struct status *status, const char *format, ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    int index = sweep_key_find(key);
    CHECK(index >= 0);
    return fail(sweep->base.file, sweep->origins[index], key, message, status);
}

void sweep_print_defaults(FILE *out)
{
    experiment_comment_print("Only `trainer sweep` reads this section.", out);
    fprintf(out, "# [sweep]\n");
    for (int i = 0; i < SWEEP_KEY_COUNT; i++) experiment_key_print(&sweep_keys[i], true, out);
    char *factors = sweep_factors_help();
    experiment_comment_print(factors, out);
    free(factors);
}
