/* Gather makes a batch of normalised images straight from the data set's bytes. Augmentation moves the images on the
 * way. This file is compiled once per variant (cpu_variant.h). */
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#if defined(CPU_ISA_avx512)
#include <immintrin.h>
#endif

#include "backend/augment_picture.h"
#include "backend/cpu/conv/cpu_linear_pixels.h"
#include "backend/cpu/cpu_augment.h"
#include "util/memory.h"

struct device_dataset {
    struct dataset_view view; /* the caller's memory: the host is the device */
    int32_t *order;           /* (count); read where `ordered` */
    bool ordered;             /* else file order */
    real *offset, *scale;     /* (C,H,W): the view's, one of each per pixel; then zeros up to a multiple of 64 */
};

/* Bytes of memory of the images and labels, which stay where they are. */
static int64_t image_bytes(const struct dataset_view *view)
{
    int64_t pixels = view->mapped ? 0 : view->channels * view->height * view->width;
    return view->count * (pixels + (int64_t)sizeof *view->labels);
}

struct device_dataset *CPU_EXPORT(cpu_dataset_upload)(struct backend *backend, const struct dataset_view *view)
{
    struct device_dataset *dataset = memory_alloc(1, sizeof *dataset);
    dataset->view = *view;
    int64_t plane = view->height * view->width, pixels = view->channels * plane, padded = cpu_pixels_rows(pixels);
    dataset->order = backend->table->alloc(backend, (size_t)view->count * sizeof *dataset->order);
    dataset->offset = backend->table->alloc(backend, (size_t)padded * sizeof *dataset->offset);
    dataset->scale = backend->table->alloc(backend, (size_t)padded * sizeof *dataset->scale);
    for (int64_t i = 0; i < pixels; i++) {
        dataset->offset[i] = (real)view->offset[i];
        dataset->scale[i] = (real)view->scale[i / plane];
    }
    backend->allocated += image_bytes(view);
    return dataset;
}

void CPU_EXPORT(cpu_dataset_free)(struct backend *backend, struct device_dataset *dataset)
{
    if (!dataset) return;
    backend->allocated -= image_bytes(&dataset->view);
    backend->table->free(backend, dataset->order);
    backend->table->free(backend, dataset->offset);
    backend->table->free(backend, dataset->scale);
    free(dataset);
}

void CPU_EXPORT(cpu_dataset_set_order)(struct backend *backend, struct device_dataset *dataset, const int32_t *order)
{
    (void)backend;
    dataset->ordered = order != NULL;
    if (order) memcpy(dataset->order, order, (size_t)dataset->view.count * sizeof *order);
}

struct gather_task {
    const struct device_dataset *dataset;
    int64_t first;
    struct tensor x;
    const struct augment_move *moves; /* (N), or NULL */
    const uint8_t *staged;            /* (N,C,H,W): the batch's images, changed; NULL: they are the data set's */
};

static int64_t sample_index(const struct gather_task *task, int64_t n)
{
    const struct device_dataset *dataset = task->dataset;
    return dataset->ordered ? dataset->order[task->first + n] : task->first + n;
}

/* Returns the pixels (C,H,W) of sample n of the batch, `size` bytes. */
static const uint8_t *sample_pixels(const struct gather_task *task, int64_t n, int64_t size)
{
    const struct dataset_view *view = &task->dataset->view;
    int64_t index = sample_index(task, n);
    if (task->staged) return task->staged + n * size;
    return view->pixels + (view->rows ? view->rows[index] : index) * size;
}

typedef uint8_t pixel_vec __attribute__((vector_size(CPU_LANES), aligned(1), may_alias));
typedef uint16_t short_vec __attribute__((vector_size(2 * CPU_LANES)));

/* A register of neighbouring pixels. The conversion takes two steps, because gcc makes a single one pixel by pixel. */
static inline vec load_pixels(const uint8_t *pixels)
{
#if defined(CPU_ISA_avx512) && defined(CPU_SCALAR_f32)
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)pixels)));
#else
    return __builtin_convertvector(__builtin_convertvector(*(const pixel_vec *)pixels, short_vec), vec);
#endif
}

/* Gathers a row of a vector: 16 neighbouring pixels of the sample. The next lines of the sample are fetched ahead,
 * since the samples of a shuffled batch lie all over the memory. */
static void gather_neighbours(const struct device_dataset *dataset, real *to, const uint8_t *pixels, int64_t first)
{
    enum { FETCH_AHEAD = 128 }; /* bytes */
    __builtin_prefetch(pixels + first + FETCH_AHEAD);
    for (int64_t l = first; l < first + CPU_BLOCK; l += CPU_LANES) {
        vec_store(to + l - first,
                  (load_pixels(pixels + l) - vec_load(dataset->offset + l)) * vec_load(dataset->scale + l));
    }
}

