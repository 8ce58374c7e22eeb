/* Writes the programs of a run (train_program.h). */
#include "train/train_program.h"

#include <stdlib.h>

#include "backend/augment_picture.h"
#include "build/build.h"
#include "program/passes.h"
#include "util/memory.h"

/* True where training's images are others than those of the files. */
static bool changes_images(const struct augment_params *augment)
{
    return augment->flip || augment->crop > 0 || augment->cutout > 0 || augment_is_staged(augment);
}

struct network_program train_program_write(const struct experiment *experiment, const struct network *network,
                                           const struct optimizer *optimizer, const struct ema *ema,
                                           int64_t epoch_steps)
{
    struct gather_params gather = {.augment = augment_from_experiment(experiment, epoch_steps)};
    gather.augmented = changes_images(&gather.augment);
    gather.pixels = !gather.augmented;
    const struct network_request request = {.mode = LAYER_TRAIN,
                                            .n = experiment->train.batch_size / experiment->train.slices,
                                            .last = network->layer_count,
                                            .gather = &gather,
                                            .loss = true,
                                            .backward = true};
    struct network_program made = network_write(network, &request);
    if (experiment->train.slices == 1) {
        if (experiment->train.clip_norm > 0) network_write_clip(network, experiment->train.clip_norm, made.program);
        optimizer_write(optimizer, made.program);
        ema_write(ema, made.program);
    }
    program_finish(made.program, true);
    return made;
}

struct program *train_program_write_update(const struct experiment *experiment, const struct network *network,
                                           const struct optimizer *optimizer)
{
    if (experiment->train.slices == 1) return NULL;
    struct program *program = program_create(network->backend, experiment->train.batch_size);
    if (experiment->train.clip_norm > 0) network_write_clip(network, experiment->train.clip_norm, program);
    optimizer_write_part(optimizer, program);
    program_finish(program, true);
    return program;
}

struct program *train_program_write_average(const struct experiment *experiment, const struct network *network,
                                            const struct ema *ema)
{
    if (experiment->train.slices == 1 || ema->decay == 0) return NULL;
    struct program *program = program_create(network->backend, experiment->train.batch_size);
    ema_write(ema, program);
    program_finish(program, true);
    return program;
}

struct network_program train_program_write_evaluation(const struct experiment *experiment,
                                                      const struct network *network, int64_t n)
{
    const struct augment_params augment = augment_from_experiment(experiment, 1);
    const struct gather_params gather = {.augmented = false, .pixels = !changes_images(&augment)};
    const struct network_request request = {
        .mode = LAYER_EVALUATE, .n = n, .last = network->layer_count, .gather = &gather, .loss = true, .fold = true};
    struct network_program made = network_write(network, &request);
    program_finish(made.program, true);
    return made;
}

/* Class weights of one stand for those that only data can tell; mixed labels need none. */
static void set_loss(const struct experiment *experiment, struct network *network)
{
    const struct augment_params augment = augment_from_experiment(experiment, 1);
    int64_t classes = network->layers[network->layer_count - 1].output.c;
    network->labels_mixed = augment_mixes(&augment);
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_NONE) return;
    double *ones = memory_alloc((size_t)classes, sizeof *ones);
    for (int64_t c = 0; c < classes; c++) ones[c] = 1;
    network_set_class_weights(network, ones);
    free(ones);
}

void train_program_print(const struct experiment *experiment, struct network *network, int64_t n, FILE *out)
{
    set_loss(experiment, network);
    const struct optimizer_settings settings = optimizer_from_experiment(experiment);
    struct optimizer optimizer;
    struct ema ema;
    optimizer_create(&optimizer, &settings, network);
    ema_create(&ema, experiment->train.ema_decay, network);
    struct network_program train = train_program_write(experiment, network, &optimizer, &ema, 1);
    struct network_program evaluate = train_program_write_evaluation(experiment, network, n);
    struct program *update = train_program_write_update(experiment, network, &optimizer);
    struct program *average = train_program_write_average(experiment, network, &ema);
    int64_t slices = experiment->train.slices;
    if (update) fprintf(out, "each of the %lld slices of ", (long long)slices);
    fprintf(out, "a training step, %lld images:\n", (long long)train.program->max_n);
    program_print(train.program, out);
    if (update) {
        fputs("\nthe end of a training step, once the slices are summed:\n", out);
        program_print(update, out);
    }
    if (average) {
        fputs("\nand then:\n", out);
        program_print(average, out);
    }
    fprintf(out, "\nan evaluation, up to %lld images at a time:\n", (long long)n);
    program_print(evaluate.program, out);
    program_free(train.program), program_free(update), program_free(average), program_free(evaluate.program);
    ema_destroy(&ema), optimizer_destroy(&optimizer);
}
