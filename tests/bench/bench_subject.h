/* A subject is one pass of one operation that bench_ops times, with its operands in device memory. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "op_cases.h"

enum pass { PASS_FORWARD, PASS_BACKWARD, PASS_EVALUATE, PASS_FUSED_FORWARD, PASS_FUSED_BACKWARD };

struct bench_case {
    const char *name; /* for people */
    struct op_case op;
    enum pass pass;
    bool pooled; /* fused passes: the ConvNet's max-pool too */
    bool large;  /* more than a cache holds */
};

const struct bench_case *bench_case_list(int *count);

struct subject {
    struct backend *backend;
    const struct bench_case *c;
    struct tensor x, y, dy, dx, weight, bias, dweight, dbias, gamma, beta, running_mean, running_var, mean, rstd;
    struct conv2d_plan *plan;
    struct update_plan *update_plan; /* for an optimizer that has one */
    struct batchnorm_fused_params fused;
    void *saved;
    int32_t *labels;
    void *state[OPTIMIZER_STATES]; /* states of an optimizer */
};

/* True where the backend has the operations of the case. */
bool subject_offered(const struct backend *backend, const struct bench_case *c);
void subject_open(struct subject *subject, struct backend *backend, const struct bench_case *c);
void subject_close(struct subject *subject);
void subject_run(struct subject *subject);

/* The fewest bytes that the pass must move, and its multiplications and additions (0: not counted). */
double subject_bytes(const struct subject *subject);
double subject_flops(const struct subject *subject);

#endif