/* Gathers any row of 16 lanes: lane l is pixel `first + l*stride` of the sample, `lanes` of them. */
static void gather_row(const struct device_dataset *dataset, real *to, const uint8_t *pixels, int64_t first,
                       int64_t lanes, int64_t stride)
{
    const real *offset = dataset->offset + first, *scale = dataset->scale + first;
    pixels += first;
    for (int64_t l = 0; l < CPU_BLOCK; l++)
        to[l] = l < lanes ? ((real)pixels[l * stride] - offset[l * stride]) * scale[l * stride] : 0;
}

/* Iterations are rows [block][h][w]: for images a lane is a channel, for vectors a lane is the next feature. */
static void gather_rows(void *argument, int64_t first, int64_t last)
{
    const struct gather_task *task = argument;
    struct shape s = task->x.shape;
    int64_t plane = s.h * s.w, sample = shape_sample_count(s);
    for (int64_t row = first; row < last; row++) {
        int64_t block = row / plane, pixel = row % plane;
        int64_t start = block * CPU_BLOCK * plane + pixel;
        int64_t lanes = min_of(CPU_BLOCK, s.c - block * CPU_BLOCK);
        real *to = (real *)task->x.data + row * s.n * CPU_BLOCK;
        for (int64_t n = 0; n < s.n; n++) {
            const uint8_t *pixels = sample_pixels(task, n, sample);
            if (lanes == CPU_BLOCK && plane == 1) {
                gather_neighbours(task->dataset, to + n * CPU_BLOCK, pixels, start);
            } else {
                gather_row(task->dataset, to + n * CPU_BLOCK, pixels, start, lanes, plane);
            }
        }
    }
}

/* Iterations are steps of 64 features, as in the layer that reads them, so that a thread multiplies the pixels that it
 * gathers. An iteration reads a piece of each sample. The samples of a shuffled batch lie all over the memory, so the
 * pieces of later samples are fetched ahead. */
static void gather_pixels(void *argument, int64_t first, int64_t last)
{
    enum { SAMPLES_AHEAD = 16, LINE = 64 };
    const struct gather_task *task = argument;
    int64_t features = task->x.shape.c, count = task->x.shape.n, rows = cpu_pixels_rows(count);
    int64_t start = first * CPU_PIXELS_STEP, end = min_of(last * CPU_PIXELS_STEP, features);
    struct cpu_pixels *x = task->x.data;
    for (int64_t n = -SAMPLES_AHEAD; n < count; n++) {
        if (n + SAMPLES_AHEAD < count) {
            const uint8_t *ahead = sample_pixels(task, n + SAMPLES_AHEAD, features);
            for (int64_t i = start; i < end + LINE - 1; i += LINE) __builtin_prefetch(ahead + min_of(i, end - 1));
        }
        if (n < 0) continue;
        const uint8_t *pixels = sample_pixels(task, n, features);
        for (int64_t step = first; step < last; step++) {
            uint8_t *to = x->values + (step * rows + n) * CPU_PIXELS_STEP;
            int64_t from = step * CPU_PIXELS_STEP, left = min_of(CPU_PIXELS_STEP, features - from);
            if (left < CPU_PIXELS_STEP) memset(to, 0, CPU_PIXELS_STEP);
            memcpy(to, pixels + from, (size_t)left);
        }
    }
}

/* gather_rows for images that are moved: a pixel comes from the place that the sample's move names. */
static void gather_moved_images(void *argument, int64_t first, int64_t last)
{
    const struct gather_task *task = argument;
    struct shape s = task->x.shape;
    int64_t plane = s.h * s.w, sample = shape_sample_count(s);
    for (int64_t row = first; row < last; row++) {
        int64_t block = row / plane, pixel = row % plane;
        int64_t lanes = min_of(CPU_BLOCK, s.c - block * CPU_BLOCK);
        int h = (int)(pixel / s.w), w = (int)(pixel % s.w);
        for (int64_t n = 0; n < s.n; n++) {
            const uint8_t *pixels = sample_pixels(task, n, sample);
            real *to = (real *)task->x.data + (row * s.n + n) * CPU_BLOCK;
            int source = augment_source(&task->moves[n], h, w, (int)s.h, (int)s.w);
            if (source < 0) {
                memset(to, 0, CPU_BLOCK_BYTES);
            } else {
                gather_row(task->dataset, to, pixels, block * CPU_BLOCK * plane + source, lanes, plane);
            }
        }
    }
}

/* Gathers 16 features of a vector from `first` on. Feature `first` is pixel first % (H*W) of channel first / (H*W) in
 * the file. */
static void gather_moved_row(const struct device_dataset *dataset, real *to, const uint8_t *pixels, int64_t first,
                             int64_t lanes, const struct augment_move *move)
{
    int height = (int)dataset->view.height, width = (int)dataset->view.width;
    int64_t plane = (int64_t)height * width, channel = first / plane * plane;
    int h = (int)(first % plane) / width, w = (int)(first % plane) % width;
    memset(to, 0, CPU_BLOCK_BYTES);
    for (int64_t l = 0; l < lanes; l++) {
        int source = augment_source(move, h, w, height, width);
        int64_t from = channel + source;
        if (source >= 0) to[l] = ((real)pixels[from] - dataset->offset[from]) * dataset->scale[from];
        if (++w < width) continue;
        w = 0;
        if (++h < height) continue;
        h = 0, channel += plane;
    }
}

