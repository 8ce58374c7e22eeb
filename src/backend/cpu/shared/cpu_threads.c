/* A loop is cut into ranges, and those into a portion per thread; a portion's `ticket` holds the number of the loop and
 * how many of its ranges nobody has taken. Taking one is a compare-and-swap of that word, so a thread that comes late
 * finds nothing left and touches nothing, and the caller waits only for ranges that were taken: a worker that other
 * work keeps from running holds nobody up.
 *
 * A thread takes the ranges of its own portion first and then those that others have left. So in loops of equal cut it
 * meets the same data again, in its own cache: fetching what another core wrote last takes several times as long.
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

/* On a cache line of its own. */
struct portion {
    _Alignas(64) atomic_ullong ticket; /* loop number << 32 | ranges not yet taken */
    int64_t end;                       /* of its ranges; the next one to take is end - those not yet taken */
};

struct cpu_threads {
    int count;
    pthread_t *workers;       /* [count - 1] */
    struct portion *portions; /* [count] */

    /* The loop at hand: written by the caller before it publishes the ticket. */
    void (*body)(void *, int64_t, int64_t);
    void *argument;
    int64_t iterations, grain, ranges;

    atomic_ullong loop;    /* its number */
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

/* Runs ranges of one portion of the loop at hand until none is left. */
static void take_portion(struct cpu_threads *team, struct portion *portion)
{
    unsigned long long ticket = atomic_load_explicit(&portion->ticket, memory_order_acquire);
    while ((uint32_t)ticket != 0) {
        /* On failure the word is read anew; on success the loop cannot end before this range does, so its fields hold.
         */
        if (!atomic_compare_exchange_weak_explicit(&portion->ticket, &ticket, ticket - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        int64_t first = (portion->end - (int64_t)(uint32_t)ticket) * team->grain, last = first + team->grain;
        team->body(team->argument, first, last < team->iterations ? last : team->iterations);
        atomic_fetch_add_explicit(&team->finished, 1, memory_order_release);
        ticket = atomic_load_explicit(&portion->ticket, memory_order_acquire);
    }
}

static void take_ranges(struct cpu_threads *team)
{
    for (int i = 0; i < team->count; i++) take_portion(team, &team->portions[(current + i) % team->count]);
}

static bool must_wait(struct cpu_threads *team, unsigned long long loop)
{
    return atomic_load_explicit(&team->loop, memory_order_acquire) == loop && !atomic_load(&team->stop);
}

/* Returns when there is another loop than that one, which may have ended since. */
static void wait_for_loop(struct cpu_threads *team, unsigned long long loop)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (!must_wait(team, loop)) return;
        cpu_relax();
    }
    pthread_mutex_lock(&team->mutex);
    while (must_wait(team, loop)) pthread_cond_wait(&team->wake, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

static void *worker_main(void *argument)
{
    struct cpu_threads *team = argument;
    current = atomic_fetch_add(&team->started, 1) + 1;
    flush_denormals();
    unsigned long long loop = 0;
    while (!atomic_load(&team->stop)) {
        wait_for_loop(team, loop);
        loop = atomic_load_explicit(&team->loop, memory_order_acquire);
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
    team->portions = memory_alloc_aligned((size_t)threads * sizeof *team->portions);
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
    free(team->portions);
    free(team);
}

int cpu_threads_count(const struct cpu_threads *team)
{
    return team->count;
}

/* A loop of so many ranges may be worked on from here on. A portion that is set counts already, before the others are.
 */
static void publish(struct cpu_threads *team, int64_t ranges)
{
    CHECK(ranges <= UINT32_MAX);
    team->ranges = ranges;
    atomic_store(&team->finished, 0);
    unsigned long long loop = atomic_load(&team->loop) + 1;
    int64_t first = 0;
    for (int i = 0; i < team->count; i++) {
        struct portion *portion = &team->portions[i];
        portion->end = ranges * (i + 1) / team->count;
        atomic_store_explicit(&portion->ticket, loop << 32 | (uint64_t)(portion->end - first), memory_order_release);
        first = portion->end;
    }
    atomic_store_explicit(&team->loop, loop, memory_order_release);
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
    team->iterations = count, team->grain = grain;
    publish(team, (count + grain - 1) / grain);
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
