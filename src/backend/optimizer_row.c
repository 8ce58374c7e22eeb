/* The table of optimizers. An optimizer is added here, in OPTIMIZER_CHOICES (optimizer_row.h), and with its arithmetic in each
 * backend. */
#include "backend/optimizer_row.h"

#include <math.h>
#include <string.h>

static const struct optimizer_row rows[] = {
    [OPTIMIZER_SGD] = {.keys = {{.name = "momentum"}, {.name = "nesterov"}},
                       .states = {"momentum_buffer"},
                       .stateless_without_momentum = true},
    [OPTIMIZER_ADAM] = {.keys = {{.name = "beta1"}, {.name = "beta2"}, {.name = "epsilon"}},
                        .states = {"exp_avg", "exp_avg_sq"}},
    [OPTIMIZER_ADAMW] = {.keys = {{.name = "beta1"}, {.name = "beta2"}, {.name = "epsilon"}},
                         .states = {"exp_avg", "exp_avg_sq"}},
    [OPTIMIZER_LION] = {.keys = {{.name = "beta1"}, {"beta2", "0.99"}}, .states = {"exp_avg"}},
    [OPTIMIZER_MUON] = {.keys = {{"momentum", "0.95"},
                                 {"nesterov", "true"},
                                 {.name = "ns_steps"},
                                 {.name = "normalize_weights"},
                                 {.name = "adjust_rate"},
                                 {.name = "rest"},
                                 {.name = "adamw_learning_rate"},
                                 {.name = "beta1"},
                                 {.name = "beta2"},
                                 {.name = "epsilon"},
                                 {.name = "sgd_learning_rate"},
                                 {.name = "sgd_momentum"}},
                        .states = {"momentum_buffer"},
                        .matrix = true},
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

/* Returns the key of that name in the optimizer's row, or NULL. */
static const struct optimizer_key *find_key(enum optimizer_kind kind, const char *name)
{
    for (const struct optimizer_key *key = rows[kind].keys; key->name; key++)
        if (strcmp(key->name, name) == 0) return key;
    return NULL;
}

bool optimizer_reads(enum optimizer_kind kind, const char *key)
{
    static const char *const common[] = {"name", "learning_rate", "weight_decay", "rates", "decays"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strcmp(key, common[i]) == 0) return true;
    return find_key(kind, key) != NULL;
}

const char *optimizer_default(enum optimizer_kind kind, const char *key)
{
    const struct optimizer_key *found = find_key(kind, key);
    return found ? found->own_default : NULL;
}

double muon_scale(const struct optimizer_params *params, double o, double n)
{
    if (params->adjust_rate == ADJUST_RATE_ORIGINAL) return sqrt(fmax(1, o / n));
    return 0.2 * sqrt(fmax(o, n));
}
