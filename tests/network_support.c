/* Runs the programs of a network in tests (network_support.h). */
#include "network_support.h"

#include <stdlib.h>
#include <string.h>

#include "program/passes.h"
#include "support.h"
#include "util/check.h"
#include "util/memory.h"

static struct prepared *prepare(struct network *network, struct network_program *made,
                                const struct runner_options *options, void **work)
{
    struct backend *backend = network->backend;
    program_finish(made->program, !options->apart);
    *work = backend->table->alloc(backend, (size_t)made->program->work_bytes);
    void *base[SPACES] = {[SPACE_WORK] = *work};
    network_bases(network, base);
    if (options->optimizer) optimizer_bases(options->optimizer, base);
    return prepared_create(made->program, backend, base);
}

struct runner runner_open(struct network *network, struct runner_options options)
{
    struct runner runner = {.network = network, .n = network->max_batch};
    struct network_request request = {.mode = LAYER_TRAIN,
                                      .n = network->max_batch,
                                      .last = options.layers ? options.layers : network->layer_count,
                                      .loss = options.layers == 0,
                                      .backward = true,
                                      .dinput = options.dinput,
                                      .keep = true};
    runner.training = network_write(network, &request);
    if (options.optimizer) optimizer_write(options.optimizer, runner.training.program);
    runner.train = prepare(network, &runner.training, &options, &runner.work[0]);
    request.mode = LAYER_EVALUATE;
    request.loss = request.backward = request.dinput = false;
    request.fold = options.fold;
    runner.evaluation = network_write(network, &request);
    runner.evaluate = prepare(network, &runner.evaluation, &options, &runner.work[1]);
    return runner;
}

void runner_close(struct runner *runner)
{
    struct backend *backend = runner->network->backend;
    prepared_free(runner->train), prepared_free(runner->evaluate);
    program_free(runner->training.program), program_free(runner->evaluation.program);
    for (int i = 0; i < 2; i++) backend->table->free(backend, runner->work[i]);
}

bool runner_takes_pixels(struct backend *backend)
{
    const struct layer_spec linear = {.kind = LAYER_LINEAR, .linear = {.units = 16}};
    const struct gather_params gather = {.pixels = true};
    const struct network_request request = {.mode = LAYER_EVALUATE, .n = 1, .last = 1, .gather = &gather};
    struct network *network;
    struct status status = {0};
    CHECK(network_build(&network, backend, &linear, 1, LOSS_FUSED, (struct shape){1, 1, 1, 1}, 1, &status));
    struct network_program made = network_write(network, &request);
    program_finish(made.program, true);
    bool takes = made.program->tensors[made.x[0]].kind == TENSOR_PIXELS;
    program_free(made.program);
    network_destroy(network);
    return takes;
}

static struct tensor tensor_of(const struct runner *runner, const struct network_program *made, int tensor)
{
    struct tensor found = network_tensor(made, tensor, runner->work[made == &runner->evaluation]);
    found.shape.n = runner->n;
    return found;
}

static const struct network_program *program_of(const struct runner *runner, enum layer_mode mode)
{
    return mode == LAYER_TRAIN ? &runner->training : &runner->evaluation;
}

struct tensor runner_input(const struct runner *runner, enum layer_mode mode)
{
    const struct network_program *made = program_of(runner, mode);
    return tensor_of(runner, made, made->x[0]);
}

struct tensor runner_output(const struct runner *runner, enum layer_mode mode)
{
    const struct network_program *made = program_of(runner, mode);
    return tensor_of(runner, made, made->y);
}

struct tensor runner_dinput(const struct runner *runner)
{
    return tensor_of(runner, &runner->training, runner->training.dx[0]);
}

struct tensor runner_doutput(const struct runner *runner)
{
    return tensor_of(runner, &runner->training, runner->training.dy);
}

void runner_set_labels(struct runner *runner, const int32_t *labels)
{
    struct tensor to = network_tensor(&runner->training, runner->training.labels, runner->work[0]);
    memcpy(to.data, labels, (size_t)runner->n * sizeof *labels);
}

void runner_fill(struct runner *runner)
{
    const uint64_t seed = 42;
    struct backend *backend = runner->network->backend;
    struct tensor x = runner_input(runner, LAYER_TRAIN);
    int64_t count = shape_count(x.shape), classes = runner_output(runner, LAYER_TRAIN).shape.c;
    double *values = memory_alloc((size_t)count, sizeof *values);
    int32_t *labels = memory_alloc((size_t)x.shape.n, sizeof *labels);
    for (int64_t n = 0; n < x.shape.n; n++) labels[n] = (int32_t)((n * 7 + 3) % classes);
    support_fill(values, count, seed, 1, 0, 1);
    backend->table->tensor_write(backend, &x, values);
    runner_set_labels(runner, labels);
    free(values), free(labels);
}

void prepared_overwrite_dead(void *argument, const struct prepared *from, int op)
{
    enum { MOST_TENSORS = 2000 };
    (void)argument;
    const struct op_call *call = &from->calls[op];
    int dead[MOST_TENSORS], count = program_dead_after(from->program, op, dead, MOST_TENSORS);
    for (int i = 0; i < count; i++)
        for (int slot = 0; slot < OP_OPERANDS; slot++)
            if (call->op->tensor[slot] == dead[i])
                memset(call->tensor[slot].data, 0xff, from->program->tensors[dead[i]].bytes);
}

static struct run_input input_of(const struct runner *runner)
{
    return (struct run_input){.state = runner->state, .n = runner->n, .refresh = true};
}

void runner_forward(struct runner *runner, enum layer_mode mode)
{
    struct run_input input = input_of(runner);
    prepared_run_phases(mode == LAYER_TRAIN ? runner->train : runner->evaluate, &input, PHASE_LOSS);
}

void runner_backward(struct runner *runner)
{
    struct run_input input = input_of(runner);
    prepared_run_phases(runner->train, &input, PHASE_BACKWARD);
}

double runner_loss(struct runner *runner)
{
    network_set_metrics(runner->network, (struct metrics){0});
    runner_forward(runner, LAYER_TRAIN);
    struct metrics sums = network_metrics(runner->network);
    CHECK(sums.count == runner->n);
    return sums.loss / (double)sums.count;
}
