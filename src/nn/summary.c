/* Prints the table of a network's layers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nn/network_lanes.h"
#include "util/thousands.h"

enum { SHAPE_WIDTH = 14, COUNT_WIDTH = 16 };

static void print_row(FILE *out, int width, const char *name, const char *shape, int64_t parameters,
                      int64_t multiply_adds)
{
    fprintf(out, "%-*s%*s%*s%*s\n", width, name, SHAPE_WIDTH, shape, COUNT_WIDTH,
            parameters > 0 ? thousands_format(parameters).text : "-", COUNT_WIDTH,
            multiply_adds > 0 ? thousands_format(multiply_adds).text : "-");
}

static void print_rule(FILE *out, int width)
{
    for (int i = 0; i < width + SHAPE_WIDTH + 2 * COUNT_WIDTH; i++) fputc('-', out);
    fputc('\n', out);
}

int network_name_width(const struct network *network)
{
    int width = 26;
    for (int i = 0; i < network->group_count; i++) {
        char name[NETWORK_GROUP_TEXT];
        network_describe_group(network, network->groups[i], name, sizeof name);
        int length = (int)strlen(name);
        if (length > width) width = length;
    }
    return width;
}

/* Prints the lanes of a row and a blank; nothing for a chain. */
static void print_lanes(FILE *out, const struct network_lanes *lanes, int row)
{
    for (int i = 0; i < lanes->lanes; i++) {
        int cell = lanes->cells[row * lanes->lanes + i];
        fputc(cell & LANE_NODE ? '+' : cell ? '|' : ' ', out);
    }
    if (lanes->lanes > 0) fputc(' ', out);
}

void network_print_summary(const struct network *network, FILE *out)
{
    int64_t multiply_adds = 0;
    struct network_lanes lanes = network_lanes_draw(network);
    int width = network_name_width(network), whole = width + (lanes.lanes > 0 ? lanes.lanes + 1 : 0);
    char name[NETWORK_GROUP_TEXT], shape[64];
    fprintf(out, "%-*s%*s%*s%*s\n", whole, "layer", SHAPE_WIDTH, "output", COUNT_WIDTH, "parameters", COUNT_WIDTH,
            "multiply-adds");
    print_rule(out, whole);
    shape_format(network->input, shape, sizeof shape);
    print_lanes(out, &lanes, 0);
    print_row(out, width, "input", shape, 0, 0);
    for (int i = 0; i < network->group_count; i++) {
        struct layer_group group = network->groups[i];
        shape_format(network_describe_group(network, group, name, sizeof name), shape, sizeof shape);
        int64_t own = network_group_multiply_adds(network, group);
        print_lanes(out, &lanes, i + 1);
        print_row(out, width, name, shape, network_group_scalars(network, group), own);
        multiply_adds += own; /* far from overflow: NETWORK_MAX_MULTIPLY_ADDS */
    }
    print_rule(out, whole);
    print_row(out, whole, "total", "", network->parameter_count, multiply_adds);
    network_lanes_free(&lanes);
}
