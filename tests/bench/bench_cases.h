/* The operations that bench_ops times. */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include "op_cases.h"

struct bench_case {
    const char *name; /* for people */
    struct op_case op;
    enum op_kind timed; /* the one of its operations that counts */
    bool large;         /* more than a cache holds */
};

const struct bench_case *bench_case_list(int *count);

#endif
