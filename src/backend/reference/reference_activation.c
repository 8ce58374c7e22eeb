/* Activations, element by element: y = f(x), dx = f'(x) dy. With a the slope:
 *
 *   relu        f(x) = x > 0 ? x : 0                  dx = x > 0 ? dy : 0
 *   relu6       f(x) = min(max(0, x), 6)              dx = 0 < x < 6 ? dy : 0
 *   leaky_relu  f(x) = x > 0 ? x : a x                dx = x > 0 ? dy : a dy
 *   elu         f(x) = x > 0 ? x : a (exp(x) - 1)     dx = x > 0 ? dy : a exp(x) dy
 *   gelu        f(x) = x Phi(x)                       dx = (Phi(x) + x phi(x)) dy
 *   silu        f(x) = x s(x)                         dx = s(x) (1 + x (1 - s(x))) dy
 *
 * with Phi(x) = erfc(-x / sqrt(2)) / 2, phi(x) = exp(-x^2 / 2) / sqrt(2 pi), s(x) = 1 / (1 + exp(-x)). NaN stays NaN. */
#include <math.h>

#include "backend/reference/reference.h"

static double normal_distribution(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

static double normal_density(double x)
{
    return exp(-x * x / 2) / sqrt(2 * acos(-1));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

double reference_activate(struct activation_params f, double x)
{
    if (f.kind == ACTIVATION_RELU) return x <= 0 ? 0 : x;
    if (f.kind == ACTIVATION_RELU6) return x <= 0 ? 0 : x >= 6 ? 6 : x;
    if (f.kind == ACTIVATION_LEAKY_RELU) return x > 0 ? x : f.slope * x;
    if (f.kind == ACTIVATION_ELU) return x > 0 ? x : f.slope * expm1(x);
    if (f.kind == ACTIVATION_GELU) return x * normal_distribution(x);
    if (f.kind == ACTIVATION_SILU) return x * sigmoid(x);
    return x;
}

double reference_activation_slope(struct activation_params f, double x, double dy)
{
    if (f.kind == ACTIVATION_RELU) return x > 0 ? dy : 0;
    if (f.kind == ACTIVATION_RELU6) return x > 0 && x < 6 ? dy : 0;
    if (f.kind == ACTIVATION_LEAKY_RELU) return x > 0 ? dy : f.slope * dy;
    if (f.kind == ACTIVATION_ELU) return x > 0 ? dy : f.slope * exp(x) * dy;
    if (f.kind == ACTIVATION_GELU) return (normal_distribution(x) + x * normal_density(x)) * dy;
    if (f.kind == ACTIVATION_SILU) return sigmoid(x) * (1 + x * (1 - sigmoid(x))) * dy;
    return dy;
}

void reference_activation(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[ACTIVATION_X].data;
    double *y = call->tensor[ACTIVATION_Y].data;
    int64_t count = shape_count(call->tensor[ACTIVATION_X].shape);
    (void)backend;
    for (int64_t i = 0; i < count; i++) y[i] = reference_activate(call->op->activation, x[i]);
}

void reference_activation_backward(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[ACTIVATION_BACKWARD_X].data, *dy = call->tensor[ACTIVATION_BACKWARD_DY].data;
    double *dx = call->tensor[ACTIVATION_BACKWARD_DX].data;
    int64_t count = shape_count(call->tensor[ACTIVATION_BACKWARD_X].shape);
    (void)backend;
    for (int64_t i = 0; i < count; i++) dx[i] = reference_activation_slope(call->op->activation, x[i], dy[i]);
}
