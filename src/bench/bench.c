/* Measures training steps and evaluations on noise, as a whole and part by part. */
#include "bench/bench_private.h"
#include "build/build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "train/run_loop.h"
#include "util/clock.h"
#include "util/memory.h"

enum {
    WARM_UP_STEPS = 3,
    EVALUATION_BATCHES = 8,
    TRAIN_IMAGES = 50000,  /* as many as CIFAR-10 has: a batch then comes from memory, not from a cache */
    IMAGE_BYTES = 1 << 28, /* most bytes of all images; larger images are fewer */
};

/* --- timing --- */

/* Times by part and step: seconds[part * steps + step]. Part 0 is gather, then the groups of layers, the loss, the sums of
 * slices and exchanges of ranks where a step has some, the optimizer. */
struct stopwatch {
    const struct trainer *trainer;
    const struct network *network;
    int steps, step, parts;
    int sums; /* parts of sums and exchanges */
    double *forward, *backward;
    double last; /* clock at the end of the part before */
};

/* The part of a step that an op belongs to. */
static int part_of(const struct stopwatch *watch, const struct op *op)
{
    if (op->phase == PHASE_GATHER) return 0;
    if (op->phase == PHASE_LOSS) return watch->parts - 2 - watch->sums;
    if (op->phase == PHASE_OPTIMIZER) return watch->parts - 1;
    int group = 0;
    while (watch->network->groups[group].first + watch->network->groups[group].count <= op->layer) group++;
    return group + 1;
}

static void add_time(struct stopwatch *watch, double *times, int part)
{
    network_metrics(watch->network); /* waits for the device */
    double seconds = clock_seconds() - watch->last;
    if (watch->step >= 0) times[part * watch->steps + watch->step] += seconds;
    watch->last = clock_seconds();
}

static void stopwatch_done(void *argument, const struct prepared *prepared, int op)
{
    struct stopwatch *watch = argument;
    const struct op *done = &prepared->program->ops[op];
    add_time(watch, done->phase == PHASE_BACKWARD ? watch->backward : watch->forward, part_of(watch, done));
}

static void stopwatch_summed(void *argument)
{
    struct stopwatch *watch = argument;
    add_time(watch, watch->forward, watch->parts - 1 - watch->sums);
}

static void stopwatch_exchanged(void *argument)
{
    struct stopwatch *watch = argument;
    add_time(watch, watch->forward, watch->parts - 2);
}