/* gather_rows for vectors that are moved. */
static void gather_moved_vectors(void *argument, int64_t first, int64_t last)
{
    const struct gather_task *task = argument;
    int64_t samples = task->x.shape.n, features = task->x.shape.c;
    for (int64_t block = first; block < last; block++) {
        int64_t start = block * CPU_BLOCK, lanes = min_of(CPU_BLOCK, features - start);
        for (int64_t n = 0; n < samples; n++) {
            const uint8_t *pixels = sample_pixels(task, n, features);
            real *to = (real *)task->x.data + (block * samples + n) * CPU_BLOCK;
            gather_moved_row(task->dataset, to, pixels, start, lanes, &task->moves[n]);
        }
    }
}

static void check_augment(const struct dataset_view *view, const struct augment_params *augment)
{
    if (!augment) return;
    CHECK(augment->crop >= 0 && augment->crop < min_of(view->height, view->width) && augment->cutout >= 0);
    CHECK(augment->saturation == 0 || view->channels == 3);
}

/* Draws the move of each sample of the batch in this step. */
static const struct augment_move *draw_moves(struct backend *backend, const struct gather_task *task,
                                             const struct augment_params *augment, uint32_t step)
{
    const struct dataset_view *view = &task->dataset->view;
    struct cpu_backend *cpu = cpu_backend_of(backend);
    if (cpu->move_count < task->x.shape.n) {
        backend->table->free(backend, cpu->moves);
        cpu->move_count = task->x.shape.n;
        cpu->moves = backend->table->alloc(backend, (size_t)cpu->move_count * sizeof *cpu->moves);
    }
    for (int64_t n = 0; n < task->x.shape.n; n++)
        cpu->moves[n] = augment_draw(*augment, step, sample_index(task, n), (int)view->height, (int)view->width);
    return cpu->moves;
}

/* Leaves the batch as pixels. */
static void run_pixels(struct backend *backend, struct gather_task *task)
{
    struct cpu_pixels *pixels = task->x.data;
    pixels->offset = task->dataset->offset, pixels->scale = task->dataset->scale;
    cpu_for(backend, cpu_pixels_steps(task->x.shape.c), task->x.shape.n * CPU_PIXELS_STEP, gather_pixels, task);
}

static void run_images(struct backend *backend, struct gather_task *task, const struct augment_params *augment,
                       const struct step_state *state)
{
    const struct device_dataset *dataset = task->dataset;
    struct shape s = task->x.shape;
    const struct cpu_stage stage = {.augment = augment,
                                    .view = &dataset->view,
                                    .order = dataset->ordered ? dataset->order + task->first : NULL,
                                    .first = task->first,
                                    .count = s.n,
                                    .step = (uint32_t)state->step,
                                    .mix = &state->mix};
    bool staged = augment && augment_is_staged(augment);
    check_augment(stage.view, augment);
    if (staged) task->staged = CPU_EXPORT(cpu_augment_stage)(backend, &stage);
    if (augment && !staged) task->moves = draw_moves(backend, task, augment, stage.step);
    void (*rows)(void *, int64_t, int64_t) = gather_rows;
    if (task->moves) rows = s.h * s.w == 1 ? gather_moved_vectors : gather_moved_images;
    cpu_for(backend, cpu_blocks(s.c) * s.h * s.w, s.n * CPU_BLOCK, rows, task);
    if (staged) CPU_EXPORT(cpu_augment_holes)(backend, &stage, &task->x);
}

static void run_gather(struct backend *backend, const struct op_call *call)
{
    const struct gather_params *params = &call->op->gather;
    const struct step_state *state = &call->input->state;
    struct gather_task task = {.dataset = call->input->data, .first = state->batch_first, .x = call->tensor[GATHER_X]};
    const struct dataset_view *view = &task.dataset->view;
    int32_t *labels = call->tensor[GATHER_LABELS].data;
    CHECK(shape_sample_count(task.x.shape) == view->channels * view->height * view->width);
    CHECK(task.first >= 0 && task.first + task.x.shape.n <= view->count);
    for (int64_t n = 0; n < task.x.shape.n; n++) labels[n] = view->labels[sample_index(&task, n)];
    if (task.x.kind != TENSOR_PIXELS) {
        run_images(backend, &task, params->augmented ? &params->augment : NULL, state);
        return;
    }
    CHECK(!params->augmented);
    run_pixels(backend, &task);
}

void CPU_EXPORT(cpu_data_install)(struct op_function *functions)
{
    functions[OP_GATHER] = (struct op_function){.run = run_gather};
}
