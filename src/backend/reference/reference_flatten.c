/* Flatten: feature (c*H + h)*W + w of a sample is element (c,h,w) of its image. In this backend's order nothing moves. */
#include <string.h>

#include "backend/reference/reference.h"
#include "util/check.h"

static void copy(const struct tensor *from, const struct tensor *to)
{
    CHECK(from->shape.n == to->shape.n && shape_count(from->shape) == shape_count(to->shape));
    memcpy(to->data, from->data, (size_t)shape_count(from->shape) * sizeof(double));
}

void reference_flatten(struct backend *backend, const struct op_call *call)
{
    (void)backend;
    copy(&call->tensor[FLATTEN_X], &call->tensor[FLATTEN_Y]);
}

void reference_flatten_backward(struct backend *backend, const struct op_call *call)
{
    (void)backend;
    copy(&call->tensor[FLATTEN_BACKWARD_DY], &call->tensor[FLATTEN_BACKWARD_DX]);
}
