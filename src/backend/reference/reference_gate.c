/* A gate for each channel of each sample. With s[n,c] = 1 / (1 + exp(-z[n,c])):
 *
 *   y[n,c,h,w] = s[n,c] x[n,c,h,w]
 *   dx[n,c,h,w] = s[n,c] dy[n,c,h,w],   dz[n,c] = s[n,c] (1 - s[n,c]) sum_{h,w} dy[n,c,h,w] x[n,c,h,w] */
#include <math.h>

#include "backend/reference/reference.h"

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

void reference_gate(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[GATE_X].data, *z = call->tensor[GATE_Z].data;
    double *y = call->tensor[GATE_Y].data;
    struct shape shape = call->tensor[GATE_X].shape;
    int64_t plane = shape.h * shape.w;
    (void)backend;
    for (int64_t i = 0; i < shape_count(shape); i++) y[i] = sigmoid(z[i / plane]) * x[i];
}

void reference_gate_backward(struct backend *backend, const struct op_call *call)
{
    const double *x = call->tensor[GATE_BACKWARD_X].data, *z = call->tensor[GATE_BACKWARD_Z].data;
    const double *dy = call->tensor[GATE_BACKWARD_DY].data;
    double *dx = call->tensor[GATE_BACKWARD_DX].data, *dz = call->tensor[GATE_BACKWARD_DZ].data;
    struct shape shape = call->tensor[GATE_BACKWARD_X].shape;
    int64_t plane = shape.h * shape.w;
    (void)backend;
    for (int64_t nc = 0; nc < shape.n * shape.c; nc++) {
        double s = sigmoid(z[nc]), sum = 0;
        for (int64_t i = nc * plane; i < (nc + 1) * plane; i++) {
            dx[i] = s * dy[i];
            sum += dy[i] * x[i];
        }
        dz[nc] = s * (1 - s) * sum;
    }
}
