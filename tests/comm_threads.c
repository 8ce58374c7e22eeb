/* Threads as a transport (comm_threads.h). Every pair of ranks has one place, in which the sender puts a copy of its message,
 * which is sent when the receiver has fetched it. A sender that gave up may free its memory before that. */
#include "comm_threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/check.h"
#include "util/memory.h"

/* What a rank has sent another, and has not been fetched yet. */
struct letter {
    bool full;
    int tag;
    void *data;
    size_t bytes;
};

/* The exchange of a rank that is on its way. */
struct own {
    struct comm comm;
    struct comm_threads *threads;
    const struct comm_message *messages;
    bool *sent, *received; /* by message: put into its letter and fetched from there; fetched */
    bool *posted;
    int count, tag;
    int64_t last; /* exchange from which on it is dead */
};

struct comm_threads {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    int size;
    struct own ranks[COMM_THREADS_MOST];
    struct letter letters[2][COMM_THREADS_MOST][COMM_THREADS_MOST]; /* [COMM_TAG_ROLL or not][from][to] */
};

static void start(struct comm *comm, int tag, const struct comm_message *messages, int count)
{
    struct own *own = comm->transport;
    size_t flags = (size_t)count;
    own->messages = messages;
    own->count = count;
    own->tag = tag;
    free(own->sent), free(own->received), free(own->posted);
    own->sent = memory_alloc(flags, sizeof *own->sent);
    own->received = memory_alloc(flags, sizeof *own->received);
    own->posted = memory_alloc(flags, sizeof *own->posted);
}

/* Moves one message on. A letter that has been fetched is empty again, which tells its sender. */
static bool move(struct own *own, int m)
{
    const struct comm_message *message = &own->messages[m];
    struct comm_threads *threads = own->threads;
    bool roll = own->tag == COMM_TAG_ROLL;
    struct letter *out = &threads->letters[roll][own->comm.rank][message->rank];
    struct letter *in = &threads->letters[roll][message->rank][own->comm.rank];
    bool moved = false;
    if (!own->posted[m] && !out->full && message->send_bytes > 0) {
        *out = (struct letter){true, own->tag, memory_alloc(message->send_bytes, 1), message->send_bytes};
        memcpy(out->data, message->send, message->send_bytes);
        own->posted[m] = moved = true;
    } else if (!own->sent[m] && (message->send_bytes == 0 || (own->posted[m] && !out->full))) {
        own->sent[m] = moved = true;
    }
    if (!own->received[m] && message->receive_bytes == 0) own->received[m] = moved = true;
    if (!own->received[m] && in->full) {
        CHECK(in->tag == own->tag && in->bytes == message->receive_bytes);
        memcpy(message->receive, in->data, in->bytes);
        free(in->data);
        *in = (struct letter){0};
        own->received[m] = moved = true;
    }
    return moved;
}

static bool is_finished(const struct own *own)
{
    for (int m = 0; m < own->count; m++)
        if (!own->sent[m] || !own->received[m]) return false;
    return true;
}

/* The wait is short, so that the caller can look at its clock. */
static void wait_a_little(struct comm_threads *threads)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&threads->moved, &threads->mutex, &until);
}

static bool test(struct comm *comm)
{
    struct own *own = comm->transport;
    struct comm_threads *threads = own->threads;
    bool moved = false, dead = comm->exchanges > own->last;
    pthread_mutex_lock(&threads->mutex);
    for (int m = 0; m < own->count && !dead; m++) moved |= move(own, m);
    bool finished = is_finished(own);
    if (moved) pthread_cond_broadcast(&threads->moved);
    if (!moved && !finished) wait_a_little(threads);
    pthread_mutex_unlock(&threads->mutex);
    return finished;
}

static bool is_done(struct comm *comm, int message)
{
    const struct own *own = comm->transport;
    return own->sent[message] && own->received[message];
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
    .start = start, .test = test, .is_done = is_done, .abort = end_all, .destroy = destroy};

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
        free(own->sent), free(own->received), free(own->posted);
        for (int to = 0; to < 2 * threads->size; to++) free(threads->letters[to % 2][r][to / 2].data);
    }
    pthread_cond_destroy(&threads->moved);
    pthread_mutex_destroy(&threads->mutex);
    free(threads);
}
