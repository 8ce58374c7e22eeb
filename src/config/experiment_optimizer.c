/* The keys of [optimizer]: which of them the chosen optimizer reads, and its own defaults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_check.h"
#include "config/experiment_value.h"
#include "util/check.h"
#include "util/memory.h"

enum { OPTIMIZERS = OPTIMIZER_CHOICES(CHOICE_COUNT) };

static bool is_of_optimizer(const struct experiment_key *key)
{
    return strcmp(key->section, "optimizer") == 0;
}

void experiment_set_optimizer_defaults(struct experiment *experiment)
{
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        const char *own = is_of_optimizer(key) ? optimizer_default(experiment->optimizer.name, key->name) : NULL;
        struct status problem;
        if (!own || experiment->origins[i].file) continue;
        CHECK(experiment_value_parse(key, own, experiment, &problem));
    }
}

bool experiment_check_read(const struct experiment *experiment, struct status *status)
{
    enum optimizer_kind optimizer = experiment->optimizer.name;
    for (int i = 0; i < experiment_key_count; i++) {
        const struct experiment_key *key = &experiment_keys[i];
        char value[VALUE_TEXT_SIZE];
        if (!is_of_optimizer(key) || optimizer_reads(optimizer, key->name)) continue;
        experiment_value_format(key, experiment, value, sizeof value);
        if (strcmp(value, key->default_text) == 0) continue;
        char *name = memory_format("optimizer.%s", key->name);
        experiment_fail(experiment, name, status, "expected %s, the default, as optimizer.name is %s, which has no %s",
                        key->default_text, optimizer_name(optimizer), key->name);
        free(name);
        return false;
    }
    return true;
}

bool experiment_key_varies(const struct experiment_key *key)
{
    for (int i = 0; is_of_optimizer(key) && i < OPTIMIZERS; i++)
        if (optimizer_default((enum optimizer_kind)i, key->name)) return true;
    return false;
}

static int reader_count(const struct experiment_key *key)
{
    int count = 0;
    for (int i = 0; is_of_optimizer(key) && i < OPTIMIZERS; i++)
        count += optimizer_reads((enum optimizer_kind)i, key->name);
    return count;
}

char *experiment_key_readers(const struct experiment_key *key)
{
    char *text;
    size_t size;
    const char *before = " Read by ";
    if (reader_count(key) == 0 || reader_count(key) == OPTIMIZERS) return memory_copy_string("");
    FILE *out = memory_stream(&text, &size);
    for (int i = 0; i < OPTIMIZERS; i++) {
        enum optimizer_kind optimizer = (enum optimizer_kind)i;
        const char *own = optimizer_default(optimizer, key->name);
        if (!optimizer_reads(optimizer, key->name)) continue;
        fprintf(out, "%s%s", before, optimizer_name(optimizer));
        if (own) fprintf(out, " (default %s)", own);
        before = ", ";
    }
    fputc('.', out);
    memory_stream_close(out, &text);
    return text;
}
