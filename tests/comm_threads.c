/* Threads as a transport (comm_threads.h). A rank that starts an exchange puts copies of what it sends into queues, one for each
 * pair of ranks; a message is sent when the receiver has fetched it. A sender that gave up may free its memory before that. */
#include "comm_threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/check.h"
#include "util/memory.h"

/* What a rank has sent another. Both have it: it is freed once it was fetched and the sender has seen that. */
struct letter {
    struct letter *next;
    bool fetched;
    int tag;
    void *data;
    size_t bytes;
};

/* A message of an exchange that is on its way. */
struct posted {
    struct letter *letter; /* NULL: it was sent, or there is nothing to send */
    bool received;
};

/* Of an exchange that is on its way. */
struct state {
    struct state *next;
    bool dead; /* nothing of it was sent, and nothing is fetched */
    int count;
    struct posted posted[];
};

struct own {
    struct comm comm;
    struct comm_threads *threads;
    int64_t last; /* exchange from which on it is dead */
    struct state *states;
};

struct comm_threads {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    int size;
    struct own ranks[COMM_THREADS_MOST];
    struct letter *queue[COMM_THREADS_MOST][COMM_THREADS_MOST]; /* [from][to]: letters not fetched, the oldest first */
};

static struct letter *post(struct letter **queue, int tag, const void *data, size_t bytes)
{
    struct letter *letter = memory_alloc(1, sizeof *letter);
    *letter = (struct letter){.tag = tag, .data = memory_alloc(bytes, 1), .bytes = bytes};
    memcpy(letter->data, data, bytes);
    while (*queue) queue = &(*queue)->next;
    *queue = letter;
    return letter;
}

/* Takes the oldest letter of a tag into memory of so many bytes. Returns false where there is none. */
static bool fetch(struct letter **queue, int tag, void *to, size_t bytes)
{
    while (*queue && (*queue)->tag != tag) queue = &(*queue)->next;
    struct letter *letter = *queue;
    if (!letter) return false;
    CHECK(letter->bytes == bytes);
    memcpy(to, letter->data, bytes);
    free(letter->data);
    *queue = letter->next;
    letter->fetched = true;
    return true;
}

static void start(struct comm *comm, struct comm_exchange *exchange)
{
    struct own *own = comm->transport;
    struct comm_threads *threads = own->threads;
    struct state *state = memory_alloc(1, sizeof *state + (size_t)exchange->count * sizeof *state->posted);
    exchange->state = state;
    *state = (struct state){own->states, comm->exchanges > own->last, exchange->count};
    own->states = state;
    pthread_mutex_lock(&threads->mutex);
    for (int m = 0; m < exchange->count && !state->dead; m++) {
        const struct comm_message *message = &exchange->messages[m];
        struct letter **queue = &threads->queue[comm->rank][message->rank];
        if (message->send_bytes > 0)
            state->posted[m].letter = post(queue, exchange->tag, message->send, message->send_bytes);
        state->posted[m].received = message->receive_bytes == 0;
    }
    pthread_cond_broadcast(&threads->moved);
    pthread_mutex_unlock(&threads->mutex);
}

/* Moves one message on. Returns true where it is done. */
static bool move(struct own *own, const struct comm_exchange *exchange, int m)
{
    const struct comm_message *message = &exchange->messages[m];
    struct posted *posted = &((struct state *)exchange->state)->posted[m];
    struct letter **queue = &own->threads->queue[message->rank][own->comm.rank];
    if (!posted->received && fetch(queue, exchange->tag, message->receive, message->receive_bytes)) {
        posted->received = true;
        pthread_cond_broadcast(&own->threads->moved);
    }
    if (posted->letter && posted->letter->fetched) {
        free(posted->letter);
        posted->letter = NULL;
    }
    return posted->received && !posted->letter;
}

static void release(struct own *own, struct state *state)
{
    struct state **place = &own->states;
    while (*place != state) place = &(*place)->next;
    *place = state->next;
    free(state);
}

static bool test(struct comm *comm, struct comm_exchange *exchange)
{
    struct own *own = comm->transport;
    struct state *state = exchange->state;
    bool done = !state->dead;
    pthread_mutex_lock(&own->threads->mutex);
    for (int m = 0; m < exchange->count && !state->dead; m++) done &= move(own, exchange, m);
    pthread_mutex_unlock(&own->threads->mutex);
    if (done) release(own, state);
    return done;
}

static bool is_done(struct comm *comm, struct comm_exchange *exchange, int message)
{
    const struct state *state = exchange->state;
    (void)comm;
    return !state->dead && state->posted[message].received && !state->posted[message].letter;
}

/* The wait is short, so that the caller can look at its clock. */
static void wait_a_little(struct comm *comm, int tests)
{
    struct comm_threads *threads = ((struct own *)comm->transport)->threads;
    struct timespec until;
    (void)tests;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&threads->mutex);
    pthread_cond_timedwait(&threads->moved, &threads->mutex, &until);
    pthread_mutex_unlock(&threads->mutex);
}

/* The other threads notice by their deadlines. */
static void end_all(struct comm *comm, int code)
{
    struct own *own = comm->transport;
    (void)code;
    own->last = 0;
}

static void destroy(struct comm *comm)
{
    (void)comm; /* the group owns it */
}

static const struct comm_table table = {
    .start = start, .test = test, .is_done = is_done, .pause = wait_a_little, .abort = end_all, .destroy = destroy};

struct comm_threads *comm_threads_create(int size)
{
    struct comm_threads *threads = memory_alloc(1, sizeof *threads);
    CHECK(size >= 1 && size <= COMM_THREADS_MOST);
    pthread_mutex_init(&threads->mutex, NULL);
    pthread_cond_init(&threads->moved, NULL);
    threads->size = size;
    for (int r = 0; r < size; r++) {
        struct own *own = &threads->ranks[r];
        *own = (struct own){.threads = threads, .last = INT64_MAX};
        own->comm = (struct comm){.table = &table, .transport = own, .rank = r, .size = size};
        strcpy(own->comm.host, "here");
        strcpy(own->comm.name, "threads");
    }
    return threads;
}

struct comm *comm_threads_rank(struct comm_threads *threads, int rank)
{
    CHECK(rank >= 0 && rank < threads->size);
    return &threads->ranks[rank].comm;
}

void comm_threads_kill(struct comm_threads *threads, int rank, int64_t exchange)
{
    threads->ranks[rank].last = exchange;
}

void comm_threads_destroy(struct comm_threads *threads)
{
    for (int r = 0; r < threads->size; r++) {
        struct own *own = &threads->ranks[r];
        while (own->states) {
            struct state *state = own->states;
            for (int m = 0; m < state->count; m++)
                if (state->posted[m].letter && state->posted[m].letter->fetched) free(state->posted[m].letter);
            release(own, state);
        }
    }
    for (int i = 0; i < threads->size * threads->size; i++) {
        struct letter *letter = threads->queue[i / threads->size][i % threads->size], *next;
        for (; letter; letter = next) {
            next = letter->next;
            free(letter->data);
            free(letter);
        }
    }
    pthread_cond_destroy(&threads->moved);
    pthread_mutex_destroy(&threads->mutex);
    free(threads);
}
