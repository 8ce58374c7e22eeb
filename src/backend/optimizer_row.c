/* The table of optimizers. An optimizer is added here, in OPTIMIZER_CHOICES (optimizer_row.h), and with its arithmetic in each
 * backend. */
#include "trainer/optimizer_row.h"

#include <string.h>

static const struct optimizer_row rows[] = {
    [OPTIMIZER_SGD] = {.keys = {"momentum", "nesterov"},
                       .states = {"momentum_buffer"},
                       .stateless_without_momentum = true},
    [OPTIMIZER_ADAM] = {.keys = {"beta1", "beta2", "epsilon"}, .states = {"exp_avg", "exp_avg_sq"}},
    [OPTIMIZER_ADAMW] = {.keys = {"beta1", "beta2", "epsilon"}, .states = {"exp_avg", "exp_avg_sq"}},
};

_Static_assert(sizeof rows / sizeof *rows == OPTIMIZER_CHOICES(CHOICE_COUNT), "a row for each optimizer");

static const char *const names[] = {OPTIMIZER_CHOICES(CHOICE_NAME)};

const struct optimizer_row *optimizer_row(enum optimizer_kind kind)
{
    return &rows[kind];
}

const char *optimizer_name(enum optimizer_kind kind)
{
    return names[kind];
}

int optimizer_state_count(enum optimizer_kind kind, const struct optimizer_params *params)
{
    const struct optimizer_row *row = &rows[kind];
    int count = 0;
    if (row->stateless_without_momentum && params->momentum == 0) return 0;
    while (row->states[count]) count++;
    return count;
}

bool optimizer_reads(enum optimizer_kind kind, const char *key)
{
    static const char *const common[] = {"name", "learning_rate", "weight_decay", NULL};
    const char *const *lists[] = {common, rows[kind].keys};
    for (int i = 0; i < 2; i++)
        for (const char *const *name = lists[i]; *name; name++)
            if (strcmp(*name, key) == 0) return true;
    return false;
}
