/* Measures training steps and evaluations on noise, as a whole and part by part. */
#include "trainer/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "trainer/memory.h"
#include "trainer/train.h"
#include "util/clock.h"

enum {
    WARM_UP_STEPS = 3,
    EVALUATION_BATCHES = 8,
    TRAIN_IMAGES = 50000,  /* as many as CIFAR-10 has: a batch then comes from memory, not from a cache */
    IMAGE_BYTES = 1 << 28, /* most bytes of all images; larger images are fewer */
};

/* --- timing --- */

/* Times by part and step: seconds[part * steps + step]. Part 0 is gather, then the layers, the loss, the optimizer. */
struct stopwatch {
    struct backend *backend;
    struct network *network;
    int steps, step, parts;
    double *forward, *backward;
    double last; /* clock at the end of the part before */
};

static void stopwatch_done(void *argument, enum network_phase phase, int layer)
{
    struct stopwatch *watch = argument;
    watch->backend->ops->metrics_read(watch->backend); /* waits for the device */
    double now = clock_seconds(), seconds = now - watch->last;
    int part = phase == PHASE_GATHER ? 0 : phase == PHASE_LOSS ? watch->parts - 2 : watch->parts - 1;
    if (layer >= 0) part = layer + 1;
    double *times = phase == PHASE_BACKWARD ? watch->backward : watch->forward;
    if (watch->step >= 0) times[part * watch->steps + watch->step] = seconds;
    watch->last = clock_seconds();
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* --- what is measured --- */

/* Returns the FLOPs of the layer's forward pass: two per multiplication that does not meet padding. */
static double layer_flops(const struct layer *layer, int64_t batch)
{
    if (layer->spec.kind != LAYER_CONV2D) return 2.0 * (double)layer->multiply_adds * (double)batch;
    struct window window = layer->spec.conv2d.window;
    double taps =
        (double)window_useful_taps(layer->input.h, window) * (double)window_useful_taps(layer->input.w, window);
    return 2.0 * taps * (double)layer->input.c * (double)layer->output.c * (double)batch;
}

static void collect_parts(struct bench_result *result, struct stopwatch *watch, int64_t batch)
{
    result->part_count = watch->parts;
    result->parts = memory_alloc((size_t)watch->parts, sizeof *result->parts);
    for (int p = 0; p < watch->parts; p++) {
        struct bench_part *part = &result->parts[p];
        part->forward = median(watch->forward + p * watch->steps, watch->steps);
        part->backward = median(watch->backward + p * watch->steps, watch->steps);
        if (p == 0 || p >= watch->parts - 2) {
            part->kind = p == 0 ? "gather" : p == watch->parts - 2 ? "loss" : "optimizer";
            strcpy(part->name, part->kind);
            continue;
        }
        const struct layer *layer = &watch->network->layers[p - 1];
        layer_describe(layer, part->name, sizeof part->name);
        part->kind = layer->ops->name;
        part->forward_flops = layer_flops(layer, batch);
        /* dw and dx take as much work each; the first layer has no dx. */
        part->backward_flops = part->forward_flops * (p == 1 ? 1 : 2);
    }
}

/* Times the parts. Watching costs a little, so measure_steps times the step as a whole. */
static void measure_parts(struct bench_result *result, struct trainer *trainer, int steps)
{
    int parts = trainer->network->layer_count + 3;
    struct stopwatch watch = {trainer->backend, trainer->network, steps, -WARM_UP_STEPS, parts, NULL, NULL, 0};
    watch.forward = memory_alloc((size_t)parts * (size_t)steps, sizeof *watch.forward);
    watch.backward = memory_alloc((size_t)parts * (size_t)steps, sizeof *watch.backward);
    struct network_observer observer = {stopwatch_done, &watch};
    trainer->network->observer = &observer;
    for (; watch.step < steps; watch.step++) {
        watch.last = clock_seconds();
        trainer_step(trainer);
    }
    trainer->network->observer = NULL;
    collect_parts(result, &watch, trainer->experiment->train.batch_size);
    free(watch.forward);
    free(watch.backward);
}

/* Times whole steps. A GPU gets a group of steps ahead of time, as in training, and the clock stops at the group's
 * end. */
static void measure_steps(struct bench_result *result, struct trainer *trainer, int steps)
{
    const int gpu_groups = 5;
    bool gpu = trainer->backend->pci_bus_id[0] != '\0';
    int groups = gpu ? gpu_groups : steps, size = gpu ? steps : 1;
    double *times = memory_alloc((size_t)groups, sizeof *times);
    for (int i = -WARM_UP_STEPS; i < groups; i++) {
        double start = clock_seconds();
        for (int step = 0; step < (i < 0 ? 1 : size); step++) trainer_step(trainer);
        trainer->backend->ops->metrics_read(trainer->backend);
        if (i >= 0) times[i] = (clock_seconds() - start) / size;
    }
    result->step = median(times, groups);
    result->train_images = (double)trainer->experiment->train.batch_size / result->step;
    free(times);
}

static void measure_evaluation(struct bench_result *result, struct trainer *trainer, int steps)
{
    int repeats = steps / EVALUATION_BATCHES > 3 ? steps / EVALUATION_BATCHES : 3;
    double *times = memory_alloc((size_t)repeats, sizeof *times);
    for (int i = -1; i < repeats; i++) {
        double start = clock_seconds();
        trainer_evaluate(trainer, &trainer->test_set, NULL);
        if (i >= 0) times[i] = clock_seconds() - start;
    }
    result->evaluate_images = (double)trainer->test_set.count / median(times, repeats);
    free(times);
}

static int64_t train_count(struct shape image, int64_t batch_size)
{
    int64_t fitting = IMAGE_BYTES / shape_sample_count(image);
    int64_t count = fitting < TRAIN_IMAGES ? fitting : TRAIN_IMAGES;
    return count > 2 * batch_size ? count : 2 * batch_size;
}

static void measure(struct bench_result *result, struct trainer *trainer, int steps)
{
    trainer->step = trainer->batches_per_epoch; /* the first epoch may be in file order, no later one is */
    result->train_batch = trainer->experiment->train.batch_size;
    result->evaluate_batch = trainer->test_set.full.n;
    result->train_count = trainer->train_set.count;
    result->steps = steps;
    result->peak = trainer->backend->ops->measure_peak(trainer->backend);
    measure_steps(result, trainer, steps);
    measure_evaluation(result, trainer, steps);
    measure_parts(result, trainer, steps);
}

bool bench_run(struct bench_result *result, const struct experiment *experiment, struct shape image, int64_t classes,
               int steps, struct status *status)
{
    *result = (struct bench_result){.image = image, .classes = classes};
    struct dataset dataset = {0};
    struct backend *backend;
    if (!experiment_backend_create(&backend, experiment, status)) return false;
    snprintf(result->backend, sizeof result->backend, "%s", backend->description);
    dataset_noise(&dataset, image, classes, train_count(image, experiment->train.batch_size),
                  EVALUATION_BATCHES * model_evaluation_batch(experiment), experiment->data.normalization,
                  (uint64_t)experiment->experiment.seed);
    struct trainer *trainer = memory_alloc(1, sizeof *trainer); /* must not move */
    bool good = trainer_create(trainer, experiment, &dataset, backend, status);
    if (good) measure(result, trainer, steps);
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
    *result = (struct bench_result){0};
}
