/* Networks that are no chains, for the tests of whole networks: every way in which outputs are read more than once, or
 * by a layer that is not the next. */
#ifndef TESTS_GRAPH_CASES_H
#define TESTS_GRAPH_CASES_H

#include "nn/network.h"

enum { GRAPH_MOST_LAYERS = 24 };

struct graph_case {
    const char *name;
    struct shape input; /* (N,C,H,W) */
    enum loss_kind loss;
    int count;
    struct layer_spec specs[GRAPH_MOST_LAYERS];
};

/* All cases. */
const struct graph_case *graph_case_list(int *count);

/* Builds the case's network; NULL where the backend lacks an operation that it takes. */
struct network *graph_case_build(const struct graph_case *graph, struct backend *backend);

#endif
