/* The reference backend: each operation as it is defined, in plain scalar double precision. One file per operation opens
 * with its formula, in the letters of backend/backend.h and docs/derivations.md, and the code is that formula as loops.
 * It is the specification of the other backends, and their tests compare with it. Speed is no aim: one thread, no
 * blocks, no order of elements but the boundary's (N,C,H,W and O,I,K,K), no padding. Sums that run over a whole channel or
 * arena are long doubles, so that their own rounding does not show in a comparison. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "backend/prepared.h"

/* Creates the backend. Of the options only the precision counts, which must be fp64. */
bool reference_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

/* The functions of all kinds: reference_<row>, below. */
extern const struct op_function reference_functions[OP_KIND_COUNT];

#define REFERENCE_FUNCTION(suffix, row) void reference_##row(struct backend *backend, const struct op_call *call);
OP_KINDS(REFERENCE_FUNCTION)
#undef REFERENCE_FUNCTION

/* Element (n,c,h,w) of an activation, (o,i,k,l) of a filter. */
static inline double *reference_at(const struct tensor *x, int64_t n, int64_t c, int64_t h, int64_t w)
{
    struct shape s = x->shape;
    return (double *)x->data + ((n * s.c + c) * s.h + h) * s.w + w;
}

/* True where (h,w) is a pixel of x and not of the padding around it. */
static inline bool reference_inside(const struct tensor *x, int64_t h, int64_t w)
{
    return h >= 0 && h < x->shape.h && w >= 0 && w < x->shape.w;
}

/* The channel of an activation's element i in the boundary's order; and element s of the N*H*W that channel c has. */
static inline int64_t reference_channel_of(struct shape shape, int64_t i)
{
    return i / (shape.h * shape.w) % shape.c;
}

static inline int64_t reference_element(struct shape shape, int64_t c, int64_t s)
{
    int64_t plane = shape.h * shape.w;
    return (s / plane * shape.c + c) * plane + s % plane;
}

/* Zeroes a tensor; nothing where its slot is empty. */
void reference_zero(const struct tensor *x);

/* --- parts of several operations --- */

/* f(x), and the gradient f'(x) dy (struct activation_params). */
double reference_activate(struct activation_params f, double x);
double reference_activation_slope(struct activation_params f, double x, double dy);

/* POOL and POOL_BACKWARD of an image x that need not be an operand. `saved`, which may be NULL forward and is not read
 * for an average, has for each output the number h*W + w of the pixel that won. */
void reference_pool_values(struct pool_params pool, const struct tensor *x, const struct tensor *y, int64_t *saved);
void reference_pool_gradients(struct pool_params pool, const struct tensor *dy, const int64_t *saved,
                              const struct tensor *dx);

/* Softmax of sample n: returns m = max_k x_k, and in `sum` the sum over k of exp(x_k - m). */
double reference_softmax_sum(const struct tensor *x, int64_t n, double *sum);

/* UPDATE by Muon, of a whole filter. */
void reference_muon(const struct op_call *call);

#endif
