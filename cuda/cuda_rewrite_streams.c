/* Puts filter gradients on a stream of their own (cuda_rewrite.h).
 *
 * In a backward pass the gradient of the activations goes down from layer to layer, and each op waits for the one before. A
 * filter's gradient is off that path: it needs x and dy, and nothing needs it before the update. Small layers leave most of a
 * GPU idle, so it runs beside the path. The price is memory: x and dy live until the streams meet again, usually at the
 * update, where all other gradients have been computed. */
#include "cuda_backend.h"
#include "cuda_rewrite.h"
#include "program/passes.h"

static bool is_divisible(const struct op *op)
{
    return op->kind == OP_CONV2D_BACKWARD && op->tensor[CONV2D_BACKWARD_DX] >= 0 &&
           op->tensor[CONV2D_BACKWARD_DWEIGHT] >= 0;
}

/* Makes two ops of one: the filter's gradient, and the bias's, come first and on stream 1. The lowest layer has no dx: its
 * op stays, since nothing is left to run beside it. */
static void divide(struct program *program, int place)
{
    struct op filter = program->ops[place];
    filter.stream = 1;
    filter.tensor[CONV2D_BACKWARD_DX] = -1;
    program_insert(program, place, filter);
    program->ops[place + 1].tensor[CONV2D_BACKWARD_DWEIGHT] = -1;
    program->ops[place + 1].tensor[CONV2D_BACKWARD_DBIAS] = -1;
}

static void unite(struct program *program, int place)
{
    struct op *filter = &program->ops[place], *rest = filter + 1;
    rest->tensor[CONV2D_BACKWARD_DWEIGHT] = filter->tensor[CONV2D_BACKWARD_DWEIGHT];
    rest->tensor[CONV2D_BACKWARD_DBIAS] = filter->tensor[CONV2D_BACKWARD_DBIAS];
    program_remove(program, place);
}

/* True where the longer lives cost memory that the run may need. */
static bool is_too_large(const struct program *program, int64_t before)
{
    int64_t bytes = program_work_bound(program);
    return bytes > before && bytes > program->backend->memory_bytes / 2;
}

void cuda_rewrite_streams(struct program *program)
{
    enum streams wish = cuda_backend_of(program->backend)->options.streams;
    if (wish == STREAMS_ONE) return;
    struct program_versions *versions = program_versions_take(program);
    int64_t before = program_work_bound(program);
    for (int i = 0; i < program->op_count; i++)
        if (is_divisible(&program->ops[i])) divide(program, i++);
    program_join(program);
    if (wish == STREAMS_AUTO && is_too_large(program, before)) {
        for (int i = program->op_count - 1; i >= 0; i--)
            if (program->ops[i].stream == 1) unite(program, i);
        program_join(program);
    }
    program_check(program, versions);
}
