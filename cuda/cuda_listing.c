/* A backend without a device, whose programs can be listed: what a step takes on an H100 can be told on any machine. It has
 * the tables of the other one but for memory, which is the host's and never holds a value. */
#include <stdio.h>
#include <stdlib.h>

#include "cuda_backend.h"
#include "cuda_create.h"
#include "util/memory.h"

static void listing_destroy(struct backend *backend)
{
    free((void *)backend->table);
    free((void *)backend->functions);
    free(backend);
}

static void *listing_alloc(struct backend *backend, size_t bytes)
{
    backend->allocated += (int64_t)bytes;
    return memory_alloc(bytes ? bytes : 1, 1);
}

static void listing_free(struct backend *backend, void *data)
{
    (void)backend;
    free(data);
}

static void listing_zero(struct backend *backend, void *data, size_t bytes)
{
    (void)backend, (void)data, (void)bytes;
}

static void listing_write(struct backend *backend, const struct tensor *to, const double *from)
{
    (void)backend, (void)to, (void)from;
}

static void listing_read(struct backend *backend, const struct tensor *from, double *to)
{
    (void)backend, (void)from, (void)to;
    CHECK(!"a backend with a device");
}

bool cuda_listing_create(struct backend **backend, const struct backend_options *options, struct status *status)
{
    enum { MULTIPROCESSORS = 132, LARGEST_CLUSTER = 16 };
    static const char *const precisions[] = {PRECISION_CHOICES(CHOICE_NAME)};
    struct cuda_backend *cuda = cuda_backend_begin(options, status);
    if (!cuda) return false;
    struct backend_table *table = (struct backend_table *)cuda->base.table;
    table->destroy = listing_destroy;
    table->alloc = listing_alloc, table->free = listing_free, table->zero = listing_zero;
    table->tensor_write = listing_write, table->tensor_read = listing_read;
    cuda->multiprocessors = MULTIPROCESSORS, cuda->most_cluster = LARGEST_CLUSTER;
    cuda->base.memory_bytes = (int64_t)80 << 30;
    snprintf(cuda->base.description, sizeof cuda->base.description, "cuda, none here: listed for an H100 (sm_90), %s",
             precisions[options->precision]);
    *backend = &cuda->base;
    return true;
}
