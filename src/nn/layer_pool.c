/* Max and average pooling: x (N,C,H,W) -> y (N,C,P,Q). */
#include <inttypes.h>
#include <stdio.h>

#include "backend/prepared.h"
#include "nn/layer_private.h"

static bool pool_infer_shape(struct layer *layer, struct status *status)
{
    struct shape in = layer->input[0];
    struct window window = layer->spec.pool.window;
    /* With more padding a window could lie in it entirely, and its maximum would be -inf. */
    if (window.padding > window.kernel / 2)
        return layer_fail(layer, status,
                          "padding %" PRId64 " is more than half of the pool's %" PRId64 "x%" PRId64
                          " window; expected 0..%" PRId64,
                          window.padding, window.kernel, window.kernel, window.kernel / 2);
    layer->output = (struct shape){in.n, in.c, window_output_size(in.h, window), window_output_size(in.w, window)};
    if (layer->output.h == 0 || layer->output.w == 0)
        return layer_fail(layer, status,
                          "a %" PRId64 "x%" PRId64 " window with stride %" PRId64 " and padding %" PRId64
                          " does not fit into its %" PRId64 "x%" PRId64 " input",
                          window.kernel, window.kernel, window.stride, window.padding, in.h, in.w);
    return true;
}

static void pool_describe(const struct layer *layer, char *text, size_t size)
{
    struct window window = layer->spec.pool.window;
    snprintf(text, size, "%s-pool %" PRId64 "x%" PRId64 ", stride %" PRId64,
             layer->spec.pool.kind == POOL_MAX ? "max" : "average", window.kernel, window.kernel, window.stride);
}

/* What the backend's forward pass keeps for its backward pass, if anything. */
static int add_saved(const struct layer *layer, struct program *program, const struct op *op)
{
    struct shape output = layer->output;
    output.n = program->max_n;
    size_t bytes = backend_saved_bytes(layer->backend, op, output);
    if (bytes == 0) return -1;
    return program_tensor_add(program, (struct program_tensor){.name = "saved",
                                                               .name_index = program->tensor_count,
                                                               .kind = TENSOR_SAVED,
                                                               .shape = output,
                                                               .batch = true,
                                                               .space = SPACE_WORK,
                                                               .bytes = bytes,
                                                               .gradient = -1});
}

static int pool_write(const struct layer *layer, enum layer_mode mode, struct program *program, const int *x)
{
    (void)mode;
    struct window window = layer->spec.pool.window;
    if (window.kernel == 1 && window.stride == 1) return x[0]; /* each window is a pixel of its own */
    struct op op = layer_op(layer, OP_POOL);
    op.pool = layer->spec.pool;
    op.tensor[POOL_X] = x[0];
    op.tensor[POOL_SAVED] = add_saved(layer, program, &op);
    return program_output(program, op);
}

const struct layer_ops layer_pool_ops = {
    .name = "pool",
    .inputs = {1, 1},
    .infer_shape = pool_infer_shape,
    .describe = pool_describe,
    .write = pool_write,
};
