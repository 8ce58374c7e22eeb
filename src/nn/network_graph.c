/* Finds which layers each layer reads (network_graph.h). */
#include "nn/network_graph.h"

#include <stdlib.h>
#include <string.h>

#include "nn/layer_private.h"
#include "util/check.h"
#include "util/memory.h"

/* The list of layers at hand. */
struct graph {
    const struct layer_spec *specs;
    int count;
    struct layer_sources *sources; /* of each layer */
    struct status *status;
};

static const char input_name[] = "input";

/* The first of layers first .. last-1 with that name; -1: none. */
static int find_name(const struct graph *graph, const char *name, int first, int last)
{
    for (int i = first; i < last; i++)
        if (graph->specs[i].name && strcmp(graph->specs[i].name, name) == 0) return i;
    return -1;
}

static bool check_name(const struct graph *graph, int layer)
{
    const struct layer_spec *spec = &graph->specs[layer];
    if (!spec->name) return true;
    if (!*spec->name)
        return layer_spec_fail(spec, layer, graph->status, "its name is empty, expected one letter or more");
    if (strcmp(spec->name, input_name) == 0)
        return layer_spec_fail(spec, layer, graph->status,
                               "its name is \"%s\", which means the network's input; expected another", input_name);
    int other = find_name(graph, spec->name, 0, layer);
    return other < 0 ||
           layer_spec_fail(spec, layer, graph->status,
                           "its name \"%s\" is that of layer %d too, expected one of its own", spec->name, other);
}

static bool find_source(const struct graph *graph, int layer, const char *name, int *source)
{
    const struct layer_spec *spec = &graph->specs[layer];
    bool of_input = strcmp(name, input_name) == 0;
    *source = of_input ? NETWORK_INPUT : find_name(graph, name, 0, layer);
    if (of_input || *source >= 0) return true;
    int later = find_name(graph, name, layer, graph->count);
    if (later >= 0)
        return layer_spec_fail(spec, layer, graph->status,
                               "it reads \"%s\", which is layer %d; expected \"%s\" or a layer before it", name, later,
                               input_name);
    return layer_spec_fail(spec, layer, graph->status,
                           "it reads \"%s\", which is no layer; expected \"%s\" or a layer before it", name,
                           input_name);
}

static bool check_count(const struct graph *graph, int layer)
{
    const struct layer_spec *spec = &graph->specs[layer];
    const struct layer_ops *ops = layer_ops_of(spec->kind);
    int found = graph->sources[layer].count;
    if (found >= ops->inputs.least && found <= ops->inputs.most) return true;
    const char *plural = found == 1 ? "" : "s";
    if (ops->inputs.least == ops->inputs.most)
        return layer_spec_fail(spec, layer, graph->status, "it has %d input%s, expected %d", found, plural,
                               ops->inputs.least);
    return layer_spec_fail(spec, layer, graph->status, "it has %d input%s, expected %d to %d", found, plural,
                           ops->inputs.least, ops->inputs.most);
}

static bool resolve_layer(const struct graph *graph, int layer)
{
    const struct layer_spec *spec = &graph->specs[layer];
    struct layer_sources *sources = &graph->sources[layer];
    if (!check_name(graph, layer)) return false;
    for (int k = 0; k < LAYER_MAX_INPUTS && spec->input[k]; k++) {
        if (!find_source(graph, layer, spec->input[k], &sources->layer[k])) return false;
        sources->count++;
    }
    if (sources->count == 0) *sources = (struct layer_sources){.count = 1, .layer = {layer - 1}};
    return check_count(graph, layer);
}

/* An output that no layer reads would be computed for nothing, and its parameters would have no gradient. */
static bool check_readers(const struct graph *graph)
{
    bool *read = memory_alloc((size_t)graph->count, sizeof *read);
    for (int i = 0; i < graph->count; i++)
        for (int k = 0; k < graph->sources[i].count; k++)
            if (graph->sources[i].layer[k] != NETWORK_INPUT) read[graph->sources[i].layer[k]] = true;
    int unread = 0;
    while (unread < graph->count - 1 && read[unread]) unread++;
    free(read);
    return unread == graph->count - 1 || layer_spec_fail(&graph->specs[unread], unread, graph->status,
                                                         "no layer reads its output, expected one after it that does");
}

struct layer_sources *network_graph_resolve(const struct layer_spec *specs, int count, struct status *status)
{
    struct graph graph = {.specs = specs, .count = count, .status = status};
    bool good = true;
    graph.sources = memory_alloc((size_t)count, sizeof *graph.sources);
    for (int i = 0; good && i < count; i++) good = resolve_layer(&graph, i);
    if (good && check_readers(&graph)) return graph.sources;
    free(graph.sources);
    return NULL;
}
