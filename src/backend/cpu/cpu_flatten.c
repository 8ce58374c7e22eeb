/* Flatten: image element (n,c,h,w) is feature (c*H + h)*W + w of sample n. The two blocked layouts differ, so this
 * moves data. This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

struct flatten_task {
    struct shape image; /* (N,C,H,W) */
    real *images;       /* [C/16][H][W][N][16] */
    real *vectors;      /* [C*H*W/16][N][16] */
    bool forward;
};

/* Iterations are the vectors' features, padding included. */
static void flatten_features(void *argument, int64_t first, int64_t last)
{
    const struct flatten_task *task = argument;
    struct shape s = task->image;
    int64_t plane = s.h * s.w, features = shape_sample_count(s);
    for (int64_t feature = first; feature < last; feature++) {
        real *vectors = task->vectors + feature / CPU_BLOCK * s.n * CPU_BLOCK + feature % CPU_BLOCK;
        int64_t c = feature / plane, pixel = feature % plane;
        real *images = task->images + ((c / CPU_BLOCK * plane + pixel) * s.n * CPU_BLOCK) + c % CPU_BLOCK;
        for (int64_t n = 0; n < s.n; n++) {
            if (!task->forward) {
                images[n * CPU_BLOCK] = vectors[n * CPU_BLOCK];
            } else {
                vectors[n * CPU_BLOCK] = feature < features ? images[n * CPU_BLOCK] : 0;
            }
        }
    }
}

static void run_features(struct backend *backend, struct flatten_task *task)
{
    int64_t features = shape_sample_count(task->image);
    int64_t padded = task->forward ? cpu_blocks(features) * CPU_BLOCK : features;
    cpu_for(backend, padded, task->image.n, flatten_features, task);
}

static void run_flatten(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[FLATTEN_X], *y = &call->tensor[FLATTEN_Y];
    CHECK(x->shape.n == y->shape.n && shape_sample_count(x->shape) == y->shape.c);
    struct flatten_task task = {x->shape, x->data, y->data, true};
    run_features(backend, &task);
}

static void run_flatten_backward(struct backend *backend, const struct op_call *call)
{
    const struct tensor *dy = &call->tensor[FLATTEN_BACKWARD_DY], *dx = &call->tensor[FLATTEN_BACKWARD_DX];
    CHECK(dx->shape.n == dy->shape.n && shape_sample_count(dx->shape) == dy->shape.c);
    /* Only elements of the image are moved; its padding lanes must be zero all the same. */
    memset(dx->data, 0, tensor_bytes(backend, TENSOR_ACTIVATION, dx->shape));
    struct flatten_task task = {dx->shape, dx->data, dy->data, false};
    run_features(backend, &task);
}

void CPU_EXPORT(cpu_flatten_install)(struct op_function *functions)
{
    functions[OP_FLATTEN] = (struct op_function){.run = run_flatten};
    functions[OP_FLATTEN_BACKWARD] = (struct op_function){.run = run_flatten_backward};
}
