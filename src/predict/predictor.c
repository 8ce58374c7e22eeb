/* Answers with a trained network: scores of images, and an evaluation of a whole set. */
#include "predict/predictor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "predict/views.h"
#include "program/passes.h"
#include "util/memory.h"

static bool prepare(struct predictor *predictor, struct status *status)
{
    struct network *network = predictor->network;
    struct backend *backend = predictor->backend;
    struct network_request request = {
        .mode = LAYER_EVALUATE, .n = network->max_batch, .last = network->layer_count, .keep = true};
    predictor->program = network_write(network, &request);
    if (!network_check_support(network, predictor->program.program, status)) return false;
    program_finish(predictor->program.program, true);
    predictor->work = backend->table->alloc(backend, (size_t)predictor->program.program->work_bytes);
    void *base[SPACES] = {[SPACE_WORK] = predictor->work};
    network_bases(network, base);
    predictor->prepared = prepared_create(predictor->program.program, backend, base);
    return true;
}

/* That of training's evaluations, but no more than the experiment's own where the values on the host would be many. */
static int64_t choose_batch(const struct predictor *predictor, struct dataset_description format)
{
    const int64_t most = 1 << 25; /* 256 MiB of doubles */
    int64_t batch = evaluation_batch_from_experiment(&predictor->experiment, format, predictor->backend);
    int64_t own = experiment_evaluation_batch(&predictor->experiment);
    return batch * format.channels * format.height * format.width <= most ? batch : own;
}

static bool build(struct predictor *predictor, const struct safetensors_file *file, struct status *status)
{
    const struct checkpoint_input *input = &predictor->input;
    const struct experiment *experiment = &predictor->experiment;
    struct dataset_description format = {input->channels, input->height, input->width, input->classes};
    int64_t batch = choose_batch(predictor, format);
    if (!network_from_experiment(&predictor->network, experiment, format, predictor->backend, batch, status))
        return false;
    size_t pixels = (size_t)(input->channels * input->height * input->width);
    predictor->batch = memory_alloc((size_t)batch * pixels, sizeof *predictor->batch);
    return prepare(predictor, status) && checkpoint_load_weights(file, predictor->network, NULL, status);
}

bool predictor_open(struct predictor *predictor, const char *run, enum checkpoint_choice choice,
                    const struct experiment_override *overrides, int override_count, struct status *status)
{
    struct checkpoint checkpoint;
    *predictor = (struct predictor){0};
    if (!checkpoint_open(&checkpoint, run, choice, status)) return false;
    predictor->path = memory_copy_string(checkpoint.file.path);
    predictor->step = checkpoint.step;
    predictor->views = 1;
    bool good = checkpoint_experiment(&checkpoint, overrides, override_count, &predictor->experiment, status) &&
                checkpoint_input_read(&predictor->input, &checkpoint.file, status) &&
                backend_from_experiment(&predictor->backend, &predictor->experiment, status) &&
                build(predictor, &checkpoint.file, status);
    checkpoint_free(&checkpoint);
    if (!good) predictor_close(predictor);
    return good;
}

void predictor_close(struct predictor *predictor)
{
    prepared_free(predictor->prepared);
    program_free(predictor->program.program);
    if (predictor->backend) predictor->backend->table->free(predictor->backend, predictor->work);
    network_destroy(predictor->network);
    backend_destroy(predictor->backend);
    checkpoint_input_free(&predictor->input);
    experiment_free(&predictor->experiment);
    free(predictor->batch);
    free(predictor->path);
    *predictor = (struct predictor){0};
}

/* Normalizes pixels in the arithmetic of the backend's gather, so that the network sees the same bits as in
 * training. */
static void normalize(struct predictor *predictor, const uint8_t *pixels, int64_t n)
{
    const struct checkpoint_input *input = &predictor->input;
    int64_t plane = input->height * input->width, sample = input->channels * plane;
    bool wide = predictor->experiment.backend.precision == PRECISION_FP64;
    for (int64_t i = 0; i < n * sample; i++) {
        float offset = input->offset[i % sample], scale = input->scale[i % sample / plane];
        predictor->batch[i] =
            wide ? ((double)pixels[i] - (double)offset) * (double)scale : (double)(((float)pixels[i] - offset) * scale);
    }
}

/* Computes the logits of at most a batch of images as they are. */
static void batch_logits(struct predictor *predictor, const uint8_t *pixels, int64_t n, double *logits)
{
    struct backend *backend = predictor->backend;
    struct tensor x = network_tensor(&predictor->program, predictor->program.x[0], predictor->work);
    struct tensor scores = network_tensor(&predictor->program, predictor->program.logits, predictor->work);
    x.shape.n = scores.shape.n = n;
    normalize(predictor, pixels, n);
    backend->table->tensor_write(backend, &x, predictor->batch);
    prepared_watch(predictor->prepared, &(struct run_input){.n = n, .refresh = true}, NULL, NULL);
    backend->table->tensor_read(backend, &scores, logits);
}

