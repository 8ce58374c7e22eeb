/* The host side of Muon (formula: optimizer_row.h); cuda_muon.cu has the kernels. A filter [O][K][K][I] is the row-major
 * matrix X (O,n). Its products are those of linear layers, y = x W^T, dx = dy W and dW = dy^T x:
 *   O <= n:  A = X X^T is y for x = X, W = X;    S X is dx for dy = S, W = X
 *   O > n:   A = X^T X is dW for dy = X, x = X;  X S is y for x = X, W = S, which is symmetric
 *   and A A is y for x = A, W = A, which is symmetric too.
 * Operands are fp32; with precision = tf32 or bf16 the products round them to tf32. */
#include "cuda_muon.h"

#include <stdlib.h>

#include "cublas_linear.h"
#include "util/memory.h"

struct cuda_muon_plan {
    struct cuda_muon matrices;
    struct cublas_linear *product, *square; /* of X and of A; one and the same where O > n */
};

struct cuda_muon_plan *cuda_muon_plan_create(struct cuda_backend *cuda, struct shape filter)
{
    struct cuda_muon_plan *plan = memory_alloc(1, sizeof *plan);
    int64_t o = filter.n, n = filter.c * filter.h * filter.w, side = o < n ? o : n;
    plan->matrices = (struct cuda_muon){.rows = o, .columns = n, .side = side};
    size_t bytes = (size_t)(o * n) * sizeof(float), square = (size_t)(side * side) * sizeof(float);
    plan->matrices.x = cuda_alloc(cuda, bytes), plan->matrices.next = cuda_alloc(cuda, bytes);
    plan->matrices.gram = cuda_alloc(cuda, square), plan->matrices.square = cuda_alloc(cuda, square);
    plan->product = cublas_linear_create(cuda, CUDA_FP32, n, side);
    plan->square = o > n ? plan->product : cublas_linear_create(cuda, CUDA_FP32, side, side);
    return plan;
}

void cuda_muon_plan_free(struct cuda_backend *cuda, struct cuda_muon_plan *plan)
{
    if (!plan) return;
    float *const memory[] = {plan->matrices.x, plan->matrices.next, plan->matrices.gram, plan->matrices.square};
    for (int i = 0; i < 4; i++) cuda_free(cuda, memory[i]);
    if (plan->square != plan->product) cublas_linear_destroy(plan->square);
    cublas_linear_destroy(plan->product);
    free(plan);
}

/* X <- (a I + b A + c A^2) X, or X (a I + b A + c A^2). */
static void iterate(struct cuda_backend *cuda, struct cuda_muon_plan *plan)
{
    struct cuda_muon *m = &plan->matrices;
    int64_t rows = m->rows, side = m->side;
    bool tall = rows > side, fused, good;
    good = tall ? cublas_linear_dweight(plan->product, rows, m->x, m->x, m->gram, NULL, &fused)
                : cublas_linear_forward(plan->product, rows, m->x, m->x, NULL, CUDA_FP32, m->gram, &fused);
    good = good && cublas_linear_forward(plan->square, side, m->gram, m->gram, NULL, CUDA_FP32, m->square, &fused);
    CHECK(good); /* cuBLASLt multiplies fp32 matrices of any size */
    CUDA_CHECK(cuda_muon_polynomial_launch(cuda->lane->stream, m));
    good = tall ? cublas_linear_forward(plan->product, rows, m->x, m->square, NULL, CUDA_FP32, m->next, &fused)
                : cublas_linear_dx(plan->product, rows, m->x, m->square, m->next);
    CHECK(good);
    float *x = m->next;
    m->next = m->x, m->x = x;
}

void cuda_muon_update(struct cuda_backend *cuda, struct cuda_muon_plan *plan, const struct cuda_update *update)
{
    struct cuda_muon *m = &plan->matrices;
    CHECK(update->count == m->rows * m->columns && update->state[0]);
    CUDA_CHECK(cuda_muon_average_launch(cuda->lane->stream, update, m));
    CUDA_CHECK(cuda_norm_launch(cuda->lane->stream, m->rows * m->columns, m->x, cuda->norm_sums));
    CUDA_CHECK(cuda_muon_normalize_launch(cuda->lane->stream, m, cuda->norm_sums));
    for (int64_t i = 0; i < update->rule.params.ns_steps; i++) iterate(cuda, plan);
    bool normalize = update->rule.params.normalize_weights;
    if (normalize) CUDA_CHECK(cuda_norm_launch(cuda->lane->stream, m->rows * m->columns, update->w, cuda->norm_sums));
    CUDA_CHECK(
        cuda_muon_step_launch(cuda->lane->stream, update, cuda_state(cuda), m, normalize ? cuda->norm_sums : NULL));
}

/* With X elements of the filter and S of its side's square, in addition to w, dw and m: x is written and read twice and
 * written before the iterations, and read after them. An iteration reads x, writes gram; reads gram, writes square; reads
 * gram, changes square; reads x and square, writes next. A filter that is normalized is read
 * once more. */
struct op_launches cuda_muon_launches(struct shape filter, const struct optimizer_params *params)
{
    int64_t o = filter.n, n = shape_sample_count(filter), side = o < n ? o : n;
    int64_t floats = (5 + params->normalize_weights) * o * n + params->ns_steps * (3 * o * n + 6 * side * side);
    return (struct op_launches){4 + params->normalize_weights + (int)params->ns_steps * 4,
                                floats * (int64_t)sizeof(float)};
}
