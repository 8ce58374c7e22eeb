/* Sets up and runs the operations of a case (op_run.h). Which ones they are is in op_run_cases.c. */
#include "self_test/op_run.h"

#include <stdlib.h>
#include <string.h>

#include "self_test/op_run_private.h"
#include "self_test/support.h"
#include "util/check.h"
#include "util/memory.h"

enum { MOST_TENSORS = 24, MOST_OPS = 8 };

/* A tensor of the run, with the name of its input or output. */
struct slot {
    const char *name;
    struct tensor tensor;
    bool output;  /* to be read at the end */
    void *before; /* its memory before the operations, where it is an input in host memory */
};

struct op_run {
    struct backend *backend;
    struct op_run_options options;
    const struct op_arrays *inputs;
    int count;
    struct slot slots[MOST_TENSORS];
    struct program *program; /* tensor i is that of slot i */
    struct prepared *prepared;
    struct run_input input[MOST_OPS];
    struct device_dataset *dataset;
    struct dataset_view view; /* its memory belongs to the run */
};

/* --- tensors --- */

bool op_run_forward_only(const struct op_run *run)
{
    return run->options.forward_only;
}

const struct op_array *op_run_input(const struct op_run *run, const char *name)
{
    return op_arrays_find(run->inputs, name);
}

bool op_run_rounds(const struct op_run *run)
{
    return run->backend->activation_size < run->backend->scalar_size;
}

/* True for tensors of the backend's scalars, or of its activations' type. */
static bool has_elements(const struct tensor *tensor)
{
    return tensor->kind == TENSOR_ACTIVATION || tensor->kind == TENSOR_FILTER || tensor->kind == TENSOR_VECTOR ||
           tensor->kind == TENSOR_ROUNDED;
}

static size_t bytes_of(const struct op_run *run, const struct tensor *tensor)
{
    return has_elements(tensor) ? tensor_bytes(run->backend, tensor->kind, tensor->shape)
                                : (size_t)shape_count(tensor->shape) * sizeof(double);
}

static const struct tensor *add_slot(struct op_run *run, const char *name, struct tensor tensor, bool output)
{
    CHECK(run->count < MOST_TENSORS);
    run->slots[run->count] = (struct slot){name, tensor, output, NULL};
    support_external(run->program, name, &tensor, false, bytes_of(run, &tensor));
    return &run->slots[run->count++].tensor;
}

static const struct tensor *add_input(struct op_run *run, const char *name, bool output)
{
    const struct op_array *array = op_run_input(run, name);
    if (!array) return NULL;
    struct tensor tensor = support_tensor(run->backend, array->kind, array->shape, array->values);
    const struct tensor *added = add_slot(run, array->name, tensor, output);
    size_t bytes = bytes_of(run, &tensor);
    if (run->options.host_memory && !output)
        run->slots[run->count - 1].before = memcpy(memory_alloc(bytes, 1), tensor.data, bytes);
    return added;
}

const struct tensor *op_run_in(struct op_run *run, const char *name)
{
    return add_input(run, name, false);
}

const struct tensor *op_run_in_out(struct op_run *run, const char *name)
{
    return add_input(run, name, true);
}

const struct tensor *op_run_in_rounded(struct op_run *run, const char *name)
{
    const struct op_array *array = op_run_input(run, name);
    return add_slot(run, array->name, support_tensor(run->backend, TENSOR_ROUNDED, array->shape, array->values), false);
}

static const struct tensor *add_zeros(struct op_run *run, const char *name, enum tensor_kind kind, struct shape shape,
                                      bool output)
{
    struct tensor tensor = {NULL, shape, kind};
    tensor.data = run->backend->table->alloc(run->backend, bytes_of(run, &tensor));
    if (kind == TENSOR_METRICS) metrics_write(run->backend, &tensor, (struct metrics){0});
    return add_slot(run, name, tensor, output);
}

const struct tensor *op_run_zeros(struct op_run *run, const char *name, enum tensor_kind kind, struct shape shape)
{
    return add_zeros(run, name, kind, shape, true);
}

const struct tensor *op_run_scratch(struct op_run *run, enum tensor_kind kind, struct shape shape)
{
    return add_zeros(run, "scratch", kind, shape, false);
}

