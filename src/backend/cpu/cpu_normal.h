/* The exponential function, the sigmoid and the normal distribution of a register. In fp64 the C library computes them,
 * lane by lane. In fp32 they are polynomials, to within two units in the last place of the result, or of 1 for the
 * distribution. */
#ifndef CPU_NORMAL_H
#define CPU_NORMAL_H

#include "backend/cpu/cpu_variant.h"

#if defined(CPU_SCALAR_f32)

#if defined(CPU_ISA_avx512) || defined(CPU_ISA_avx2)
#include <immintrin.h>
#endif

/* a b + c, rounded once where the instruction set has that, also in files that are compiled without contraction. */
static inline vec cpu_multiply_add(vec a, vec b, vec c)
{
#if defined(CPU_ISA_avx512)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(CPU_ISA_avx2)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* The polynomial with these coefficients, the constant one first. */
static inline __attribute__((always_inline)) vec cpu_polynomial(vec x, const int degree, const float *coefficients)
{
    vec sum = vec_set(coefficients[degree]);
    CPU_UNROLL
    for (int i = degree - 1; i >= 0; i--) sum = cpu_multiply_add(sum, x, vec_set(coefficients[i]));
    return sum;
}

/* x kept within [low, high]; NaN stays NaN. */
static inline vec cpu_clamp(vec x, float low, float high)
{
#if defined(CPU_ISA_avx512)
    return (vec)_mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), (__m512)x));
#elif defined(CPU_ISA_avx2)
    return (vec)_mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), (__m256)x));
#else
    x = vec_select(x < low, vec_set(low), x);
    return vec_select(x > high, vec_set(high), x);
#endif
}

/* exp(x) = 2^n exp(r), with n the whole number next to x / ln 2, so that |r| <= ln 2 / 2 and Taylor's polynomial of degree
 * 7 is exact to 5e-9. x is kept within [-87, 88], where the result is a normal number. */
static inline vec cpu_vec_exp(vec x)
{
    static const float taylor[] = {1, 1, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
    const float per_ln2 = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float magic = 0x1.8p23f; /* a number of this size has whole units in its last place */
    x = cpu_clamp(x, -87, 88);
    vec shifted = cpu_multiply_add(x, vec_set(per_ln2), vec_set(magic)), n = shifted - magic;
    vec r = cpu_multiply_add(n, vec_set(-ln2_low), cpu_multiply_add(n, vec_set(-ln2_high), x));
    vec sum = cpu_polynomial(r, 7, taylor);
    vec_int exponent = (vec_int)shifted - (vec_int)vec_set(magic) + 127;
    return sum * (vec)(exponent << 23);
}

#else

static inline vec cpu_vec_exp(vec x)
{
    for (int i = 0; i < CPU_LANES; i++) x[i] = exp(x[i]);
    return x;
}

#endif

static inline vec cpu_sigmoid(vec x)
{
    return (real)1 / ((real)1 + cpu_vec_exp(-x));
}

struct cpu_normal {
    vec distribution; /* Phi(x) = erfc(-x / sqrt(2)) / 2 */
    vec density;      /* phi(x) = exp(-x^2 / 2) / sqrt(2 pi) */
};

#if defined(CPU_SCALAR_f32)

/* Phi(-|x|) = exp(-x^2 / 2) t Q(t) with t = 1 / (1 + 0.32 |x|): the quotient of distribution and density is smooth in t
 * down to t = 0. Q is the polynomial of degree 9 with the smallest relative error on (0, 1], which is 3.2e-8. */
static inline struct cpu_normal cpu_normal(vec x)
{
    static const float q[] = {0.127661526f,  0.127660945f,  0.114622355f,  0.0878290715f, 0.0586541295f,
                              -0.009378064f, 0.0653288854f, -0.146708319f, 0.0954077197f, -0.0210782715f};
    const float density_at_0 = 0.398942280f;
    vec bell = cpu_vec_exp(x * x * -0.5f);
    vec magnitude = (vec)((vec_int)x & 0x7FFFFFFF);
    vec t = 1 / cpu_multiply_add(magnitude, vec_set(0.32f), vec_set(1)), tail = bell * t * cpu_polynomial(t, 9, q);
    return (struct cpu_normal){vec_select(x < 0, tail, 1 - tail), bell * density_at_0};
}

#else

static inline struct cpu_normal cpu_normal(vec x)
{
    struct cpu_normal normal;
    for (int i = 0; i < CPU_LANES; i++) {
        normal.distribution[i] = erfc(x[i] * -0.70710678118654752440) / 2;
        normal.density[i] = exp(x[i] * x[i] / -2) * 0.39894228040143267794;
    }
    return normal;
}

#endif

#endif
