/* One step of Muon for a filter (O,I,K,K), as a matrix of O rows and n = I*K*K columns (optimizer_row.h):
 *
 *   m <- momentum m + (1-momentum) dw,   X = m      (with nesterov: momentum m + (1-momentum) dw)
 *   X <- X / max(|X|, 1e-7)
 *   X <- (a I + b A + c A^2) X,   A = X X^T,        ns_steps times
 *   w <- w sqrt(O) / |w|                            (with normalize_weights)
 *   w <- w - lr decay w - lr s X */
#include <math.h>
#include <stdlib.h>

#include "backend/reference/reference.h"
#include "util/check.h"
#include "util/memory.h"

/* Returns a (p,q) times b (q,r) in new memory. */
static double *multiply(const double *a, const double *b, int64_t p, int64_t q, int64_t r)
{
    double *product = memory_alloc((size_t)(p * r), sizeof *product);
    for (int64_t i = 0; i < p; i++)
        for (int64_t k = 0; k < q; k++)
            for (int64_t j = 0; j < r; j++) product[i * r + j] += a[i * q + k] * b[k * r + j];
    return product;
}

/* Returns the transpose of a (p,q) in new memory. */
static double *transpose(const double *a, int64_t p, int64_t q)
{
    double *turned = memory_alloc((size_t)(p * q), sizeof *turned);
    for (int64_t i = 0; i < p; i++)
        for (int64_t j = 0; j < q; j++) turned[j * p + i] = a[i * q + j];
    return turned;
}

/* Returns (a I + b A + c A^2) X for X (o,n), and frees X. */
static double *iterate(double *x, int64_t o, int64_t n)
{
    double *turned = transpose(x, o, n), *gram = multiply(x, turned, o, n, o), *square = multiply(gram, gram, o, o, o);
    for (int64_t i = 0; i < o * o; i++) square[i] = MUON_B * gram[i] + MUON_C * square[i];
    for (int64_t i = 0; i < o; i++) square[i * o + i] += MUON_A;
    double *next = multiply(square, x, o, o, n);
    free(x), free(turned), free(gram), free(square);
    return next;
}

/* Returns the root of the sum of all squares. */
static double magnitude_of(const double *x, int64_t count)
{
    long double squares = 0;
    for (int64_t i = 0; i < count; i++) squares += x[i] * x[i];
    return sqrt((double)squares);
}

/* Returns X after the iterations, and frees X. Of a matrix and its transpose the one with fewer rows is iterated: the
 * result is the same, (a I + b X X^T + ...) X = X (a I + b X^T X + ...). */
static double *orthogonalize(double *x, int64_t o, int64_t n, int64_t steps)
{
    double magnitude = magnitude_of(x, o * n);
    if (magnitude < MUON_EPSILON) magnitude = MUON_EPSILON; /* NaN stays */
    for (int64_t i = 0; i < o * n; i++) x[i] /= magnitude;
    if (o > n) {
        double *turned = transpose(x, o, n);
        free(x);
        for (int64_t i = 0; i < steps; i++) turned = iterate(turned, n, o);
        x = transpose(turned, n, o);
        free(turned);
        return x;
    }
    for (int64_t i = 0; i < steps; i++) x = iterate(x, o, n);
    return x;
}

void reference_muon(const struct op_call *call)
{
    const struct optimizer_params *params = &call->op->update.params;
    struct shape s = call->tensor[UPDATE_W].shape;
    int64_t o = s.n, n = shape_sample_count(s);
    double *w = call->tensor[UPDATE_W].data, *m = call->tensor[UPDATE_STATE_0].data;
    const double *dw = call->tensor[UPDATE_DW].data;
    double *x = memory_alloc((size_t)(o * n), sizeof *x), rest = 1 - params->momentum;
    double lr = call->input->state.learning_rate * call->op->update.rate;
    CHECK(m);
    for (int64_t i = 0; i < o * n; i++) {
        m[i] = params->momentum * m[i] + rest * dw[i];
        x[i] = params->nesterov ? params->momentum * m[i] + rest * dw[i] : m[i];
    }
    x = orthogonalize(x, o, n, params->ns_steps);
    double magnitude = params->normalize_weights ? magnitude_of(w, o * n) : 0;
    for (int64_t i = 0; magnitude != 0 && i < o * n; i++) w[i] *= sqrt((double)o) / magnitude;
    for (int64_t i = 0; i < o * n; i++)
        w[i] -= lr * params->weight_decay * w[i] + lr * muon_scale(params, (double)o, (double)n) * x[i];
    free(x);
}
