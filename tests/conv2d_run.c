/* Runs a convolution and its backward pass (conv2d_run.h). */
#include "conv2d_run.h"

#include "support.h"

/* -1: left out. */
static int add(struct program *program, const char *name, const struct tensor *tensor)
{
    if (!tensor) return -1;
    bool batch = tensor->kind == TENSOR_ACTIVATION || tensor->kind == TENSOR_PIXELS;
    return support_external(program, name, tensor, batch, 0);
}

struct conv2d_run conv2d_run_open(struct backend *backend, struct window window, const struct conv2d_tensors *tensors)
{
    struct conv2d_run run = {.program = program_create(backend, tensors->x->shape.n)};
    struct op forward = op_make(OP_CONV2D), backward = op_make(OP_CONV2D_BACKWARD);
    void *base[SPACES] = {NULL};
    forward.conv2d = backward.conv2d = (struct conv2d_params){window, 1};
    forward.tensor[CONV2D_X] = backward.tensor[CONV2D_BACKWARD_X] = add(run.program, "x", tensors->x);
    forward.tensor[CONV2D_WEIGHT] = backward.tensor[CONV2D_BACKWARD_WEIGHT] =
        add(run.program, "weight", tensors->weight);
    forward.tensor[CONV2D_BIAS] = add(run.program, "bias", tensors->bias);
    forward.tensor[CONV2D_Y] = add(run.program, "y", tensors->y);
    backward.tensor[CONV2D_BACKWARD_DY] = add(run.program, "dy", tensors->dy);
    backward.tensor[CONV2D_BACKWARD_DX] = add(run.program, "dx", tensors->dx);
    backward.tensor[CONV2D_BACKWARD_DWEIGHT] = add(run.program, "dweight", tensors->dweight);
    backward.tensor[CONV2D_BACKWARD_DBIAS] = add(run.program, "dbias", tensors->dbias);
    program_add(run.program, forward);
    program_add(run.program, backward);
    run.prepared = prepared_create(run.program, backend, base);
    return run;
}

void conv2d_run_close(struct conv2d_run *run)
{
    prepared_free(run->prepared);
    program_free(run->program);
}

void conv2d_run_batch(struct conv2d_run *run, int64_t n)
{
    prepared_watch(run->prepared, &(struct run_input){.n = n}, NULL, NULL);
}

void conv2d_run_once(struct backend *backend, struct window window, const struct conv2d_tensors *tensors)
{
    struct conv2d_run run = conv2d_run_open(backend, window, tensors);
    conv2d_run_batch(&run, tensors->x->shape.n);
    conv2d_run_close(&run);
}
