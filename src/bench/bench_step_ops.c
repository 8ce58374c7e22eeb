/* Times each operation of a training step alone (bench_private.h). An operation runs as in a step, recorded where the
 * backend records, many times between two looks at the clock, so that neither the look nor the start of a single one
 * counts. What it reads then comes from a cache more often than in a step, where other operations run in between. */
#include <stdlib.h>

#include "bench/bench_private.h"
#include "program/op_title.h"
#include "util/clock.h"
#include "util/memory.h"

enum { WARM_UP_RUNS = 3, TIMED_RUNS = 5, MOST_REPEATS = 200 };
static const double wanted_seconds = 2e-3; /* of a timed run */

static double run_seconds(struct trainer *trainer, struct prepared_repeat *repeat)
{
    network_metrics(trainer->network); /* waits for the device */
    double start = clock_seconds();
    prepared_run_repeat(repeat);
    network_metrics(trainer->network);
    return clock_seconds() - start;
}

/* Two structs of its own for each operation: a backend knows a recording by the address. */
static double measure_op(struct trainer *trainer, struct prepared *prepared, struct prepared_repeat repeat[2], int op)
{
    double single = 0, times[TIMED_RUNS];
    repeat[0] = (struct prepared_repeat){prepared, op, 1};
    for (int i = 0; i < WARM_UP_RUNS; i++) single = run_seconds(trainer, &repeat[0]);
    int count = single * MOST_REPEATS < wanted_seconds ? MOST_REPEATS : 1 + (int)(wanted_seconds / single);
    repeat[1] = (struct prepared_repeat){prepared, op, count};
    for (int i = 0; i < WARM_UP_RUNS; i++) run_seconds(trainer, &repeat[1]);
    for (int i = 0; i < TIMED_RUNS; i++) times[i] = run_seconds(trainer, &repeat[1]) / count;
    return bench_median(times, TIMED_RUNS);
}

/* Of the ops of a program, once each. */
static void measure_program(struct bench_result *result, struct trainer *trainer, struct prepared *prepared)
{
    const struct program *program = prepared->program;
    struct prepared_repeat *repeats = memory_alloc(2 * (size_t)program->op_count, sizeof *repeats);
    for (int i = program->once_count; i < program->op_count; i++) {
        const struct op *op = &program->ops[i];
        if (op->attached) continue; /* it runs within the one before it */
        struct bench_op *measured = &result->ops[result->op_count++];
        op_title(program, op, measured->title, sizeof measured->title);
        measured->seconds = measure_op(trainer, prepared, &repeats[2 * i], i);
        measured->bytes = (double)program_bytes(program, op);
        measured->flops = program_flops(program, op);
    }
    free(repeats);
}

void bench_measure_ops(struct bench_result *result, struct trainer *trainer)
{
    struct prepared *step = trainer->train ? trainer->train : trainer->slices.sums[0].prepared;
    size_t most = (size_t)step->program->op_count + (trainer->update ? (size_t)trainer->update->op_count : 0);
    if (trainer->average) most += (size_t)trainer->average->op_count;
    result->ops = memory_alloc(most, sizeof *result->ops);
    measure_program(result, trainer, step);
    if (trainer->updating) measure_program(result, trainer, trainer->updating);
    if (trainer->averaging) measure_program(result, trainer, trainer->averaging);
}