const struct tensor *op_run_out(struct op_run *run, const char *name, enum tensor_kind kind, struct shape shape)
{
    const struct tensor *tensor = op_run_zeros(run, name, kind, shape);
    if (has_elements(tensor)) support_poison(run->backend, run->options.host_memory, tensor);
    return tensor;
}

const struct tensor *op_run_like(struct op_run *run, const char *name, const struct tensor *like)
{
    return like ? op_run_out(run, name, like->kind, like->shape) : NULL;
}

const struct tensor *op_run_saved(struct op_run *run, const struct op *op, struct shape y)
{
    int64_t bytes = (int64_t)backend_saved_bytes(run->backend, op, y);
    if (bytes == 0) return NULL;
    const struct tensor *saved = op_run_scratch(run, TENSOR_SAVED, shape_vector((bytes + 7) / 8));
    if (run->options.host_memory) memset(saved->data, 0xff, (size_t)bytes);
    return saved;
}

const struct tensor *op_run_labels(struct op_run *run, const char *name)
{
    const struct op_array *array = op_run_input(run, name);
    int32_t *labels = support_labels(run->backend, array->values, shape_count(array->shape));
    return add_slot(run, "labels", (struct tensor){labels, array->shape, TENSOR_LABELS}, false);
}

/* The inputs are whole numbers for pixels and labels. */
void op_run_dataset(struct op_run *run, struct shape image)
{
    const struct op_array *pixels = op_run_input(run, "pixels"), *labels = op_run_input(run, "labels");
    const struct op_array *offset = op_run_input(run, "offset"), *scale = op_run_input(run, "scale");
    int64_t count = pixels->shape.n, bytes = shape_count(pixels->shape);
    uint8_t *bytes_of_pixels = memory_alloc((size_t)bytes, 1);
    uint16_t *words = memory_alloc((size_t)count, sizeof *words);
    float *offsets = memory_alloc((size_t)shape_sample_count(image), sizeof *offsets);
    float *scales = memory_alloc((size_t)image.c, sizeof *scales);
    int32_t *order = memory_alloc((size_t)count, sizeof *order);
    for (int64_t i = 0; i < bytes; i++) bytes_of_pixels[i] = (uint8_t)pixels->values[i];
    for (int64_t i = 0; i < count; i++) words[i] = (uint16_t)labels->values[i];
    for (int64_t i = 0; i < shape_sample_count(image); i++) offsets[i] = (float)offset->values[i];
    for (int64_t c = 0; c < image.c; c++) scales[c] = (float)scale->values[c];
    for (int64_t i = 0; i < count; i++) order[i] = (int32_t)(count - 1 - i);
    run->view =
        (struct dataset_view){count, image.c, image.h, image.w, bytes_of_pixels, words, offsets, scales, NULL, false};
    run->dataset = run->backend->table->dataset_upload(run->backend, &run->view);
    run->backend->table->dataset_set_order(run->backend, run->dataset, order);
    free(order);
}

/* --- operations --- */

static int number_of(const struct op_run *run, const struct tensor *tensor)
{
    for (int i = 0; i < run->count; i++)
        if (&run->slots[i].tensor == tensor) return i;
    CHECK(!"a tensor of the run");
}

/* The memory of the gradients is that of the operands. A tensor of the space says that there are some. */
void op_run_round_gradient(struct op_run *run, const struct tensor *w)
{
    struct program *program = run->program;
    int of = number_of(run, w);
    struct program_tensor gradient = program->tensors[of];
    gradient.space = SPACE_ROUNDED_GRADIENTS;
    gradient.offset = 0;
    gradient.bytes = 0;
    int added = program_tensor_add(program, gradient);
    program->tensors[added].bytes = 0;
    program->tensors[of].gradient = added;
}

void op_run_add(struct op_run *run, struct op op, struct step_state state, const struct tensor *const *operands)
{
    int64_t n = 1;
    CHECK(run->program->op_count < MOST_OPS);
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        if (!operands[slot]) continue;
        op.tensor[slot] = number_of(run, operands[slot]);
        if (operands[slot]->kind == TENSOR_ACTIVATION) n = operands[slot]->shape.n;
    }
    if (run->program->max_n < n) run->program->max_n = n;
    run->input[run->program->op_count] = (struct run_input){.state = state};
    program_add(run->program, op);
}