/* Computes the means of the logits over the views. */
static void views_logits(struct predictor *predictor, const uint8_t *pixels, int64_t n, double *logits)
{
    const struct checkpoint_input *input = &predictor->input;
    const struct view *views = views_of(predictor->views);
    int64_t sample = input->channels * input->height * input->width, scores = n * input->classes;
    uint8_t *seen = memory_alloc((size_t)n, (size_t)sample);
    double *own = memory_alloc((size_t)scores, sizeof *own);
    memset(logits, 0, (size_t)scores * sizeof *logits);
    for (int v = 0; v < predictor->views; v++) {
        view_images(views[v], pixels, n, input->channels, input->height, input->width, seen);
        batch_logits(predictor, seen, n, own);
        for (int64_t i = 0; i < scores; i++) logits[i] += views[v].weight * own[i];
    }
    free(seen);
    free(own);
}

void predictor_logits(struct predictor *predictor, const uint8_t *pixels, int64_t n, double *logits)
{
    const struct checkpoint_input *input = &predictor->input;
    int64_t sample = input->channels * input->height * input->width, most = predictor->network->max_batch;
    for (int64_t first = 0; first < n; first += most) {
        int64_t count = n - first < most ? n - first : most;
        (predictor->views > 1 ? views_logits : batch_logits)(predictor, pixels + first * sample, count,
                                                             logits + first * input->classes);
    }
}

void predictor_class_name(const struct predictor *predictor, int64_t label, char *text, size_t size)
{
    if (predictor->input.class_names)
        snprintf(text, size, "%s", predictor->input.class_names[label]);
    else
        snprintf(text, size, "%" PRId64, label);
}

int64_t predictor_batch(const struct predictor *predictor, int64_t count)
{
    int64_t most = predictor->network->max_batch;
    return count < most ? count : most;
}

/* Computes the logits of the images from `first` on, at most a batch; returns their number. A network that normalises
 * by the batch gets the end of the set as part of a batch of full size, as in training's evaluations (struct
 * evaluation_set). The `skipped` images then come first in `logits`. `pixels` holds a batch. */
static int64_t next_logits(struct predictor *predictor, const struct image_set *set, int64_t first, uint8_t *pixels,
                           double *logits, int64_t *skipped)
{
    const struct checkpoint_input *input = &predictor->input;
    int64_t sample = input->channels * input->height * input->width, batch = predictor_batch(predictor, set->count);
    int64_t count = set->count - first < batch ? set->count - first : batch;
    *skipped = network_needs_batches(predictor->network) ? batch - count : 0;
    for (int64_t i = 0; i < count + *skipped; i++)
        memcpy(pixels + i * sample, image_set_pixels(set, first - *skipped + i, sample), (size_t)sample);
    predictor_logits(predictor, pixels, count + *skipped, logits);
    return count;
}

struct evaluation predictor_evaluate(struct predictor *predictor, const struct image_set *set,
                                     struct predictor_visitor visitor, struct confusion *confusion)
{
    int64_t classes = predictor->input.classes, batch = predictor_batch(predictor, set->count), count;
    int64_t sample = predictor->input.channels * predictor->input.height * predictor->input.width;
    uint8_t *pixels = memory_alloc((size_t)batch, (size_t)sample);
    double *logits = memory_alloc((size_t)(batch * classes), sizeof *logits), loss = 0;
    *confusion = confusion_create(classes);
    for (int64_t first = 0; first < set->count; first += count) {
        int64_t skipped;
        count = next_logits(predictor, set, first, pixels, logits, &skipped);
        for (int64_t i = 0; i < count; i++) {
            const double *scores = logits + (skipped + i) * classes;
            int64_t label = set->labels[first + i];
            loss += scores_cross_entropy(scores, classes, label);
            confusion_add_scores(confusion, label, scores);
            if (visitor.image) visitor.image(visitor.argument, first + i, label, scores);
        }
    }
    free(logits);
    free(pixels);
    return (struct evaluation){loss / (double)set->count, (double)confusion_correct(confusion) / (double)set->count};
}

bool predictor_check_single(const struct predictor *predictor, struct status *status)
{
    if (!network_needs_batches(predictor->network)) return true;
    return experiment_fail(
        &predictor->experiment, "model.batchnorm_batch_stats_only", status,
        "expected false, as an image alone has no batch to be normalised by, found true: with it the "
        "answer for an image depends on the images beside it (trainer eval states its batches)");
}

bool predictor_check_set(const struct predictor *predictor, const struct image_set *set, struct status *status)
{
    int64_t batch = predictor_batch(predictor, set->count);
    const struct layer *layer = network_find_single_value(predictor->network, batch, LAYER_EVALUATE);
    if (!layer) return true;
    char name[64];
    layer_describe(layer, name, sizeof name);
    const char *key = set->count == 1 ? "model.batchnorm_batch_stats_only" : "train.eval_batch_size";
    return experiment_fail(
        &predictor->experiment, key, status,
        "expected more than 1 image, as layer %d (%s) normalises by the batch and would see one value per "
        "channel, found 1",
        layer->index, name);
}

bool predictor_check_data(const struct predictor *predictor, const struct dataset *dataset, struct status *status)
{
    const struct checkpoint_input *input = &predictor->input;
    bool same = dataset->channels == input->channels && dataset->height == input->height &&
                dataset->width == input->width && dataset->classes == input->classes;
    if (same) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: the network takes images of %" PRId64 "x%" PRId64 "x%" PRId64 " and tells %" PRId64
                       " classes apart, the data set has %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64,
                       predictor->path, input->channels, input->height, input->width, input->classes, dataset->channels,
                       dataset->height, dataset->width, dataset->classes);
}
