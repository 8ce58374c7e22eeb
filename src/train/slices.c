/* Steps in slices, and their sums in a fixed order (slices.h). */
#include "train/slices.h"

#include <string.h>

#include "util/check.h"

/* --- the stack --- */

static void create_sums(const struct slices *slices, struct slice_sums *sums, bool first)
{
    const struct network *network = slices->network;
    struct backend *backend = network->backend;
    size_t scalar = backend->scalar_size;
    sums->gradients = first ? network->gradients : backend->table->alloc(backend, network->arena_count * scalar);
    sums->statistics = backend->table->alloc(backend, network->buffer_count * scalar);
    sums->metrics = tensor_alloc(backend, network->metrics.kind, network->metrics.shape);
}

void slices_create(struct slices *slices, struct network *network, const struct program *program,
                   struct slice_share share, void *const base[SPACES])
{
    struct backend *backend = network->backend;
    void *bases[SPACES];
    int64_t own = share.count / share.size;
    CHECK(share.count >= 2 && share.count <= SLICES_MOST && (share.count & (share.count - 1)) == 0);
    CHECK(share.count % share.size == 0);
    memcpy(bases, base, sizeof bases);
    *slices =
        (struct slices){.network = network, .count = share.count, .first = share.rank * own, .own = own, .depth = 1};
    while (INT64_C(1) << (slices->depth - 1) < own) slices->depth++;
    int64_t before = backend->allocated;
    for (int k = 0; k < slices->depth; k++) create_sums(slices, &slices->sums[k], k == 0);
    network->memory.gradients += backend->allocated - before;
    for (int k = 0; k < slices->depth; k++) {
        struct slice_sums *sums = &slices->sums[k];
        bases[SPACE_GRADIENTS] = sums->gradients;
        bases[SPACE_STATISTICS] = sums->statistics;
        bases[SPACE_METRICS] = sums->metrics.data;
        sums->prepared = prepared_create(program, backend, bases);
    }
}

void slices_destroy(struct slices *slices)
{
    for (int k = 0; k < slices->depth; k++) {
        struct slice_sums *sums = &slices->sums[k];
        struct backend *backend = slices->network->backend;
        prepared_free(sums->prepared);
        if (k > 0) backend->table->free(backend, sums->gradients);
        backend->table->free(backend, sums->statistics);
        tensor_free(backend, &sums->metrics);
    }
    *slices = (struct slices){0};
}

/* --- sums --- */

static struct tensor arena(void *data, size_t count)
{
    return (struct tensor){data, shape_vector((int64_t)count), TENSOR_FLAT};
}

void slices_accumulate(struct backend *backend, struct tensor to, struct tensor from, double factor)
{
    struct op op = op_make(OP_ACCUMULATE);
    op.accumulate = factor;
    if (to.kind == TENSOR_FLAT && to.shape.c == 0) return;
    backend_run_op(backend, op, (struct run_input){.n = 1}, OPERANDS([ACCUMULATE_TO] = &to, [ACCUMULATE_FROM] = &from));
}

/* Makes an arena of statistics a copy of another. */
static void copy_statistics(const struct slices *slices, void *to, void *from)
{
    const struct network *network = slices->network;
    if (network->buffer_count == 0) return;
    network->backend->table->zero(network->backend, to, network->buffer_count * network->backend->scalar_size);
    slices_accumulate(network->backend, arena(to, network->buffer_count), arena(from, network->buffer_count), 1);
}

/* Adds the sums of place k of the stack to those below. The last sum of all slices also divides by S, which is exact. */
static void merge(const struct slices *slices, int k, bool last)
{
    const struct network *network = slices->network;
    const struct slice_sums *to = &slices->sums[k - 1], *from = &slices->sums[k];
    size_t gradients = network->arena_count, statistics = network->buffer_count;
    double factor = last ? 1 / (double)slices->count : 1;
    struct backend *backend = network->backend;
    slices_accumulate(backend, arena(to->gradients, gradients), arena(from->gradients, gradients), factor);
    slices_accumulate(backend, arena(to->statistics, statistics), arena(from->statistics, statistics), factor);
    slices_accumulate(backend, to->metrics, from->metrics, 1);
}

/* --- a step --- */

static struct run_input input_of(const struct slices *slices, const struct run_input *whole, int64_t slice)
{
    struct run_input input = *whole;
    input.n = whole->n / slices->count;
    input.state.slice_first = slice * input.n;
    input.state.batch_first += slice * input.n;
    return input;
}

/* Puts a place of the stack into the state in which a slice begins. */
static void begin_slice(const struct slices *slices, const struct slice_sums *sums)
{
    struct backend *backend = slices->network->backend;
    copy_statistics(slices, sums->statistics, slices->network->buffers);
    backend->table->zero(backend, sums->metrics.data, tensor_bytes(backend, TENSOR_METRICS, sums->metrics.shape));
}

/* The weights have changed since a place of the stack was used in the step before. */
static void run_slice(const struct slices *slices, const struct run_input *whole, int64_t slice, int k, bool refresh,
                      const struct step_watch *watch)
{
    struct run_input input = input_of(slices, whole, slice);
    input.refresh = refresh;
    begin_slice(slices, &slices->sums[k]);
    if (watch)
        prepared_watch(slices->sums[k].prepared, &input, watch->op_done, watch->argument);
    else
        prepared_run(slices->sums[k].prepared, &input);
}

void slices_run(const struct slices *slices, const struct run_input *whole, const struct step_watch *watch)
{
    int used = 0, refreshed = 0; /* places of the stack */
    CHECK(whole->n % slices->count == 0);
    for (int64_t slice = 0; slice < slices->own; slice++) {
        run_slice(slices, whole, slices->first + slice, used, used >= refreshed, watch);
        used++;
        if (used > refreshed) refreshed = used;
        for (int64_t trailing = slice; trailing & 1; trailing >>= 1) {
            used--;
            merge(slices, used, slice == slices->count - 1 && used == 1); /* never where others have slices too */
        }
        if (watch && watch->summed) watch->summed(watch->argument);
    }
    CHECK(used == 1);
}

void slices_finish(const struct slices *slices)
{
    const struct network *network = slices->network;
    copy_statistics(slices, network->buffers, slices->sums[0].statistics);
    slices_accumulate(network->backend, network->metrics, slices->sums[0].metrics, 1);
}

void slices_rehearse(const struct slices *slices, const struct run_input *whole)
{
    struct run_input input = input_of(slices, whole, 0);
    for (int k = 0; k < slices->depth; k++) {
        begin_slice(slices, &slices->sums[k]);
        prepared_run_phases(slices->sums[k].prepared, &input, PHASE_BACKWARD);
    }
}
