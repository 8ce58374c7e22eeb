/* A loop is cut into ranges, and those into portions; a portion's `ticket` holds the number of the loop and how many of
 * its ranges are not yet taken. A thread takes a range by a compare-and-swap of that word, so a thread that comes late
 * finds nothing left and touches nothing, and the caller waits only for ranges that were taken: a worker that other
 * work keeps from running holds up no other thread.
 *
 * There is a portion for every thread that can run at a time, which are no more than the cores that the process may
 * use. A thread takes the ranges of its own portion first and then those that the others have left. So in loops of
 * equal cut it meets the same data again, in its own cache: fetching data that another core wrote last takes several
 * times as long. Of more data than the cache holds, what a loop has touched last is still there when the next one begins.
 * So every other loop takes the ranges of a portion backwards.
 *
 * A waiting thread spins at first, since the next loop of a training step mostly follows at once. When that takes
 * longer than it should, another process probably runs where one of the team was to run. Then the waiting thread offers
 * its core from time to time, and sleeps if another thread took it. It does not offer the core sooner: a thread that
 * gives it away in every short wait gets less than its share of a busy machine. In the end it sleeps anyway, so that an
 * idle trainer does not burn its cores.
 *
 * With more threads than cores, most workers sleep at any time. A loop wakes only as many as can run beside the caller,
 * and none while enough of them are awake: 30 workers that wake for every loop, and find their cores taken, would cost
 * more time than the loop. */
#include "cpu_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/clock.h"
#include "util/memory.h"

enum {
    SPIN_ROUNDS = 20000,   /* about half a millisecond */
    PATIENT_ROUNDS = 2000, /* about 50 microseconds */
    YIELD_ROUNDS = 64,
};
static const double taken_seconds = 20e-6; /* no system call takes that long */

/* Each portion has a cache line of its own. */
struct portion {
    _Alignas(64) atomic_ullong ticket; /* loop number << 32 | ranges not yet taken */
    int64_t first, end;                /* its ranges */
};

struct cpu_threads {
    int count;
    int width;                /* threads that run at a time: count, or the number of cores where that is smaller */
    pthread_t *workers;       /* [count - 1] */
    struct portion *portions; /* [width] */

    /* The loop at hand. The caller writes these fields before it publishes the tickets. */
    void (*body)(void *, int64_t, int64_t);
    void *argument;
    int64_t iterations, grain, ranges;

    atomic_ullong loop;    /* number of the loop at hand */
    atomic_llong finished; /* ranges of the loop that are done */

    atomic_int started; /* workers that know their number */
    atomic_bool stop;

