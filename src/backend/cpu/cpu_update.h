/* An optimizer's step, which may be taken as the gradients come: an operation that has just computed a piece of a
 * gradient updates the weights there while the piece is still in its cache. */
#ifndef CPU_UPDATE_H
#define CPU_UPDATE_H

#include "backend/cpu/cpu_variant.h"
#include "backend/prepared.h"

struct cpu_update {
    /* Updates elements first..last-1; NULL where the optimizer takes whole filters. */
    void (*range)(const struct cpu_update *update, int64_t first, int64_t last);
    real *w, *state[OPTIMIZER_STATES]; /* a state may be NULL */
    const real *dw;
    int64_t count; /* elements in all, padding included */
    enum optimizer_kind kind;
    struct optimizer_params params;
    real rate, bias1, bias2; /* bias1 and bias2: 1 / (1 - beta^t) */
};

/* The step of an UPDATE in this run. */
struct cpu_update CPU_EXPORT(cpu_update_of)(const struct backend *backend, const struct op_call *call,
                                            const struct run_input *input);

/* Updates `count` elements, whose gradient at dw the caller has just computed. Does nothing where update is NULL. */
static inline void cpu_update_piece(const struct cpu_update *update, const real *dw, int64_t count)
{
    if (update) update->range(update, dw - update->dw, dw - update->dw + count);
}

/* Brings into the cache what cpu_update_piece will read, except the gradients: `runs` runs of `count` elements,
 * `stride` apart. It asks for some at a time between the multiplications that make the gradients. One request for all
 * would keep the processor waiting. */
struct cpu_update_ahead {
    const struct cpu_update *update;
    int64_t runs, count, stride;
    int64_t next, end; /* elements of the run at hand */
};

static inline struct cpu_update_ahead cpu_update_ahead(const struct cpu_update *update, const real *dw, int64_t runs,
                                                       int64_t count, int64_t stride)
{
    if (!update) return (struct cpu_update_ahead){0};
    int64_t first = dw - update->dw;
    return (struct cpu_update_ahead){update, runs, count, stride, first, first + count};
}

/* Asks for so many more cache lines of each arena. */
static inline void cpu_update_fetch(struct cpu_update_ahead *ahead, int64_t lines)
{
    enum { LINE = 64 / sizeof(real) };
    const struct cpu_update *update = ahead->update;
    for (; lines > 0 && ahead->runs > 0; lines--) {
        __builtin_prefetch(update->w + ahead->next, 0, 2);
        for (int i = 0; i < OPTIMIZER_STATES; i++)
            if (update->state[i]) __builtin_prefetch(update->state[i] + ahead->next, 0, 2);
        ahead->next += LINE;
        if (ahead->next < ahead->end) continue;
        ahead->runs--;
        ahead->end += ahead->stride, ahead->next = ahead->end - ahead->count;
    }
}

#endif
