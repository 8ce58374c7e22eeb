/* Steps in slices, and their sums in a fixed order (slices.h). */
#include "train/slices.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"

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
    free((void *)slices->listener.at);
    free(slices->last_op);
    *slices = (struct slices){0};
}

void slices_listen(struct slices *slices, const struct slice_listener *listener)
{
    const struct program *program = slices->sums[0].prepared->program;
    size_t parts = (size_t)listener->parts;
    int64_t *at = memory_alloc(parts + 1, sizeof *at);
    memcpy(at, listener->at, (parts + 1) * sizeof *at);
    slices->listener = *listener;
    slices->listener.at = at;
    slices->last_op = memory_alloc(parts, sizeof *slices->last_op);
    for (int p = 0; p < listener->parts; p++)
        slices->last_op[p] = program_last_touch(program, SPACE_GRADIENTS, at[p], at[p + 1]);
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

static int64_t arena_bytes(const struct slices *slices)
{
    return (int64_t)(slices->network->arena_count * slices->network->backend->scalar_size);
}

/* A range of an arena of gradients. */
static struct tensor gradients(const struct slices *slices, const struct slice_sums *sums, int64_t first, int64_t last)
{
    int64_t scalar = (int64_t)slices->network->backend->scalar_size;
    return (struct tensor){(char *)sums->gradients + first, shape_vector((last - first) / scalar), TENSOR_FLAT};
}

/* Adds a range of the gradients in place k of the stack to that below. The last sum of all slices also divides by S, which is
 * exact. */
static void merge_gradients(const struct slices *slices, int k, double factor, int64_t first, int64_t last)
{
    const struct slice_sums *to = &slices->sums[k - 1], *from = &slices->sums[k];
    slices_accumulate(slices->network->backend, gradients(slices, to, first, last),
                      gradients(slices, from, first, last), factor);
}

/* The same for statistics and metrics. */
static void merge_others(const struct slices *slices, int k, double factor)
{
    struct backend *backend = slices->network->backend;
    size_t statistics = slices->network->buffer_count;
    const struct slice_sums *to = &slices->sums[k - 1], *from = &slices->sums[k];
    slices_accumulate(backend, arena(to->statistics, statistics), arena(from->statistics, statistics), factor);
    slices_accumulate(backend, to->metrics, from->metrics, 1);
}

/* Of the sums that go to place k - 1 after a slice. */
static double merge_factor(const struct slices *slices, int64_t slice, int k)
{
    bool last = slice == slices->count - 1 && k == 1; /* never where others have slices too */
    return last ? 1 / (double)slices->count : 1;
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

/* A slice's pass that the listener hears of, from place k of the stack down. */
struct heard {
    const struct slices *slices;
    const struct step_watch *watch;
    int k;
    int left; /* parts whose sums are not there yet */
};

/* Puts the sums of the next part into sums[0]. */
static void finish_part(struct heard *heard)
{
    const struct slices *slices = heard->slices;
    const struct slice_listener *listener = &slices->listener;
    int part = --heard->left;
    for (int k = heard->k; k > 0; k--)
        merge_gradients(slices, k, merge_factor(slices, slices->own - 1, k), listener->at[part],
                        listener->at[part + 1]);
    if (heard->watch && heard->watch->summed) heard->watch->summed(heard->watch->argument);
    listener->summed(listener->argument, part);
}

static void hear(void *argument, const struct prepared *prepared, int op)
{
    struct heard *heard = argument;
    const struct step_watch *watch = heard->watch;
    if (watch && watch->op_done) watch->op_done(watch->argument, prepared, op);
    while (heard->left > 0 && heard->slices->last_op[heard->left - 1] <= op) finish_part(heard);
    heard->slices->listener.op_done(heard->slices->listener.argument);
    if (watch && watch->exchanged) watch->exchanged(watch->argument);
}

/* The last slice, in place k of the stack, whose gradients it adds to those below. */
static void run_heard(const struct slices *slices, const struct run_input *whole, int64_t slice, int k, bool refresh,
                      const struct step_watch *watch)
{
    struct run_input input = input_of(slices, whole, slice);
    struct heard heard = {slices, watch, k, slices->listener.parts};
    input.refresh = refresh;
    begin_slice(slices, &slices->sums[k]);
    prepared_watch(slices->sums[k].prepared, &input, hear, &heard);
    while (heard.left > 0) finish_part(&heard);
}

void slices_run(const struct slices *slices, const struct run_input *whole, const struct step_watch *watch)
{
    int used = 0, refreshed = 0; /* places of the stack */
    CHECK(whole->n % slices->count == 0);
    for (int64_t slice = 0; slice < slices->own; slice++) {
        bool heard = slices->listener.parts > 0 && slice == slices->own - 1;
        (heard ? run_heard : run_slice)(slices, whole, slices->first + slice, used, used >= refreshed, watch);
        used++;
        if (used > refreshed) refreshed = used;
        for (int64_t trailing = slice; trailing & 1; trailing >>= 1) {
            used--;
            double factor = merge_factor(slices, slice, used);
            if (!heard) merge_gradients(slices, used, factor, 0, arena_bytes(slices));
            merge_others(slices, used, factor);
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
