#include "trainer/network.h"

#include <inttypes.h>
#include <string.h>

#include "util/thousands.h"

enum { NAME_WIDTH = 26, SHAPE_WIDTH = 14, COUNT_WIDTH = 16 };

static void print_row(FILE *out, const char *name, const char *shape, int64_t parameters, int64_t multiply_adds)
{
    fprintf(out, "%-*s%*s%*s%*s\n", NAME_WIDTH, name, SHAPE_WIDTH, shape, COUNT_WIDTH,
            parameters > 0 ? thousands_format(parameters).text : "-", COUNT_WIDTH,
            multiply_adds > 0 ? thousands_format(multiply_adds).text : "-");
}

static void print_rule(FILE *out)
{
    char rule[NAME_WIDTH + SHAPE_WIDTH + 2 * COUNT_WIDTH + 1];
    memset(rule, '-', sizeof rule - 1);
    rule[sizeof rule - 1] = '\0';
    fprintf(out, "%s\n", rule);
}

void network_print_summary(const struct network *network, FILE *out)
{
    int64_t multiply_adds = 0;
    char name[64], shape[64];
    fprintf(out, "%-*s%*s%*s%*s\n", NAME_WIDTH, "layer", SHAPE_WIDTH, "output", COUNT_WIDTH, "parameters", COUNT_WIDTH,
            "multiply-adds");
    print_rule(out);
    shape_format(network->input.shape, shape, sizeof shape);
    print_row(out, "input", shape, 0, 0);
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        layer_describe(layer, name, sizeof name);
        shape_format(layer->output, shape, sizeof shape);
        print_row(out, name, shape, layer_parameter_scalars(layer), layer->multiply_adds);
        multiply_adds += layer->multiply_adds; /* far from overflow: NETWORK_MAX_MULTIPLY_ADDS */
    }
    print_rule(out);
    print_row(out, "total", "", network->parameter_count, multiply_adds);
}
