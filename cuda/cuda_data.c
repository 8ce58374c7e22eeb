/* The data set on the device, as the bytes of its files, and the order in which gather visits it. */
#include <stdlib.h>

#include "backend/augment_picture.h"
#include "cuda_backend.h"
#include "util/memory.h"

struct device_dataset {
    struct cuda_images images; /* device memory */
    int64_t count;
};

static void *upload(struct cuda_backend *cuda, const void *from, size_t bytes)
{
    void *data = cuda_alloc(cuda, bytes);
    CUDA_CHECK(cudaMemcpyAsync(data, from, bytes, cudaMemcpyHostToDevice, cuda->lane->stream));
    return data;
}

/* Copies the images of the view to the device, in the order of its samples. */
static uint8_t *upload_images(struct cuda_backend *cuda, const struct dataset_view *view, size_t sample)
{
    size_t count = (size_t)view->count;
    if (!view->rows) return upload(cuda, view->pixels, count * sample);
    uint8_t *images = cuda_alloc(cuda, count * sample);
    for (size_t i = 0; i < count;) { /* a run of neighbouring rows at a time */
        size_t first = i++;
        while (i < count && view->rows[i] == view->rows[i - 1] + 1) i++;
        const uint8_t *from = view->pixels + (size_t)view->rows[first] * sample;
        CUDA_CHECK(cudaMemcpyAsync(images + first * sample, from, (i - first) * sample, cudaMemcpyHostToDevice,
                                   cuda->lane->stream));
    }
    return images;
}

static struct device_dataset *dataset_upload(struct backend *backend, const struct dataset_view *view)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct device_dataset *dataset = memory_alloc(1, sizeof *dataset);
    int64_t plane = view->height * view->width, sample = view->channels * plane;
    size_t count = (size_t)view->count;
    int32_t *order = cuda_alloc(cuda, count * sizeof *order);
    dataset->count = view->count;
    dataset->images = (struct cuda_images){
        .pixels = upload_images(cuda, view, (size_t)sample),
        .labels = upload(cuda, view->labels, count * sizeof *view->labels),
        .offset = upload(cuda, view->offset, (size_t)sample * sizeof *view->offset),
        .scale = upload(cuda, view->scale, (size_t)view->channels * sizeof *view->scale),
        .order = order,
        .channels = view->channels,
        .height = view->height,
        .width = view->width,
    };
    CUDA_CHECK(cuda_order_identity(cuda->lane->stream, order, view->count));
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream)); /* the caller may free the view once this returns */
    return dataset;
}

static void dataset_free_cuda(struct backend *backend, struct device_dataset *dataset)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (!dataset) return;
    cuda_free(cuda, (void *)dataset->images.pixels);
    cuda_free(cuda, (void *)dataset->images.labels);
    cuda_free(cuda, (void *)dataset->images.offset);
    cuda_free(cuda, (void *)dataset->images.scale);
    cuda_free(cuda, (void *)dataset->images.order);
    free(dataset);
}

/* A copy from memory that is not page-locked returns once the source may change. */
static void dataset_set_order(struct backend *backend, struct device_dataset *dataset, const int32_t *order)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording);
    int32_t *to = (int32_t *)dataset->images.order;
    if (!order) {
        CUDA_CHECK(cuda_order_identity(cuda->lane->stream, to, dataset->count));
        return;
    }
    size_t bytes = (size_t)dataset->count * sizeof *order;
    CUDA_CHECK(cudaMemcpyAsync(to, order, bytes, cudaMemcpyHostToDevice, cuda->lane->stream));
}

/* Memory for a batch of changed images, taken at the first use, which no step records. */
static void reserve_stage(struct cuda_backend *cuda, int64_t samples, int64_t sample_bytes)
{
    int64_t bytes = samples * sample_bytes;
    if (cuda->stage_bytes < bytes) {
        cuda_free(cuda, cuda->stage.pixels);
        cuda->stage.pixels = cuda_alloc(cuda, (size_t)bytes);
        cuda->stage_bytes = bytes;
    }
    if (cuda->stage_samples >= samples) return;
    cuda_free(cuda, cuda->stage.holes);
    cuda->stage.holes = cuda_alloc(cuda, cuda_stage_hole_bytes(samples));
    cuda->stage_samples = samples;
}

static void check_augment(const struct cuda_images *images, const struct augment_params *augment)
{
    if (!augment) return;
    CHECK(augment->crop >= 0 && augment->crop < images->height && augment->crop < images->width &&
          augment->cutout >= 0);
    CHECK(augment->saturation == 0 || images->channels == 3);
}

static void run_gather(struct backend *backend, const struct op_call *call)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    CHECK(!cuda->recording); /* a replayed GATHER would bring the state of an old step */
    const struct device_dataset *dataset = call->input->data;
    const struct cuda_images *images = &dataset->images;
    const struct augment_params *augment = call->op->gather.augmented ? &call->op->gather.augment : NULL;
    const struct tensor *x = &call->tensor[GATHER_X], *labels = &call->tensor[GATHER_LABELS];
    struct shape s = x->shape;
    bool vectors = s.h == 1 && s.w == 1;
    const struct step_state *state = &call->input->state;
    int64_t first = state->batch_first;
    CHECK(shape_sample_count(s) == images->channels * images->height * images->width);
    CHECK(vectors || s.c == images->channels);
    CHECK(first >= 0 && first + s.n <= dataset->count);
    check_augment(images, augment);
    struct cuda_stage stage = {0};
    if (augment && augment_is_staged(augment)) {
        reserve_stage(cuda, s.n, shape_sample_count(s));
        stage = cuda->stage;
        CUDA_CHECK(cuda_stage_launch(cuda->lane->stream, images, augment, state, stage, s.n));
    }
    CUDA_CHECK(cuda_gather_launch(cuda->lane->stream, cuda->type, images, augment, stage, state, cuda->state, vectors,
                                  s.n, x->data, labels->data));
    cuda->state_due = false;
}

/* Pixels are bytes. Those that are staged are written and read once more. */
static struct op_launches launches_gather(const struct program *program, const struct op *op)
{
    int64_t pixels = shape_count(program_shape(program, op, GATHER_X));
    bool staged = op->gather.augmented && augment_is_staged(&op->gather.augment);
    return (struct op_launches){staged ? 2 : 1, staged ? 3 * pixels : pixels};
}

void cuda_data_install(struct backend_table *table, struct op_function *functions)
{
    table->dataset_upload = dataset_upload;
    table->dataset_free = dataset_free_cuda;
    table->dataset_set_order = dataset_set_order;
    functions[OP_GATHER] = (struct op_function){.run = run_gather, .launches = launches_gather};
}
