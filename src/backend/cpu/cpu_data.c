/* Gather: a batch of normalised images, straight from the data set's bytes. */
#include "backend/cpu/cpu_install.h"

#include <stdlib.h>

#include "trainer/memory.h"

struct device_dataset {
    struct dataset_view view; /* the caller's memory: the host is the device */
    int32_t *order;           /* (count), or NULL: file order */
    real *offset, *scale;     /* (C,H,W): the view's, one of each per pixel */
};

static struct device_dataset *cpu_dataset_upload(struct backend *backend, const struct dataset_view *view)
{
    (void)backend;
    struct device_dataset *dataset = memory_alloc(1, sizeof *dataset);
    dataset->view = *view;
    int64_t plane = view->height * view->width, pixels = view->channels * plane;
    dataset->offset = memory_alloc_aligned((size_t)pixels * sizeof *dataset->offset);
    dataset->scale = memory_alloc_aligned((size_t)pixels * sizeof *dataset->scale);
    for (int64_t i = 0; i < pixels; i++) {
        dataset->offset[i] = (real)view->offset[i];
        dataset->scale[i] = (real)view->scale[i / plane];
    }
    return dataset;
}

static void cpu_dataset_free(struct backend *backend, struct device_dataset *dataset)
{
    (void)backend;
    if (!dataset) return;
    free(dataset->order);
    free(dataset->offset);
    free(dataset->scale);
    free(dataset);
}

static void cpu_dataset_set_order(struct backend *backend, struct device_dataset *dataset, const int32_t *order)
{
    (void)backend;
    free(dataset->order);
    dataset->order = NULL;
    if (!order) return;
    size_t bytes = (size_t)dataset->view.count * sizeof *order;
    dataset->order = memcpy(memory_alloc(bytes, 1), order, bytes);
}

struct gather_task {
    const struct device_dataset *dataset;
    int64_t first;
    struct tensor x;
};

static int64_t sample_index(const struct gather_task *task, int64_t n)
{
    const int32_t *order = task->dataset->order;
    return order ? order[task->first + n] : task->first + n;
}

typedef uint8_t pixel_vec __attribute__((vector_size(CPU_LANES), aligned(1), may_alias));

/* A row of a vector: 16 neighbouring pixels of the sample. The next lines of the sample are fetched ahead, since the
 * samples of a shuffled batch lie all over the memory. */
static void gather_neighbours(const struct device_dataset *dataset, real *to, const uint8_t *pixels, int64_t first)
{
    enum { FETCH_AHEAD = 128 }; /* bytes */
    __builtin_prefetch(pixels + first + FETCH_AHEAD);
    for (int64_t l = first; l < first + CPU_BLOCK; l += CPU_LANES) {
        vec value = __builtin_convertvector(*(const pixel_vec *)(pixels + l), vec);
        vec_store(to + l - first, (value - vec_load(dataset->offset + l)) * vec_load(dataset->scale + l));
    }
}

/* Any row of 16 lanes: lane l is pixel `first + l*stride` of the sample, `lanes` of them. */
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
            const uint8_t *pixels = task->dataset->view.pixels + sample_index(task, n) * sample;
            if (lanes == CPU_BLOCK && plane == 1) {
                gather_neighbours(task->dataset, to + n * CPU_BLOCK, pixels, start);
            } else {
                gather_row(task->dataset, to + n * CPU_BLOCK, pixels, start, lanes, plane);
            }
        }
    }
}

static void cpu_gather(struct backend *backend, const struct device_dataset *dataset, const struct tensor *x,
                       int32_t *labels)
{
    const struct dataset_view *view = &dataset->view;
    struct gather_task task = {dataset, cpu_backend_of(backend)->state.batch_first, *x};
    CHECK(shape_sample_count(x->shape) == view->channels * view->height * view->width);
    CHECK(task.first >= 0 && task.first + x->shape.n <= view->count);
    for (int64_t n = 0; n < x->shape.n; n++) labels[n] = view->labels[sample_index(&task, n)];
    cpu_for(backend, cpu_blocks(x->shape.c) * x->shape.h * x->shape.w, x->shape.n * CPU_BLOCK, gather_rows, &task);
}

void CPU_EXPORT(cpu_data_install)(struct backend_ops *ops)
{
    ops->dataset_upload = cpu_dataset_upload;
    ops->dataset_free = cpu_dataset_free;
    ops->dataset_set_order = cpu_dataset_set_order;
    ops->gather = cpu_gather;
}
