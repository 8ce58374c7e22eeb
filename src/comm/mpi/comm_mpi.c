/* MPI as a transport (comm.h), in a module of its own, so that the program needs no MPI to run alone. It uses point-to-point
 * messages that do not block, and nothing else: no collective, no reduction. One thread calls it. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/comm_module.h"

enum { PIECE = 1 << 30 }; /* most bytes of one MPI message, whose count is an int */

/* The requests of an exchange, in its order. */
struct requests {
    int count, capacity;
    MPI_Request *request;
    int *message; /* to which each belongs */
};

static void add_request(struct requests *requests, int message, MPI_Request request)
{
    if (requests->count == requests->capacity) {
        requests->capacity = requests->capacity > 0 ? 2 * requests->capacity : 64;
        size_t capacity = (size_t)requests->capacity;
        requests->request = realloc(requests->request, capacity * sizeof *requests->request);
        requests->message = realloc(requests->message, capacity * sizeof *requests->message);
        if (!requests->request || !requests->message) abort();
    }
    requests->request[requests->count] = request;
    requests->message[requests->count++] = message;
}

/* The bytes of a piece that begins at `at`. */
static int piece_bytes(size_t bytes, size_t at)
{
    return bytes - at < PIECE ? (int)(bytes - at) : PIECE;
}

static void start(struct comm *comm, struct comm_exchange *exchange)
{
    struct requests *requests = calloc(1, sizeof *requests);
    MPI_Request request;
    (void)comm;
    if (!requests) abort();
    for (int m = 0; m < exchange->count; m++) {
        const struct comm_message *message = &exchange->messages[m];
        for (size_t at = 0; at < message->receive_bytes; at += PIECE) {
            MPI_Irecv((char *)message->receive + at, piece_bytes(message->receive_bytes, at), MPI_BYTE, message->rank,
                      exchange->tag, MPI_COMM_WORLD, &request);
            add_request(requests, m, request);
        }
    }
    for (int m = 0; m < exchange->count; m++) {
        const struct comm_message *message = &exchange->messages[m];
        for (size_t at = 0; at < message->send_bytes; at += PIECE) {
            MPI_Isend((const char *)message->send + at, piece_bytes(message->send_bytes, at), MPI_BYTE, message->rank,
                      exchange->tag, MPI_COMM_WORLD, &request);
            add_request(requests, m, request);
        }
    }
    exchange->state = requests;
}

static bool test(struct comm *comm, struct comm_exchange *exchange)
{
    struct requests *requests = exchange->state;
    int done;
    (void)comm;
    MPI_Testall(requests->count, requests->request, &done, MPI_STATUSES_IGNORE);
    if (!done) return false;
    free(requests->request);
    free(requests->message);
    free(requests);
    exchange->state = NULL;
    return true;
}

/* After a while of asking, the processor goes to others between two questions; soon, where other ranks need it. */
static void wait_a_little(struct comm *comm, int tests)
{
    enum { EAGER_TESTS = 20000, CROWDED_TESTS = 20, PAUSE_NANOSECONDS = 50000 };
    if (tests > (comm->crowded ? CROWDED_TESTS : EAGER_TESTS))
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
}

/* MPI_Testall leaves the requests alone where one of them is not done. */
static bool is_done(struct comm *comm, struct comm_exchange *exchange, int message)
{
    struct requests *requests = exchange->state;
    (void)comm;
    for (int i = 0; i < requests->count; i++) {
        int done = 1;
        if (requests->message[i] == message) MPI_Test(&requests->request[i], &done, MPI_STATUS_IGNORE);
        if (!done) return false;
    }
    return true;
}

static void end_all(struct comm *comm, int code)
{
    (void)comm;
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void destroy(struct comm *comm)
{
    free(comm);
    MPI_Finalize();
}

static const struct comm_table table = {
    .start = start, .test = test, .is_done = is_done, .pause = wait_a_little, .abort = end_all, .destroy = destroy};

__attribute__((visibility("default"))) void trainer_comm_name(char name[COMM_NAME]);

/* The first line of the library's own words, up to a comma. */
void trainer_comm_name(char name[COMM_NAME])
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(version, &length); /* may be called before MPI_Init */
    size_t end = strcspn(version, ",\n");
    if (end >= COMM_NAME) end = COMM_NAME - 1;
    memcpy(name, version, end);
    name[end] = '\0';
    char *v = strstr(name, " v"); /* "Open MPI v4.1.4" */
    if (v) memmove(v + 1, v + 2, strlen(v + 2) + 1);
}

__attribute__((visibility("default"))) comm_module_open trainer_comm_open;
bool trainer_comm_open(struct comm *comm, const char *version, size_t comm_bytes, char *error, size_t size)
{
    int provided;
    if (strcmp(version, TRAINER_VERSION) != 0 || comm_bytes != sizeof *comm) {
        snprintf(error, size, "%s is of another trainer (%s)", COMM_MODULE_FILE, TRAINER_VERSION);
        return false;
    }
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        snprintf(error, size, "MPI_Init_thread fails");
        return false;
    }
    *comm = (struct comm){.table = &table};
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
    gethostname(comm->host, sizeof comm->host - 1);
    trainer_comm_name(comm->name);
    return true;
}
