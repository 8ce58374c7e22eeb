/* The host's memory as a backend's (host.h). */
#include "backend/host.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/clock.h"
#include "util/machine.h"
#include "util/memory.h"

/* --- memory --- */

static void host_destroy(struct backend *backend)
{
    free(backend);
}

static void *host_alloc(struct backend *backend, size_t bytes)
{
    void *data = memory_alloc_aligned(bytes);
    backend->allocated += (int64_t)malloc_usable_size(data);
    return data;
}

static void host_free(struct backend *backend, void *data)
{
    backend->allocated -= (int64_t)malloc_usable_size(data); /* 0 for NULL */
    free(data);
}

static void host_zero(struct backend *backend, void *data, size_t bytes)
{
    (void)backend;
    memset(data, 0, bytes);
}

/* --- the boundary --- */

static size_t host_tensor_count(const struct backend *backend, enum tensor_kind kind, struct shape shape)
{
    (void)backend, (void)kind;
    return (size_t)shape_count(shape);
}

/* Labels are whole numbers, and metrics are a struct; all else is doubles. */
static void host_tensor_write(struct backend *backend, const struct tensor *to, const double *from)
{
    int64_t count = shape_count(to->shape);
    (void)backend;
    if (to->kind == TENSOR_LABELS)
        for (int64_t i = 0; i < count; i++) ((int32_t *)to->data)[i] = (int32_t)from[i];
    else if (to->kind == TENSOR_METRICS)
        *(struct metrics *)to->data = (struct metrics){from[0], (int64_t)from[1], (int64_t)from[2]};
    else
        memcpy(to->data, from, (size_t)count * sizeof *from);
}

static void host_tensor_read(struct backend *backend, const struct tensor *from, double *to)
{
    const struct metrics *metrics = from->data;
    int64_t count = shape_count(from->shape);
    (void)backend;
    if (from->kind == TENSOR_LABELS)
        for (int64_t i = 0; i < count; i++) to[i] = ((const int32_t *)from->data)[i];
    else if (from->kind == TENSOR_METRICS)
        to[0] = metrics->loss, to[1] = (double)metrics->correct, to[2] = (double)metrics->count;
    else
        memcpy(to, from->data, (size_t)count * sizeof *to);
}

/* --- data sets --- */

struct device_dataset {
    struct dataset_view view; /* the caller's memory */
    int32_t *order;           /* (count); read where `ordered` */
    bool ordered;             /* else the order of the files */
};

static struct device_dataset *host_dataset_upload(struct backend *backend, const struct dataset_view *view)
{
    struct device_dataset *dataset = memory_alloc(1, sizeof *dataset);
    dataset->view = *view;
    dataset->order = host_alloc(backend, (size_t)view->count * sizeof *dataset->order);
    return dataset;
}

static void host_dataset_free(struct backend *backend, struct device_dataset *dataset)
{
    if (!dataset) return;
    host_free(backend, dataset->order);
    free(dataset);
}

static void host_dataset_set_order(struct backend *backend, struct device_dataset *dataset, const int32_t *order)
{
    (void)backend;
    dataset->ordered = order != NULL;
    if (order) memcpy(dataset->order, order, (size_t)dataset->view.count * sizeof *order);
}

const struct dataset_view *host_dataset_view(const struct device_dataset *dataset)
{
    return &dataset->view;
}

int64_t host_dataset_sample(const struct device_dataset *dataset, int64_t place)
{
    CHECK(place >= 0 && place < dataset->view.count);
    return dataset->ordered ? dataset->order[place] : place;
}

const uint8_t *host_dataset_pixels(const struct device_dataset *dataset, int64_t sample)
{
    const struct dataset_view *view = &dataset->view;
    return view->pixels + (view->rows ? view->rows[sample] : sample) * view->channels * view->height * view->width;
}

/* --- the table --- */

/* The rate of one thread's multiplications and additions, in sums that do not wait for one another. */
static double host_measure_peak(struct backend *backend)
{
    enum { SUMS = 8, ROUNDS = 1 << 22 };
    double sums[SUMS] = {0}, start = clock_seconds();
    volatile double kept; /* keeps the compiler from dropping the sums */
    (void)backend;
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; k < SUMS; k++) sums[k] = sums[k] * 0.999 + 0.001;
    for (int k = 0; k < SUMS; k++) kept = sums[k];
    (void)kept;
    return 2.0 * SUMS * ROUNDS / (clock_seconds() - start);
}

const struct backend_table host_table = {
    .destroy = host_destroy,
    .alloc = host_alloc,
    .free = host_free,
    .zero = host_zero,
    .tensor_count = host_tensor_count,
    .tensor_write = host_tensor_write,
    .tensor_read = host_tensor_read,
    .measure_peak = host_measure_peak,
    .dataset_upload = host_dataset_upload,
    .dataset_free = host_dataset_free,
    .dataset_set_order = host_dataset_set_order,
};

struct backend *host_backend_create(const struct op_function *functions)
{
    struct backend *backend = memory_alloc(1, sizeof *backend);
    *backend = (struct backend){.table = &host_table,
                                .functions = functions,
                                .scalar_size = sizeof(double),
                                .activation_size = sizeof(double),
                                .memory_bytes = machine_read("").memory};
    return backend;
}
