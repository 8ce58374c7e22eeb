/* Draws the graph of a network (network_lanes.h). */
#include "nn/network_lanes.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

int network_lanes_row(const struct network *network, int layer)
{
    int row = 0;
    if (layer == NETWORK_INPUT) return 0;
    while (layer >= network->groups[row].first + network->groups[row].count) row++;
    return row + 1;
}

/* Marks with true the rows that read row `from` and are not its next one. Returns the last of them, or `from`. */
static int find_readers(const struct network *network, int from, bool *reads)
{
    int last = from;
    memset(reads, 0, (size_t)(network->group_count + 1) * sizeof *reads);
    for (int i = 0; i < network->layer_count; i++) {
        int row = network_lanes_row(network, i);
        const struct layer_sources *sources = &network->layers[i].sources;
        for (int k = 0; k < sources->count; k++) {
            if (network_lanes_row(network, sources->layer[k]) != from || row <= from + 1) continue;
            reads[row] = true;
            if (row > last) last = row;
        }
    }
    return last;
}

/* Returns the first lane that is free below row `first` up to row `last`. What ends in row `first` may be followed by what
 * begins there. */
static int free_lane(const struct network_lanes *lanes, int first, int last)
{
    for (int lane = 0; lane < lanes->lanes; lane++) {
        int row = first + 1;
        while (row <= last && lanes->cells[row * lanes->lanes + lane] == 0) row++;
        if (row > last && !(lanes->cells[first * lanes->lanes + lane] & LANE_DOWN)) return lane;
    }
    return lanes->lanes;
}

static void add_lane(struct network_lanes *lanes)
{
    int count = lanes->lanes + 1;
    unsigned char *cells = memory_alloc((size_t)(lanes->rows * count), 1);
    for (int row = 0; row < lanes->rows; row++)
        if (lanes->lanes > 0) memcpy(cells + row * count, lanes->cells + row * lanes->lanes, (size_t)lanes->lanes);
    free(lanes->cells);
    lanes->cells = cells;
    lanes->lanes = count;
}

struct network_lanes network_lanes_draw(const struct network *network)
{
    struct network_lanes lanes = {.rows = network->group_count + 1};
    bool *reads = memory_alloc((size_t)lanes.rows, sizeof *reads);
    for (int from = 0; from < lanes.rows; from++) {
        int last = find_readers(network, from, reads);
        if (last == from) continue;
        int lane = free_lane(&lanes, from, last);
        if (lane == lanes.lanes) add_lane(&lanes);
        for (int row = from; row <= last; row++)
            lanes.cells[row * lanes.lanes + lane] |=
                (unsigned char)((row > from ? LANE_UP : 0) | (row < last ? LANE_DOWN : 0) |
                                (row == from || reads[row] ? LANE_NODE : 0));
    }
    free(reads);
    return lanes;
}

void network_lanes_free(struct network_lanes *lanes)
{
    free(lanes->cells);
    *lanes = (struct network_lanes){0};
}
