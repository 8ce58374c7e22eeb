/* Tests how exchanges between devices end that are never done: which rank, or what else, is named, and by whom. The ranks are
 * threads, and their devices do nothing. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comm_threads.h"
#include "util/clock.h"

enum { RANKS = 3 };

/* A rank with its device. */
struct player {
    struct comm devices;
    const char *failure; /* of its device */
    bool absent;         /* takes no part */
    int given_up;        /* how often */
    struct status status;
    pthread_t thread;
};

static void start_nothing(struct comm *comm, struct comm_exchange *exchange)
{
    (void)comm, (void)exchange;
}

static bool is_never_done(struct comm *comm, struct comm_exchange *exchange)
{
    (void)comm, (void)exchange;
    return false;
}

static bool no_message_is_done(struct comm *comm, struct comm_exchange *exchange, int message)
{
    (void)comm, (void)exchange, (void)message;
    return false;
}

static void wait_as_parent(struct comm *comm, int tests)
{
    comm->parent->table->pause(comm->parent, tests);
}

static void count_end(struct comm *comm, int code)
{
    (void)code;
    ((struct player *)comm->transport)->given_up++;
}

static const char *own_failure(struct comm *comm)
{
    return ((struct player *)comm->transport)->failure;
}

static const struct comm_table table = {.start = start_nothing,
                                        .test = is_never_done,
                                        .is_done = no_message_is_done,
                                        .pause = wait_as_parent,
                                        .abort = count_end,
                                        .failure = own_failure};

static void *play(void *argument)
{
    struct player *player = argument;
    char bytes[RANKS] = {0};
    cr_expect_not(comm_gather(&player->devices, bytes, 1, "bytes", &player->status));
    cr_expect(player->devices.broken && player->devices.parent->broken, "a broken comm leaves its parent whole");
    cr_expect_eq(player->given_up, 1);
    return NULL;
}

/* Lets all ranks but the absent ones exchange. Returns the number of those that report. */
static int run(struct player players[RANKS], double timeout)
{
    struct comm_threads *threads = comm_threads_create(RANKS);
    int reports = 0;
    for (int r = 0; r < RANKS; r++) {
        struct comm *own = comm_threads_rank(threads, r);
        own->timeout = timeout;
        players[r].devices = (struct comm){
            .table = &table, .transport = &players[r], .parent = own, .rank = r, .size = RANKS, .name = "smoke"};
    }
    for (int r = 0; r < RANKS; r++)
        if (!players[r].absent) pthread_create(&players[r].thread, NULL, play, &players[r]);
    for (int r = 0; r < RANKS; r++)
        if (!players[r].absent) pthread_join(players[r].thread, NULL);
    for (int r = 0; r < RANKS; r++) reports += comm_threads_rank(threads, r)->reports;
    comm_threads_destroy(threads);
    return reports;
}

static void expect_words(const struct player *player, const char *words)
{
    cr_expect_eq(player->status.code, STATUS_RUNTIME);
    cr_expect_str_eq(player->status.message, words);
}

Test(comm_devices, a_rank_that_is_missing_is_named)
{
    struct player players[RANKS] = {[1] = {.absent = true}};
    cr_expect_eq(run(players, 0.5), 1);
    expect_words(&players[0], "rank 0 of 3 (here): no answer from rank 1 for 0.5 s (backend.exchange_timeout) in the "
                              "exchange of bytes");
    expect_words(&players[2], "rank 2 of 3 (here): no answer from rank 1 for 0.5 s (backend.exchange_timeout) in the "
                              "exchange of bytes");
}

Test(comm_devices, where_all_ranks_answer_the_devices_are_to_blame)
{
    struct player players[RANKS] = {{.failure = NULL}};
    cr_expect_eq(run(players, 0.5), 1);
    for (int r = 0; r < RANKS; r++)
        cr_expect_not_null(strstr(players[r].status.message, "the exchange of bytes by smoke fails: it takes more than "
                                                             "0.5 s (backend.exchange_timeout), though all ranks "
                                                             "answer; backend.exchange = host does without it"),
                           "%s", players[r].status.message);
}

Test(comm_devices, a_failure_is_told_without_waiting)
{
    struct player players[RANKS] = {{.absent = true}, {.failure = "no more smoke"}, {.absent = true}};
    double start = clock_seconds();
    cr_expect_eq(run(players, 100), 1);
    cr_expect_lt(clock_seconds() - start, 20);
    expect_words(&players[1], "rank 1 of 3 (here): the exchange of bytes by smoke fails: no more smoke; "
                              "backend.exchange = host does without it");
}
