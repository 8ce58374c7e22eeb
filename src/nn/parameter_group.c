/* Finds the parameters of a group, and freezes groups (parameter_group.h). */
#include "nn/parameter_group.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "nn/layer_private.h"
#include "util/number.h"

enum { GROUP_SIZE = 256 };

const struct layer *network_head(const struct network *network)
{
    int i = network->layer_count - 1;
    while (i > 0 && network->layers[i].parameter_count == 0) i--;
    return &network->layers[i];
}

/* The index of the first linear layer. A network has one, as it ends with one. */
static int first_linear(const struct network *network)
{
    int i = 0;
    while (i < network->layer_count && network->layers[i].spec.kind != LAYER_LINEAR) i++;
    return i;
}

bool parameter_group_has(const char *group, const struct network *network, const struct layer *layer, int parameter)
{
    char name[64];
    int64_t count;
    if (strcmp(group, "features") == 0) return layer->index < first_linear(network);
    if (strcmp(group, "head") == 0) return layer == network_head(network);
    if (strcmp(group, "gamma") == 0) return layer_normalizes(layer) && parameter == 0;
    if (strcmp(group, "beta") == 0) return layer_normalizes(layer) && parameter == 1;
    if (number_parse_integer(group, &count)) return layer->index < count;
    snprintf(name, sizeof name, "layers.%d.%s", layer->index, layer->parameter[parameter].name);
    return fnmatch(group, name, 0) == 0;
}

const char *parameter_group_next(const char *list, char *group, size_t size)
{
    const char *blanks = " \t";
    list += strspn(list, blanks);
    if (*list == '\0') return NULL;
    size_t length = strcspn(list, ","), kept = length;
    while (kept > 0 && strchr(blanks, list[kept - 1])) kept--;
    if (kept >= size) kept = size - 1;
    memcpy(group, list, kept);
    group[kept] = '\0';
    return list + length + (list[length] == ',');
}

/* Calls `change` for each parameter of the group. Returns false where it has none. */
static bool each_of_group(struct network *network, const char *group, void (*change)(struct parameter *, double),
                          double value)
{
    int count = 0;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            if (!parameter_group_has(group, network, &network->layers[i], p)) continue;
            change(&network->layers[i].parameter[p], value);
            count++;
        }
    return count > 0;
}

static bool fail_group(const char *group, struct status *status)
{
    return status_fail(
        status, STATUS_USAGE,
        "expected features, head, gamma, beta, a number of layers, or a pattern of parameters' names such as "
        "layers.3.*, and a parameter that it stands for, found %s",
        *group ? group : "nothing");
}

/* --- learning rates and weight decays --- */

static void set_rate(struct parameter *parameter, double rate)
{
    parameter->rate = rate;
}

static void set_decay(struct parameter *parameter, double decay)
{
    parameter->decay = decay;
}

/* Cuts the factor off an entry "GROUP FACTOR". */
static bool take_factor(char *entry, double *factor)
{
    char *blank = strrchr(entry, ' ');
    if (!blank || !number_parse_real(blank + 1, factor) || *factor < 0) return false;
    while (blank > entry && blank[-1] == ' ') blank--;
    *blank = '\0';
    return true;
}

/* Calls `set` with the factor of each entry, for the parameters of its group. */
static bool set_factors(struct network *network, const char *list, void (*set)(struct parameter *, double),
                        struct status *status)
{
    char entry[GROUP_SIZE];
    double factor;
    for (const char *rest = list; (rest = parameter_group_next(rest, entry, sizeof entry)) != NULL;) {
        if (!take_factor(entry, &factor))
            return status_fail(status, STATUS_USAGE,
                               "expected a group of parameters and a factor from 0 up, as in features 0.1, found %s",
                               *entry ? entry : "nothing");
        if (!each_of_group(network, entry, set, factor)) return fail_group(entry, status);
    }
    return true;
}

bool network_set_rates(struct network *network, const char *rates, struct status *status)
{
    return set_factors(network, rates, set_rate, status);
}

bool network_set_decays(struct network *network, const char *decays, struct status *status)
{
    return set_factors(network, decays, set_decay, status);
}

/* --- frozen parameters --- */

static void set_frozen(struct parameter *parameter, double value)
{
    (void)value;
    parameter->frozen = true;
}

/* Tells for each layer whether a gradient must reach it: parameters are trained in it or in a layer before it. */
static void find_learning(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        int trained = 0;
        for (int p = 0; p < layer->parameter_count; p++) trained += !layer->parameter[p].frozen;
        layer->learns = trained > 0;
        layer->frozen = layer->parameter_count > 0 && trained == 0;
        layer->learns_before = false;
        for (int k = 0; k < layer->sources.count; k++) {
            int source = layer->sources.layer[k];
            if (source == NETWORK_INPUT) continue;
            layer->learns_before |= network->layers[source].learns;
        }
        layer->learns |= layer->learns_before;
    }
}

bool network_freeze(struct network *network, const char *groups, struct status *status)
{
    char group[GROUP_SIZE];
    for (const char *rest = groups; (rest = parameter_group_next(rest, group, sizeof group)) != NULL;)
        if (!each_of_group(network, group, set_frozen, 1)) return fail_group(group, status);
    find_learning(network);
    if (network->layers[network->layer_count - 1].learns) return true;
    return status_fail(status, STATUS_USAGE, "expected a parameter that is left to train, found none");
}
