/* Runs programs op by op (prepared.h). */
#include "backend/prepared.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"

bool backend_supports(const struct backend *backend, const struct op *op)
{
    const struct op_function *function = &backend->functions[op->kind];
    return function->run && (!function->supports || function->supports(backend, op));
}

size_t backend_saved_bytes(const struct backend *backend, const struct op *op, struct shape y)
{
    const struct op_function *function = &backend->functions[op->kind];
    return function->saved_bytes ? function->saved_bytes(backend, op, y) : 0;
}

static struct tensor bind(const struct program *program, int tensor, void *const base[SPACES])
{
    if (tensor < 0) return (struct tensor){0};
    const struct program_tensor *from = &program->tensors[tensor];
    char *start = base[from->space];
    CHECK(start || from->space == SPACE_EXTERNAL);
    return (struct tensor){from->space == SPACE_EXTERNAL ? (void *)(intptr_t)from->offset : start + from->offset,
                           from->shape, from->kind};
}

/* Makes memory for the tensors of a space; NULL: there are none. */
static void *make_space(const struct program *program, struct backend *backend, enum space space)
{
    int64_t bytes = 0;
    for (int t = 0; t < program->tensor_count; t++) {
        const struct program_tensor *tensor = &program->tensors[t];
        int64_t end = tensor->offset + (int64_t)tensor->bytes;
        if (tensor->space == space && end > bytes) bytes = end;
    }
    return bytes > 0 ? backend->table->alloc(backend, (size_t)bytes) : NULL;
}

static void enter(struct backend *backend, int stream, bool join)
{
    if (backend->table->enter_stream) backend->table->enter_stream(backend, stream, join);
}

/* Lets what comes next wait for the ops of every stream. */
static void join(struct backend *backend)
{
    enter(backend, 0, true);
}

struct prepared *prepared_create(const struct program *program, struct backend *backend, void *const shared[SPACES])
{
    const struct op_function *functions = backend->functions;
    struct prepared *prepared = memory_alloc(1, sizeof *prepared);
    *prepared = (struct prepared){.program = program, .backend = backend, .functions = functions, .n = program->max_n};
    prepared->calls = memory_alloc((size_t)program->op_count, sizeof *prepared->calls);
    void *base[SPACES];
    memcpy(base, shared, sizeof base);
    base[SPACE_ROUNDED] = prepared->rounded = make_space(program, backend, SPACE_ROUNDED);
    base[SPACE_ROUNDED_GRADIENTS] = prepared->rounded_gradients = make_space(program, backend, SPACE_ROUNDED_GRADIENTS);
    for (int i = 0; i < program->op_count; i++) {
        struct op_call *call = &prepared->calls[i];
        const struct op_function *function = &functions[program->ops[i].kind];
        CHECK(backend_supports(backend, &program->ops[i]));
        call->op = &program->ops[i];
        for (int slot = 0; slot < OP_OPERANDS; slot++)
            call->tensor[slot] = bind(program, program->ops[i].tensor[slot], base);
        enter(backend, call->op->stream, false);
        if (function->prepare) call->plan = function->prepare(prepared, call);
        if (call->op->attached) prepared->calls[i - 1].attached = call;
    }
    join(backend);
    return prepared;
}

void prepared_free(struct prepared *prepared)
{
    if (!prepared) return;
    for (int i = 0; i < prepared->program->op_count; i++) {
        const struct op_function *function = &prepared->functions[prepared->program->ops[i].kind];
        if (function->release) function->release(prepared->backend, prepared->calls[i].plan);
    }
    prepared->backend->table->free(prepared->backend, prepared->rounded);
    prepared->backend->table->free(prepared->backend, prepared->rounded_gradients);
    free(prepared->calls);
    free(prepared);
}

const struct op_call *prepared_forward_call(const struct prepared *prepared, const struct op_call *backward)
{
    bool norm = backward->op->kind == OP_NORM_BACKWARD;
    CHECK(norm || backward->op->kind == OP_CONV2D_BACKWARD);
    enum op_kind kind = norm ? OP_NORM : OP_CONV2D;
    int own = norm ? NORM_RSTD : CONV2D_WEIGHT, its = norm ? NORM_BACKWARD_RSTD : CONV2D_BACKWARD_WEIGHT;
    for (const struct op_call *forward = prepared->calls; forward < backward; forward++)
        if (forward->op->kind == kind && forward->op->tensor[own] == backward->op->tensor[its]) return forward;
    CHECK(!"a forward op before its backward op");
}

/* Gives every tensor that scales with the batch n samples. */
static void set_batch(struct prepared *prepared, int64_t n)
{
    const struct program *program = prepared->program;
    CHECK(n >= 1 && n <= program->max_n);
    if (n == prepared->n) return;
    for (int i = 0; i < program->op_count; i++)
        for (int slot = 0; slot < OP_OPERANDS; slot++) {
            int tensor = program->ops[i].tensor[slot];
            if (tensor >= 0 && program->tensors[tensor].batch) prepared->calls[i].tensor[slot].shape.n = n;
        }
    prepared->n = n;
}

