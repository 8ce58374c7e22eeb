/* Draws the factors of a sweep: groups of values, their bars, and the panels (sweep_factors.h). */
#include "sweep/sweep_factors.h"

#include <stdlib.h>

#include "config/experiment_keys.h"
#include "report/plot.h"
#include "util/memory.h"
#include "util/thousands.h"

enum { BARS_MAX = 12 };

struct panel {
    char *title;
    struct plot_bar bars[BARS_MAX];
    char *labels[BARS_MAX];
    int bar_count;
};

/* --- groups of values --- */

/* Assigns each value of a factor to a bar. */
struct grouping {
    int *group; /* [value_count] */
    int count;
    /* [value_count] the number of entries of each group's lists, where lists are grouped by it; else NULL */
    int *entries;
};

/* A residual block of model.features is one entry. */
static int entry_count(const char *list)
{
    int count = *list != '\0', depth = 0;
    for (; *list; list++) {
        depth += (*list == '(') - (*list == ')');
        count += *list == ',' && depth == 0;
    }
    return count;
}

static struct grouping group_by_value(const struct sweep_factor *factor)
{
    struct grouping grouping = {.group = memory_alloc((size_t)factor->value_count, sizeof(int)),
                                .count = factor->value_count};
    for (int v = 0; v < factor->value_count; v++) grouping.group[v] = v;
    return grouping;
}

static struct grouping group_by_entries(const struct sweep_factor *factor)
{
    struct grouping grouping = {.group = memory_alloc((size_t)factor->value_count, sizeof(int)),
                                .entries = memory_alloc((size_t)factor->value_count, sizeof(int))};
    for (int v = 0; v < factor->value_count; v++) {
        int entries = entry_count(factor->values[v]), g = 0;
        while (g < grouping.count && grouping.entries[g] != entries) g++;
        if (g == grouping.count) grouping.entries[grouping.count++] = entries;
        grouping.group[v] = g;
    }
    return grouping;
}

static void grouping_free(struct grouping *grouping)
{
    free(grouping->group);
    free(grouping->entries);
}

/* --- bars --- */

static int compare_accuracies(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Makes a bar of the accuracies, which it sorts; returns false where there are none. */
static bool make_bar(double *accuracies, int32_t count, struct plot_bar *bar)
{
    if (count == 0) return false;
    qsort(accuracies, (size_t)count, sizeof *accuracies, compare_accuracies);
    bar->low = accuracies[0];
    bar->median = (accuracies[(count - 1) / 2] + accuracies[count / 2]) / 2;
    bar->high = accuracies[count - 1];
    return true;
}

static int value_of(const struct sweep *sweep, int32_t trial, int f)
{
    const char *value = sweep_value(sweep, trial, f); /* points to the factor's own string */
    int v = 0;
    while (sweep->factors[f].values[v] != value) v++;
    return v;
}

/* Collects the best accuracies of the trials of a group; returns their number. */
static int32_t collect(const struct sweep *sweep, const struct sweep_results *results, int f,
                       const struct grouping *grouping, int group, double *accuracies)
{
    int32_t count = 0;
    for (int32_t i = 0; i < results->count; i++) {
        const struct sweep_result *row = &results->rows[i];
        if (row->rung != 1 || row->outcome != SWEEP_OK) continue;
        if (grouping->group[value_of(sweep, row->trial, f)] == group) accuracies[count++] = row->best_accuracy;
    }
    return count;
}

static char *group_label(const struct sweep_factor *factor, const struct grouping *grouping, int group)
{
    if (!grouping->entries) return memory_copy_string(*factor->values[group] ? factor->values[group] : "none");
    return memory_format("%d", grouping->entries[group]);
}

/* --- panels --- */

/* Makes a factor's panel; returns false where the factor has too few or too many values for one. */
static bool make_panel(const struct sweep *sweep, const struct sweep_results *results, int f, struct panel *panel)
{
    const struct sweep_factor *factor = &sweep->factors[f];
    const struct experiment_key *key = &experiment_keys[factor->key];
    bool is_list = key->type == KEY_INTEGERS || key->type == KEY_FEATURES;
    bool by_entries = is_list && factor->value_count > BARS_MAX;
    struct grouping grouping = by_entries ? group_by_entries(factor) : group_by_value(factor);
    double *accuracies = memory_alloc((size_t)results->count, sizeof *accuracies);
    *panel = (struct panel){0};
    for (int g = 0; g < grouping.count && grouping.count <= BARS_MAX; g++) {
        int32_t count = collect(sweep, results, f, &grouping, g, accuracies);
        int bar = panel->bar_count;
        if (!make_bar(accuracies, count, &panel->bars[bar])) continue;
        panel->bars[bar].label = panel->labels[bar] = group_label(factor, &grouping, g);
        panel->bar_count++;
    }
    const char *counted = key->type == KEY_INTEGERS ? " (number of layers)" : " (number of entries)";
    panel->title = memory_format("%s.%s%s", key->section, key->name, by_entries ? counted : "");
    free(accuracies);
    grouping_free(&grouping);
    return panel->bar_count >= 2;
}

static void panel_free(struct panel *panel)
{
    for (int i = 0; i < panel->bar_count; i++) free(panel->labels[i]);
    free(panel->title);
}

static bool draw(const struct sweep *sweep, const struct panel *panels, int count, int32_t trials, const char *base,
                 struct status *status)
{
    struct plot_panel *plots = memory_alloc((size_t)count, sizeof *plots);
    for (int i = 0; i < count; i++)
        plots[i] = (struct plot_panel){panels[i].title, panels[i].bars, panels[i].bar_count};
    char *title = memory_format("%s\nbest %s accuracy of %s trials by key", sweep->name,
                                sweep->settings.rank_by == SWEEP_RANK_VALIDATION ? "validation" : "test",
                                thousands_format(trials).text);
    bool drawn = plot_factors(base, title, plots, count, status);
    free(title);
    free(plots);
    return drawn;
}

bool sweep_factors_draw(const struct sweep *sweep, const struct sweep_results *results, const char *base,
                        struct status *status)
{
    struct panel *panels = memory_alloc((size_t)sweep->factor_count, sizeof *panels);
    int count = 0;
    int32_t trials = 0;
    for (int32_t i = 0; i < results->count; i++)
        trials += results->rows[i].rung == 1 && results->rows[i].outcome == SWEEP_OK;
    for (int f = 0; f < sweep->factor_count; f++) {
        if (make_panel(sweep, results, f, &panels[count]))
            count++;
        else
            panel_free(&panels[count]);
    }
    bool drawn = count == 0 || draw(sweep, panels, count, trials, base, status);
    for (int i = 0; i < count; i++) panel_free(&panels[i]);
    free(panels);
    return drawn;
}
