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

struct transport {
    MPI_Request *requests; /* of the exchange, in its order */
    int *message;          /* to which each belongs */
    int count, capacity;
    int idle; /* tests in a row that found the exchange unfinished */
};

static void add_request(struct transport *transport, int message, MPI_Request request)
{
    if (transport->count == transport->capacity) {
        transport->capacity = transport->capacity > 0 ? 2 * transport->capacity : 64;
        size_t capacity = (size_t)transport->capacity;
        transport->requests = realloc(transport->requests, capacity * sizeof *transport->requests);
        transport->message = realloc(transport->message, capacity * sizeof *transport->message);
        if (!transport->requests || !transport->message) abort();
    }
    transport->requests[transport->count] = request;
    transport->message[transport->count++] = message;
}

/* The bytes of a piece that begins at `at`. */
static int piece_bytes(size_t bytes, size_t at)
{
    return bytes - at < PIECE ? (int)(bytes - at) : PIECE;
}

static void start(struct comm *comm, int tag, const struct comm_message *messages, int count)
{
    struct transport *transport = comm->transport;
    MPI_Request request;
    transport->count = transport->idle = 0;
    for (int m = 0; m < count; m++)
        for (size_t at = 0; at < messages[m].receive_bytes; at += PIECE) {
            MPI_Irecv((char *)messages[m].receive + at, piece_bytes(messages[m].receive_bytes, at), MPI_BYTE,
                      messages[m].rank, tag, MPI_COMM_WORLD, &request);
            add_request(transport, m, request);
        }
    for (int m = 0; m < count; m++)
        for (size_t at = 0; at < messages[m].send_bytes; at += PIECE) {
            MPI_Isend((const char *)messages[m].send + at, piece_bytes(messages[m].send_bytes, at), MPI_BYTE,
                      messages[m].rank, tag, MPI_COMM_WORLD, &request);
            add_request(transport, m, request);
        }
}

/* After a while of asking, the processor goes to others between two questions; soon, where other ranks need it. */
static bool test(struct comm *comm)
{
    enum { EAGER_TESTS = 20000, CROWDED_TESTS = 20, PAUSE_NANOSECONDS = 50000 };
    const int eager = comm->crowded ? CROWDED_TESTS : EAGER_TESTS;
    struct transport *transport = comm->transport;
    int done;
    MPI_Testall(transport->count, transport->requests, &done, MPI_STATUSES_IGNORE);
    if (!done && ++transport->idle > eager) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
    return done;
}

/* MPI_Testall leaves the requests alone where one of them is not done. */
static bool is_done(struct comm *comm, int message)
{
    struct transport *transport = comm->transport;
    for (int i = 0; i < transport->count; i++) {
        int done = 1;
        if (transport->message[i] == message) MPI_Test(&transport->requests[i], &done, MPI_STATUS_IGNORE);
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
    struct transport *transport = comm->transport;
    free(transport->requests);
    free(transport->message);
    free(transport);
    free(comm);
    MPI_Finalize();
}

static const struct comm_table table = {
    .start = start, .test = test, .is_done = is_done, .abort = end_all, .destroy = destroy};

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
    comm->transport = calloc(1, sizeof(struct transport));
    if (!comm->transport) abort();
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
    gethostname(comm->host, sizeof comm->host - 1);
    trainer_comm_name(comm->name);
    return true;
}