static void run_op(struct prepared *prepared, int op, const struct run_input *input)
{
    struct op_call *call = &prepared->calls[op];
    if (call->op->attached) return;
    call->input = input;
    enter(prepared->backend, call->op->stream, call->op->join);
    prepared->functions[call->op->kind].run(prepared->backend, call);
}

static void set_state(struct prepared *prepared, const struct run_input *input)
{
    struct backend *backend = prepared->backend;
    if (backend->table->set_state) backend->table->set_state(backend, &input->state);
}

void backend_run_op(struct backend *backend, struct op op, struct run_input input,
                    const struct tensor *const operands[OP_OPERANDS])
{
    const struct op_function *function = &backend->functions[op.kind];
    struct op_call call = {.op = &op, .input = &input};
    CHECK(function->run && op.kind != OP_CONV2D_BACKWARD);
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        op.tensor[slot] = operands[slot] ? slot : -1;
        if (operands[slot]) call.tensor[slot] = *operands[slot];
    }
    struct prepared prepared = {.backend = backend, .functions = backend->functions, .calls = &call};
    if (function->prepare) call.plan = function->prepare(&prepared, &call);
    set_state(&prepared, &input);
    function->run(backend, &call);
    if (function->release) function->release(backend, call.plan);
}

void prepared_watch(struct prepared *prepared, const struct run_input *input,
                    void (*done)(void *argument, const struct prepared *prepared, int op), void *argument)
{
    const struct program *program = prepared->program;
    set_state(prepared, input);
    set_batch(prepared, input->n);
    for (int i = input->refresh ? 0 : program->once_count; i < program->op_count; i++) {
        run_op(prepared, i, input);
        if (!done) continue;
        join(prepared->backend);
        done(argument, prepared, i);
    }
    join(prepared->backend);
}

void prepared_run_phases(struct prepared *prepared, const struct run_input *input, enum op_phase last)
{
    const struct program *program = prepared->program;
    set_state(prepared, input);
    set_batch(prepared, input->n);
    for (int i = 0; i < program->op_count; i++) {
        struct op_call call = prepared->calls[i];
        if (call.op->phase > last) continue;
        call.input = input;
        if (last < PHASE_OPTIMIZER) call.attached = NULL;
        enter(prepared->backend, call.op->stream, call.op->join);
        prepared->functions[call.op->kind].run(prepared->backend, &call);
    }
    join(prepared->backend);
}

/* Returns NULL where there are too many. */
static struct prepared_batch *find_batch(struct prepared *prepared, const struct run_input *input)
{
    for (int i = 0; i < prepared->batch_count; i++) {
        const struct run_input *known = &prepared->batches[i].input;
        if (known->n == input->n && known->skipped == input->skipped && known->data == input->data)
            return &prepared->batches[i];
    }
    if (prepared->batch_count == PREPARED_BATCHES) return NULL;
    struct prepared_batch *batch = &prepared->batches[prepared->batch_count++];
    batch->prepared = prepared;
    return batch;
}

/* The first op behind the once part and the GATHER. */
static int first_of_body(const struct program *program)
{
    int first = program->once_count;
    while (first < program->op_count && program->ops[first].kind == OP_GATHER) first++;
    return first;
}

static void run_body(void *argument)
{
    const struct prepared_batch *batch = argument;
    struct prepared *prepared = batch->prepared;
    for (int i = first_of_body(prepared->program); i < prepared->program->op_count; i++)
        run_op(prepared, i, &batch->input);
    join(prepared->backend);
}

void prepared_run(struct prepared *prepared, const struct run_input *input)
{
    struct backend *backend = prepared->backend;
    struct prepared_batch *batch = find_batch(prepared, input);
    if (!batch) {
        prepared_watch(prepared, input, NULL, NULL);
        return;
    }
    set_state(prepared, input);
    set_batch(prepared, input->n);
    batch->input = *input;
    for (int i = input->refresh ? 0 : prepared->program->once_count; i < first_of_body(prepared->program); i++)
        run_op(prepared, i, &batch->input);
    if (backend->table->run)
        backend->table->run(backend, run_body, batch);
    else
        run_body(batch);
}

static void repeat_body(void *argument)
{
    const struct prepared_repeat *repeat = argument;
    for (int i = 0; i < repeat->count; i++) run_op(repeat->prepared, repeat->op, &repeat->prepared->batches[0].input);
    join(repeat->prepared->backend);
}

void prepared_run_repeat(struct prepared_repeat *repeat)
{
    struct prepared *prepared = repeat->prepared;
    struct backend *backend = prepared->backend;
    CHECK(prepared->batch_count > 0 && !prepared->calls[repeat->op].op->attached);
    set_state(prepared, &prepared->batches[0].input);
    set_batch(prepared, prepared->batches[0].input.n);
    if (backend->table->run && prepared->calls[repeat->op].op->kind != OP_GATHER)
        backend->table->run(backend, repeat_body, repeat);
    else
        repeat_body(repeat);
}
