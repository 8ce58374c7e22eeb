/* Tests the team of threads behind every loop of the CPU backend, with more and with fewer cores than threads. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "backend/cpu/shared/cpu_threads.h"
#include "util/memory.h"

static struct cpu_threads *create(int threads, int cores)
{
    struct status status = {0};
    struct cpu_threads *team = cpu_threads_create(threads, cores, &status);
    cr_assert_not_null(team, "%s", status.message);
    return team;
}

/* --- every iteration once --- */

struct visits {
    atomic_int *count; /* [iterations] */
    int64_t grain;
    int threads;
};

static void visit(void *argument, int64_t first, int64_t last)
{
    struct visits *visits = argument;
    cr_assert(first >= 0 && first < last);
    cr_assert(cpu_threads_current() >= 0 && cpu_threads_current() < visits->threads);
    for (int64_t i = first; i < last; i++) atomic_fetch_add(&visits->count[i], 1);
}

static void expect_each_once(struct cpu_threads *team, int64_t count, int64_t grain)
{
    struct visits visits = {memory_alloc((size_t)count, sizeof *visits.count), grain, cpu_threads_count(team)};
    cpu_threads_for(team, count, grain, visit, &visits);
    for (int64_t i = 0; i < count; i++)
        cr_assert_eq(atomic_load(&visits.count[i]), 1, "iteration %d of %d, grain %d", (int)i, (int)count, (int)grain);
    free(visits.count);
}

Test(cpu_threads, every_iteration_runs_once)
{
    const int threads[] = {1, 2, 3, 7, 32}, cores[] = {1, 2, 3, 8};
    const int64_t counts[] = {1, 2, 5, 31, 257}, grains[] = {1, 3, 64};
    for (int t = 0; t < 5; t++)
        for (int c = 0; c < 4; c++) {
            struct cpu_threads *team = create(threads[t], cores[c]);
            cr_expect_eq(cpu_threads_count(team), threads[t]);
            cr_expect_eq(cpu_threads_width(team), threads[t] < cores[c] ? threads[t] : cores[c]);
            for (int loop = 0; loop < 150; loop++) expect_each_once(team, counts[loop % 5], grains[loop / 5 % 3]);
            cpu_threads_destroy(team);
        }
}

Test(cpu_threads, workers_that_fell_asleep_are_woken)
{
    struct cpu_threads *team = create(5, 3);
    for (int loop = 0; loop < 10; loop++) {
        usleep(10000); /* threads spin for a shorter time */
        expect_each_once(team, 40, 1);
    }
    usleep(10000);
    cpu_threads_destroy(team);
}

/* --- no more at a time than there are cores --- */

struct crowd {
    atomic_int now, most;
    atomic_ullong seen; /* bit i: thread i took part */
};

static void join_crowd(void *argument, int64_t first, int64_t last)
{
    (void)first, (void)last;
    struct crowd *crowd = argument;
    int now = atomic_fetch_add(&crowd->now, 1) + 1, most = atomic_load(&crowd->most);
    while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) continue;
    atomic_fetch_or(&crowd->seen, 1ull << cpu_threads_current());
    usleep(200); /* the others get their turn, and the caller waits for them asleep */
    atomic_fetch_sub(&crowd->now, 1);
}

static void expect_crowd(int threads, int cores, int most)
{
    struct crowd crowd = {0};
    struct cpu_threads *team = create(threads, cores);
    for (int loop = 0; loop < 20; loop++) cpu_threads_for(team, 33, 1, join_crowd, &crowd);
    cr_expect_eq(atomic_load(&crowd.most), most, "%d threads, %d cores: %d at a time", threads, cores, crowd.most);
    cr_expect(threads >= 64 || atomic_load(&crowd.seen) >> threads == 0);
    cpu_threads_destroy(team);
}

Test(cpu_threads, no_more_work_at_a_time_than_there_are_cores)
{
    expect_crowd(1, 4, 1);
    expect_crowd(4, 1, 1);
    expect_crowd(4, 4, 4);
    expect_crowd(4, 9, 4);
    expect_crowd(32, 2, 2);
    expect_crowd(32, 5, 5);
}

/* --- the cost of threads that have no core --- */

static void add_up(void *argument, int64_t first, int64_t last)
{
    double *sums = argument;
    for (int64_t i = first; i < last; i++)
        for (int k = 0; k < 2000; k++) sums[i] = 0.999 * sums[i] + 1;
}

/* Measures the processor time of loops, which other programs on the machine do not change much. */
static double loops_seconds(int threads)
{
    double *sums = memory_alloc(16, sizeof *sums);
    struct cpu_threads *team = create(threads, 2);
    struct timespec before, after;
    cpu_threads_for(team, 16, 1, add_up, sums);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (int loop = 0; loop < 1000; loop++) cpu_threads_for(team, 16, 1, add_up, sums);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    cpu_threads_destroy(team);
    free(sums);
    return (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
}

Test(cpu_threads, threads_without_a_core_cost_little)
{
    double two = loops_seconds(2), many = loops_seconds(32);
    cr_expect_lt(many, 2.5 * two, "32 threads on 2 cores: %.3f s of processor time, 2 threads: %.3f s", many, two);
}

/* --- its description --- */

static void expect_description(int threads, int cores, const char *expected)
{
    char text[64];
    struct cpu_threads *team = create(threads, cores);
    cpu_threads_describe(team, text, sizeof text);
    cr_expect_str_eq(text, expected);
    cpu_threads_destroy(team);
}

Test(cpu_threads, the_description_tells_of_too_many_threads)
{
    expect_description(1, 1, "1 thread");
    expect_description(1, 8, "1 thread");
    expect_description(2, 2, "2 threads");
    expect_description(3, 1, "3 threads on 1 core");
    expect_description(32, 2, "32 threads on 2 cores");
}
