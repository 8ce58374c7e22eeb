/* A loop is cut into ranges; `ticket` holds the number of the loop and how many of its ranges nobody has taken. Taking
 * one is a compare-and-swap of that word, so a thread that comes late finds nothing left and touches nothing, and the
 * caller waits only for ranges that were taken: a worker that other work keeps from running holds nobody up.
 *
 * Waiting threads spin for a few microseconds, since the next loop of a training step mostly follows at once, and then
 * sleep, so that an idle trainer does not burn its cores. */
#include "cpu_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/check.h"
#include "trainer/memory.h"

enum { SPIN_ROUNDS = 20000 };

struct cpu_threads {
    int count;
    pthread_t *workers; /* [count - 1] */

    /* The loop at hand: written by the caller before it publishes the ticket. */
    void (*body)(void *, int64_t, int64_t);
    void *argument;
    int64_t iterations, grain, ranges;

    atomic_ullong ticket;  /* loop number << 32 | ranges not yet taken */
    atomic_llong finished; /* ranges of the loop that are done */

    atomic_int started; /* workers that know their number */
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards sleeping on `wake` */
    pthread_cond_t wake;
};

static _Thread_local int current; /* 0 in every caller */

int cpu_threads_current(void)
{
    return current;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Numbers too small for a normal float (the moments of a weight whose gradient died) take a hundred times longer to
 * compute with; inside a loop they count as zero. Returns the control word to restore. */
static unsigned flush_denormals(void)
{
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040); /* flush-to-zero, denormals-are-zero */
    return before;
#else
    return 0;
#endif
}

static void restore_denormals(unsigned before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(before);
#else
    (void)before;
#endif
}

static bool has_ranges(unsigned long long ticket)
{
    return (uint32_t)ticket != 0;
}

/* Runs ranges of the loop at hand until none is left. */
static void take_ranges(struct cpu_threads *team)
{
    unsigned long long ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    while (has_ranges(ticket)) {
        /* On failure the word is read anew; on success the loop cannot end before this range does, so its fields hold.
         */
        if (!atomic_compare_exchange_weak_explicit(&team->ticket, &ticket, ticket - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        int64_t first = (team->ranges - (int64_t)(uint32_t)ticket) * team->grain, last = first + team->grain;
        team->body(team->argument, first, last < team->iterations ? last : team->iterations);
        atomic_fetch_add_explicit(&team->finished, 1, memory_order_release);
        ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    }
}

static bool must_wait(struct cpu_threads *team)
{
    return !has_ranges(atomic_load_explicit(&team->ticket, memory_order_acquire)) && !atomic_load(&team->stop);
}

static void wait_for_loop(struct cpu_threads *team)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (!must_wait(team)) return;
        cpu_relax();
    }
    pthread_mutex_lock(&team->mutex);
    while (must_wait(team)) pthread_cond_wait(&team->wake, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

static void *worker_main(void *argument)
{
    struct cpu_threads *team = argument;
    current = atomic_fetch_add(&team->started, 1) + 1;
    flush_denormals();
    while (!atomic_load(&team->stop)) {
        wait_for_loop(team);
        take_ranges(team);
    }
    return NULL;
}

static void wake_workers(struct cpu_threads *team)
{
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

static bool start_worker(struct cpu_threads *team, struct status *status)
{
    int error = pthread_create(&team->workers[team->count - 1], NULL, worker_main, team);
    if (error)
        return status_fail(status, STATUS_RUNTIME, "cannot start CPU thread %d: %s", team->count + 1, strerror(error));
    team->count++;
    return true;
}

struct cpu_threads *cpu_threads_create(int threads, struct status *status)
{
    CHECK(threads >= 1);
    struct cpu_threads *team = memory_alloc(1, sizeof *team);
    team->count = 1;
    team->workers = memory_alloc((size_t)threads, sizeof *team->workers);
    CHECK(pthread_mutex_init(&team->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&team->wake, NULL) == 0);
    while (team->count < threads) {
        if (start_worker(team, status)) continue;
        cpu_threads_destroy(team);
        return NULL;
    }
    return team;
}

void cpu_threads_destroy(struct cpu_threads *team)
{
    if (!team) return;
    atomic_store(&team->stop, true);
    wake_workers(team);
    for (int i = 0; i < team->count - 1; i++) pthread_join(team->workers[i], NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    free(team->workers);
    free(team);
}

int cpu_threads_count(const struct cpu_threads *team)
{
    return team->count;
}

void cpu_threads_for(struct cpu_threads *team, int64_t count, int64_t grain,
                     void (*body)(void *argument, int64_t first, int64_t last), void *argument)
{
    if (count <= 0) return;
    unsigned control = flush_denormals();
    if (team->count == 1 || count <= grain) {
        body(argument, 0, count);
        restore_denormals(control);
        return;
    }
    team->body = body, team->argument = argument;
    team->iterations = count, team->grain = grain, team->ranges = (count + grain - 1) / grain;
    CHECK(team->ranges <= UINT32_MAX);
    atomic_store(&team->finished, 0);
    unsigned long long number = (atomic_load(&team->ticket) >> 32) + 1;
    atomic_store_explicit(&team->ticket, number << 32 | (uint64_t)team->ranges, memory_order_release);
    wake_workers(team);
    take_ranges(team);
    restore_denormals(control);
    /* With more threads than cores the others may need this one's core to get anywhere: after a while, let them have
     * it. */
    for (int round = 0; atomic_load_explicit(&team->finished, memory_order_acquire) != team->ranges; round++) {
        if (round < SPIN_ROUNDS) {
            cpu_relax();
        } else {
            sched_yield();
        }
    }
}
