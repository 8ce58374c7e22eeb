/* Runs the programs of a network in tests (network_support.h). */
#include "network_support.h"

#include <string.h>

#include "program/passes.h"
#include "util/check.h"

static struct prepared *prepare(struct network *network, struct network_program *made, void **work)
{
    struct backend *backend = network->backend;
    program_place(made->program, true);
    *work = backend->ops->alloc(backend, (size_t)made->program->work_bytes);
    void *base[SPACES] = {[SPACE_WORK] = *work};
    network_bases(network, base);
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
    runner.train = prepare(network, &runner.training, &runner.work[0]);
    request.mode = LAYER_EVALUATE;
    request.loss = request.backward = request.dinput = false;
    request.fold = options.fold;
    runner.evaluation = network_write(network, &request);
    runner.evaluate = prepare(network, &runner.evaluation, &runner.work[1]);
    return runner;
}

void runner_close(struct runner *runner)
{
    struct backend *backend = runner->network->backend;
    prepared_free(runner->train), prepared_free(runner->evaluate);
    program_free(runner->training.program), program_free(runner->evaluation.program);
    for (int i = 0; i < 2; i++) backend->ops->free(backend, runner->work[i]);
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