    pthread_mutex_t mutex; /* guards sleeping on `wake` and `done` */
    pthread_cond_t wake;
    pthread_cond_t done;
    atomic_int awake;         /* workers that run or were told to; at most width - 1 */
    int calls;                /* workers that were told to wake and have not done so yet */
    atomic_bool caller_waits; /* true while the caller waits on `done` */
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

/* Arithmetic with numbers too small for a normal float (the moments of a weight whose gradient died) takes a hundred
 * times longer; inside a loop they count as zero. Returns the control word to restore. */
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

/* Counts a range as done. When it was the last one, the next loop may have begun before this returns. */
static void finish_range(struct cpu_threads *team)
{
    int64_t ranges = team->ranges;
    if (atomic_fetch_add(&team->finished, 1) + 1 != ranges || !atomic_load(&team->caller_waits)) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_signal(&team->done);
    pthread_mutex_unlock(&team->mutex);
}

/* The next range of a portion that has so many left. */
static int64_t next_range(const struct portion *portion, unsigned long long loop, int64_t left)
{
    return loop % 2 ? portion->first + left - 1 : portion->end - left;
}

/* Runs ranges of one portion of the loop at hand until none is left. */
static void take_portion(struct cpu_threads *team, struct portion *portion)
{
    unsigned long long ticket = atomic_load_explicit(&portion->ticket, memory_order_acquire);
    while ((uint32_t)ticket != 0) {
        /* A failed swap reads the word anew. After a successful one the loop cannot end before this range does, so its
         * fields hold. */
        if (!atomic_compare_exchange_weak_explicit(&portion->ticket, &ticket, ticket - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        int64_t first = next_range(portion, ticket >> 32, (uint32_t)ticket) * team->grain, last = first + team->grain;
        team->body(team->argument, first, last < team->iterations ? last : team->iterations);
        finish_range(team);
        ticket = atomic_load_explicit(&portion->ticket, memory_order_acquire);
    }
}

/* Portion 0 is the caller's, the others are the workers'. */
static void take_ranges(struct cpu_threads *team)
{
    int own = current == 0 ? 0 : 1 + (current - 1) % (team->width - 1);
    for (int i = 0; i < team->width; i++) take_portion(team, &team->portions[(own + i) % team->width]);
}

/* Offers the core to other threads. False if one took it. */
static bool keep_core(void)
{
    double before = clock_seconds();
    sched_yield();
    return clock_seconds() - before < taken_seconds;
}

/* One round of spinning; false when it is time to sleep. */
static inline bool spin(int round)
{
    cpu_relax();
    return round < SPIN_ROUNDS && (round < PATIENT_ROUNDS || round % YIELD_ROUNDS != 0 || keep_core());
}

static bool must_wait(struct cpu_threads *team, unsigned long long loop)
{
    return atomic_load(&team->loop) == loop && !atomic_load(&team->stop);
}

/* Sleeps until wake_workers calls; the mutex is held. */
static void wait_for_call(struct cpu_threads *team)
{
    while (team->calls == 0 && !atomic_load(&team->stop)) pthread_cond_wait(&team->wake, &team->mutex);
    team->calls -= team->calls > 0;
}

/* Either the caller sees that a worker less is awake, and calls one, or the worker sees the caller's new loop: both
 * write their own word before they read the other's. */
static void sleep_until_called(struct cpu_threads *team, unsigned long long loop)
{
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_sub(&team->awake, 1);
    if (must_wait(team, loop)) {
        wait_for_call(team);
    } else {
        atomic_fetch_add(&team->awake, 1);
    }
    pthread_mutex_unlock(&team->mutex);
}

/* Returns when another loop than that one was published, which may have ended since. */
static void wait_for_loop(struct cpu_threads *team, unsigned long long loop)
{
    for (int round = 1; spin(round); round++)
        if (!must_wait(team, loop)) return;
    sleep_until_called(team, loop);
}

static void *worker_main(void *argument)
{
    struct cpu_threads *team = argument;
    current = atomic_fetch_add(&team->started, 1) + 1;
    flush_denormals();
    pthread_mutex_lock(&team->mutex);
    wait_for_call(team);
    pthread_mutex_unlock(&team->mutex);
    while (!atomic_load(&team->stop)) {
        unsigned long long loop = atomic_load(&team->loop);
        take_ranges(team);
        wait_for_loop(team, loop);
    }
    return NULL;
}

/* Wakes as many workers as can run, and no more; see sleep_until_called. */
static void wake_workers(struct cpu_threads *team)
{
    if (atomic_load(&team->awake) == team->width - 1) return;
    pthread_mutex_lock(&team->mutex);
    int missing = team->width - 1 - atomic_load(&team->awake);
    team->calls += missing;
    atomic_fetch_add(&team->awake, missing);
    pthread_mutex_unlock(&team->mutex);
    for (int i = 0; i < missing; i++) pthread_cond_signal(&team->wake);
}

static bool start_worker(struct cpu_threads *team, struct status *status)
{
    int error = pthread_create(&team->workers[team->count - 1], NULL, worker_main, team);
    if (error)
        return status_fail(status, STATUS_RUNTIME, "cannot start CPU thread %d: %s", team->count + 1, strerror(error));
    team->count++;
    return true;
}

struct cpu_threads *cpu_threads_create(int threads, int cores, struct status *status)
{
    CHECK(threads >= 1 && cores >= 1);
    struct cpu_threads *team = memory_alloc(1, sizeof *team);
    team->count = 1;
    team->width = threads < cores ? threads : cores;
    team->workers = memory_alloc((size_t)threads, sizeof *team->workers);
    team->portions = memory_alloc_aligned((size_t)team->width * sizeof *team->portions);
    CHECK(pthread_mutex_init(&team->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&team->wake, NULL) == 0 && pthread_cond_init(&team->done, NULL) == 0);
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
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->stop, true);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
    for (int i = 0; i < team->count - 1; i++) pthread_join(team->workers[i], NULL);
    pthread_cond_destroy(&team->wake);
    pthread_cond_destroy(&team->done);
    pthread_mutex_destroy(&team->mutex);
    free(team->workers);
    free(team->portions);
    free(team);
}

int cpu_threads_count(const struct cpu_threads *team)
{
    return team->count;
}

int cpu_threads_width(const struct cpu_threads *team)
{
    return team->width;
}

void cpu_threads_describe(const struct cpu_threads *team, char *text, size_t size)
{
    int used = snprintf(text, size, "%d thread%s", team->count, team->count == 1 ? "" : "s");
    if (team->width < team->count)
        snprintf(text + used, size - (size_t)used, " on %d core%s", team->width, team->width == 1 ? "" : "s");
}

/* Lets the threads work on a loop of so many ranges. They may take ranges of a portion as soon as it is set, before the
 * others are. */
static void publish(struct cpu_threads *team, int64_t ranges)
{
    CHECK(ranges <= UINT32_MAX);
    team->ranges = ranges;
    atomic_store(&team->finished, 0);
    unsigned long long loop = atomic_load(&team->loop) + 1;
    int64_t first = 0;
    for (int i = 0; i < team->width; i++) {
        struct portion *portion = &team->portions[i];
        portion->first = first, portion->end = ranges * (i + 1) / team->width;
        atomic_store_explicit(&portion->ticket, loop << 32 | (uint64_t)(portion->end - first), memory_order_release);
        first = portion->end;
    }
    atomic_store(&team->loop, loop); /* before wake_workers reads `awake` */
}

/* Returns when all ranges of the loop are done. */
static void wait_for_ranges(struct cpu_threads *team)
{
    for (int round = 1; spin(round); round++)
        if (atomic_load_explicit(&team->finished, memory_order_acquire) == team->ranges) return;
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->caller_waits,
                 true); /* before `finished` is read again; finish_range does it the other way round */
    while (atomic_load(&team->finished) != team->ranges) pthread_cond_wait(&team->done, &team->mutex);
    atomic_store(&team->caller_waits, false);
    pthread_mutex_unlock(&team->mutex);
}

void cpu_threads_for(struct cpu_threads *team, int64_t count, int64_t grain,
                     void (*body)(void *argument, int64_t first, int64_t last), void *argument)
{
    if (count <= 0) return;
    unsigned control = flush_denormals();
    if (team->width == 1 || count <= grain) {
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
    wait_for_ranges(team);
}