struct op_run *op_run_open(const struct op_case *op_case, struct backend *backend, struct op_run_options options,
                           const struct op_arrays *inputs)
{
    struct op_run *run = memory_alloc(1, sizeof *run);
    void *base[SPACES] = {NULL};
    *run = (struct op_run){.backend = backend, .options = options, .inputs = inputs};
    run->program = program_create(backend, 1);
    op_run_write(run, op_case);
    run->prepared = prepared_create(run->program, backend, base);
    for (int i = 0; i < run->program->op_count; i++)
        run->input[i].n = run->program->max_n, run->input[i].data = run->dataset;
    return run;
}

const struct program *op_run_program(const struct op_run *run)
{
    return run->program;
}

const struct run_input *op_run_input_of(const struct op_run *run, int i)
{
    return &run->input[i];
}

static void run_op(struct op_run *run, int i)
{
    struct op_call *call = &run->prepared->calls[i];
    call->input = &run->input[i];
    run->prepared->functions[call->op->kind].run(run->backend, call);
}

void op_run_all(struct op_run *run)
{
    for (int i = 0; i < run->program->op_count; i++) {
        if (run->backend->table->set_state) run->backend->table->set_state(run->backend, &run->input[i].state);
        run_op(run, i);
    }
}

static int first_of(const struct op_run *run, enum op_kind kind)
{
    for (int i = 0; i < run->program->op_count; i++)
        if (run->program->ops[i].kind == kind) return i;
    CHECK(!"an operation of the case");
}

void op_run_again(struct op_run *run, enum op_kind kind)
{
    run_op(run, first_of(run, kind));
}

double op_run_bytes(const struct op_run *run, enum op_kind kind)
{
    const struct op *op = &run->program->ops[first_of(run, kind)];
    double bytes = (double)program_bytes(run->program, op);
    for (int slot = 0; slot < OP_OPERANDS; slot++)
        if (op->tensor[slot] >= 0 && op_row(kind)->operand[slot].role == OPERAND_UPDATE)
            bytes += (double)run->program->tensors[op->tensor[slot]].bytes;
    return bytes;
}

double op_run_flops(const struct op_run *run, enum op_kind kind)
{
    return op_row(kind)->flops ? program_flops(run->program, &run->program->ops[first_of(run, kind)]) : 0;
}

/* --- results --- */

static void read_slot(struct op_run *run, const struct slot *slot, double *values)
{
    if (slot->tensor.kind != TENSOR_METRICS) {
        run->backend->table->tensor_read(run->backend, &slot->tensor, values);
        return;
    }
    struct metrics metrics = metrics_read(run->backend, &slot->tensor);
    values[0] = metrics.loss, values[1] = (double)metrics.correct, values[2] = (double)metrics.count;
}

static void free_dataset(struct op_run *run)
{
    if (!run->dataset) return;
    run->backend->table->dataset_free(run->backend, run->dataset);
    free((void *)run->view.pixels), free((void *)run->view.labels);
    free((void *)run->view.offset), free((void *)run->view.scale);
}

struct op_observations op_run_close(struct op_run *run, struct op_arrays *outputs)
{
    struct op_observations seen = {NULL, NULL, 0};
    for (int i = 0; i < run->program->op_count; i++) seen.kinds |= UINT64_C(1) << run->program->ops[i].kind;
    for (int i = 0; i < run->count; i++) {
        struct slot *slot = &run->slots[i];
        struct tensor *tensor = &slot->tensor;
        if (outputs && slot->output)
            read_slot(run, slot, op_arrays_add(outputs, slot->name, tensor->kind, tensor->shape)->values);
        if (run->options.host_memory && has_elements(tensor) && !support_padding_is_zero(run->backend, tensor))
            seen.padding_not_zero = slot->name;
        if (slot->before && memcmp(slot->before, tensor->data, bytes_of(run, tensor)) != 0)
            seen.input_changed = slot->name;
        free(slot->before);
        run->backend->table->free(run->backend, tensor->data);
    }
    prepared_free(run->prepared);
    program_free(run->program);
    free_dataset(run);
    free(run);
    return seen;
}

struct op_observations op_case_run(const struct op_case *op_case, struct backend *backend,
                                   struct op_run_options options, const struct op_arrays *inputs,
                                   struct op_arrays *outputs)
{
    struct op_run *run = op_run_open(op_case, backend, options, inputs);
    outputs->count = 0;
    op_run_all(run);
    return op_run_close(run, outputs);
}