/* The next step begins. */
static bool stopwatch_next(void *argument, struct status *status)
{
    struct stopwatch *watch = argument;
    (void)status;
    watch->step++;
    watch->last = clock_seconds();
    return true;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* --- what is measured --- */

/* Makes the loop of a measurement over `steps` further steps. Training is on noise, so nothing is checked. */
static struct run_loop start_loop(struct trainer *trainer, int steps, void *argument)
{
    return (struct run_loop){
        .trainer = trainer, .last_step = trainer->step + steps, .checks = RUN_LOOP_CHECK_NOTHING, .argument = argument};
}

/* Adds the FLOPs of every op of a program that runs so many times in a step to its part. */
static void count_flops(struct bench_result *result, const struct stopwatch *watch, const struct program *program,
                        int64_t runs)
{
    for (int i = 0; i < program->op_count; i++) {
        const struct op *op = &program->ops[i];
        struct bench_part *part = &result->parts[part_of(watch, op)];
        *(op->phase == PHASE_BACKWARD ? &part->backward_flops : &part->forward_flops) +=
            (double)runs * program_flops(program, op);
    }
}

/* The name of a part that is no layer; NULL: it is one. */
static const char *name_of(const struct stopwatch *watch, int part)
{
    if (part == 0) return "gather";
    if (part == watch->parts - 1) return "optimizer";
    if (part == watch->parts - 2 - watch->sums) return "loss";
    if (part == watch->parts - 1 - watch->sums) return "sums of slices";
    return part == watch->parts - 2 ? "exchange" : NULL;
}

static void collect_parts(struct bench_result *result, struct stopwatch *watch)
{
    result->part_count = watch->parts;
    result->parts = memory_alloc((size_t)watch->parts, sizeof *result->parts);
    for (int p = 0; p < watch->parts; p++) {
        struct bench_part *part = &result->parts[p];
        part->forward = bench_median(watch->forward + p * watch->steps, watch->steps);
        part->backward = bench_median(watch->backward + p * watch->steps, watch->steps);
        part->kind = name_of(watch, p);
        if (part->kind) {
            strcpy(part->name, part->kind);
            continue;
        }
        struct layer_group group = watch->network->groups[p - 1];
        network_describe_group(watch->network, group, part->name, sizeof part->name);
        part->kind = watch->network->layers[group.first].ops->name;
        part->parameter_bytes =
            network_group_scalars(watch->network, group) * (int64_t)watch->network->backend->scalar_size;
    }
    const struct trainer *trainer = watch->trainer;
    count_flops(result, watch, trainer->training.program, trainer->update ? trainer->slices.own : 1);
    if (trainer->update) count_flops(result, watch, trainer->update, 1);
    if (trainer->average) count_flops(result, watch, trainer->average, 1);
}

/* Times the parts. Watching costs a little, so measure_steps times the step as a whole. */
static void measure_parts(struct bench_result *result, struct trainer *trainer, int steps)
{
    int sums = (trainer->update != NULL) + (trainer->ranks.comm != NULL);
    struct stopwatch watch = {.trainer = trainer,
                              .network = trainer->network,
                              .steps = steps,
                              .step = -WARM_UP_STEPS,
                              .parts = trainer->network->group_count + 3 + sums,
                              .sums = sums};
    watch.forward = memory_alloc((size_t)watch.parts * (size_t)steps, sizeof *watch.forward);
    watch.backward = memory_alloc((size_t)watch.parts * (size_t)steps, sizeof *watch.backward);
    struct run_loop loop = start_loop(trainer, WARM_UP_STEPS + steps, &watch);
    struct status no_check;
    loop.calls.op_done = stopwatch_done;
    loop.calls.summed = stopwatch_summed;
    loop.calls.exchanged = stopwatch_exchanged;
    loop.calls.stepped = stopwatch_next;
    watch.last = clock_seconds();
    run_loop_run(&loop, &no_check);
    collect_parts(result, &watch);
    free(watch.forward);
    free(watch.backward);
}

/* Times of groups of steps, after the warm-up. */
struct group_times {
    const struct trainer *trainer;
    int64_t first; /* steps done before the first group */
    int size;      /* steps of a group */
    double *seconds;
    double last; /* clock at the end of the group before */
};

static bool is_group_done(void *argument)
{
    const struct group_times *times = argument;
    int64_t done = times->trainer->step - times->first;
    return done <= 0 || done % times->size == 0;
}

/* Notes the time of a group. The look before it has waited for the device. */
static void note_group(void *argument)
{
    struct group_times *times = argument;
    int64_t done = times->trainer->step - times->first;
    if (done > 0) times->seconds[done / times->size - 1] = clock_seconds() - times->last;
    times->last = clock_seconds();
}

/* Times whole steps. A GPU gets a group of steps ahead of time, as in training, and the clock stops at the group's
 * end. */
static void measure_steps(struct bench_result *result, struct trainer *trainer, int steps)
{
    const int gpu_groups = 5;
    bool gpu = trainer->backend->pci_bus_id[0] != '\0';
    int groups = gpu ? gpu_groups : steps, size = gpu ? steps : 1;
    struct group_times times = {.trainer = trainer,
                                .first = trainer->step + WARM_UP_STEPS,
                                .size = size,
                                .seconds = memory_alloc((size_t)groups, sizeof *times.seconds)};
    struct run_loop loop = start_loop(trainer, WARM_UP_STEPS + groups * size, &times);
    struct status no_check;
    loop.calls.is_look_due = is_group_done;
    loop.calls.looked = note_group;
    run_loop_run(&loop, &no_check);
    result->step = bench_median(times.seconds, groups) / size;
    result->train_images = (double)trainer->experiment->train.batch_size / result->step;
    free(times.seconds);
}

static void measure_evaluation(struct bench_result *result, struct trainer *trainer, int steps)
{
    int repeats = steps / EVALUATION_BATCHES > 3 ? steps / EVALUATION_BATCHES : 3;
    double *times = memory_alloc((size_t)repeats, sizeof *times);
    for (int i = -1; i < repeats; i++) {
        double start = clock_seconds();
        trainer_evaluate(trainer, &trainer->test_set);
        if (i >= 0) times[i] = clock_seconds() - start;
    }
    result->evaluate_images = (double)trainer->test_set.count / bench_median(times, repeats);
    free(times);
}

static int64_t train_count(struct shape image, int64_t batch_size)
{
    int64_t fitting = IMAGE_BYTES / shape_sample_count(image);
    int64_t count = fitting < TRAIN_IMAGES ? fitting : TRAIN_IMAGES;
    return count > 2 * batch_size ? count : 2 * batch_size;
}

/* Images of the test set: some batches, fewer where they are large. */
static int64_t test_count(const struct experiment *experiment, struct dataset_description format,
                          const struct backend *backend)
{
    int64_t fitting = IMAGE_BYTES / (format.channels * format.height * format.width);
    int64_t count = EVALUATION_BATCHES * evaluation_batch_from_experiment(experiment, format, backend);
    int64_t least = EVALUATION_BATCHES * experiment_evaluation_batch(experiment);
    if (count > fitting) count = fitting;
    return count > least ? count : least;
}

static void measure(struct bench_result *result, struct trainer *trainer, struct bench_wish wish)
{
    trainer->step = trainer->batches_per_epoch; /* the first epoch may be in file order, no later one is */
    result->train_batch = trainer->experiment->train.batch_size;
    result->evaluate_batch = trainer->test_set.full.n;
    result->train_count = trainer->train_set.count;
    result->parameter_bytes = (int64_t)(trainer->network->arena_count * trainer->backend->scalar_size);
    result->statistics_bytes = (int64_t)(trainer->network->buffer_count * trainer->backend->scalar_size);
    result->steps = wish.steps;
    result->peak = trainer->backend->table->measure_peak(trainer->backend);
    measure_steps(result, trainer, wish.steps);
    if (wish.evaluation) measure_evaluation(result, trainer, wish.steps);
    measure_parts(result, trainer, wish.steps);
    if (wish.ops) bench_measure_ops(result, trainer);
}

/* Measures on rank 0, for which the others compute. */
static bool measure_on_ranks(struct bench_result *result, struct trainer *trainer, struct bench_wish wish,
                             struct status *status)
{
    int code;
    const struct comm *comm = trainer->ranks.comm;
    if (comm && comm->rank > 0) return trainer_follow(trainer, &code, status);
    if (!trainer_lead_share(trainer, status)) return false;
    measure(result, trainer, wish);
    return ranks_good(&trainer->ranks, status) && trainer_lead_end(trainer, STATUS_OK, status);
}

/* Makes everything that a step needs, on data of noise. What is made is to be freed after a failure too. */
static bool prepare_bench(struct trainer *trainer, struct dataset *dataset, struct backend **backend,
                          const struct experiment *experiment, bool evaluation, struct comm *comm,
                          const struct bench_result *result, struct status *status)
{
    struct shape image = result->image;
    if (!ranks_create_backend(backend, experiment, comm, status)) return false;
    const struct dataset_description format = {image.c, image.h, image.w, result->classes};
    dataset_noise(dataset, image, result->classes, train_count(image, experiment->train.batch_size),
                  evaluation ? test_count(experiment, format, *backend) : 1, experiment->data.normalization,
                  (uint64_t)experiment->experiment.seed);
    return ranks_check(experiment, comm, status) &&
           trainer_create(trainer, experiment, dataset, *backend, comm, status);
}

bool bench_run(struct bench_result *result, const struct experiment *experiment, struct shape image, int64_t classes,
               struct bench_wish wish, struct comm *comm, struct status *status)
{
    *result = (struct bench_result){.image = image, .classes = classes, .ranks = comm ? comm->size : 1};
    struct dataset dataset = {0};
    struct backend *backend = NULL;
    struct trainer *trainer = memory_alloc(1, sizeof *trainer);
    bool good = prepare_bench(trainer, &dataset, &backend, experiment, wish.evaluation, comm, result, status);
    if (comm) good = ranks_agree(comm, good, &dataset, backend, status);
    if (good) good = ranks_connect(&trainer->ranks, experiment, status);
    if (good) snprintf(result->backend, sizeof result->backend, "%s", backend->description);
    if (good) good = measure_on_ranks(result, trainer, wish, status);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    result->memory_bytes = 1024.0 * (double)usage.ru_maxrss; /* in KiB on Linux */
    trainer_destroy(trainer);
    free(trainer);
    dataset_free(&dataset);
    backend_destroy(backend);
    return good;
}

void bench_free(struct bench_result *result)
{
    free(result->parts);
    free(result->ops);
    *result = (struct bench_result){0};
}
