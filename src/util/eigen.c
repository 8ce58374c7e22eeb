/* The cyclic method of Jacobi for the eigenvalues of a symmetric matrix (eigen.h). */
#include "util/eigen.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

enum { SWEEPS = 50 }; /* the method converges quadratically: some 10 do */

/* Rotates rows p and q of a matrix (n,n) against each other. */
static void rotate_rows(int64_t n, double *matrix, int64_t p, int64_t q, double c, double s)
{
    for (int64_t k = 0; k < n; k++) {
        double x = matrix[p * n + k], y = matrix[q * n + k];
        matrix[p * n + k] = c * x - s * y;
        matrix[q * n + k] = s * x + c * y;
    }
}

static void rotate_columns(int64_t n, double *matrix, int64_t p, int64_t q, double c, double s)
{
    for (int64_t k = 0; k < n; k++) {
        double x = matrix[k * n + p], y = matrix[k * n + q];
        matrix[k * n + p] = c * x - s * y;
        matrix[k * n + q] = s * x + c * y;
    }
}

/* Turns entry (p,q) of a into 0 by a rotation, which the eigenvectors take along. */
static void annihilate(int64_t n, double *a, double *vectors, int64_t p, int64_t q)
{
    double off = a[p * n + q];
    if (off == 0) return;
    double half = (a[q * n + q] - a[p * n + p]) / (2 * off);
    double t = (half < 0 ? -1 : 1) / (fabs(half) + sqrt(half * half + 1)); /* tangent of the smaller angle */
    double c = 1 / sqrt(t * t + 1), s = t * c;
    rotate_rows(n, a, p, q, c, s);
    rotate_columns(n, a, p, q, c, s);
    rotate_rows(n, vectors, p, q, c, s);
}

/* Tells whether what is beside the diagonal is below the rounding of what is on it. */
static bool is_diagonal(int64_t n, const double *a)
{
    double on = 0, off = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) *(i == j ? &on : &off) += a[i * n + j] * a[i * n + j];
    return off <= DBL_EPSILON * DBL_EPSILON * on;
}

/* Orders rows of vectors and values by value; equal ones keep their order. */
static void sort(int64_t n, double *vectors, double *values)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = i; k > 0 && values[k] > values[k - 1]; k--) {
            double value = values[k];
            values[k] = values[k - 1], values[k - 1] = value;
            for (int64_t j = 0; j < n; j++) {
                double x = vectors[k * n + j];
                vectors[k * n + j] = vectors[(k - 1) * n + j], vectors[(k - 1) * n + j] = x;
            }
        }
}

void eigen_symmetric(int64_t n, double *matrix, double *values)
{
    double *a = memory_alloc((size_t)(n * n), sizeof *a);
    memcpy(a, matrix, (size_t)(n * n) * sizeof *a);
    memset(matrix, 0, (size_t)(n * n) * sizeof *matrix);
    for (int64_t i = 0; i < n; i++) matrix[i * n + i] = 1;
    for (int sweep = 0; sweep < SWEEPS && !is_diagonal(n, a); sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) annihilate(n, a, matrix, p, q);
    for (int64_t i = 0; i < n; i++) values[i] = a[i * n + i];
    sort(n, matrix, values);
    free(a);
}
