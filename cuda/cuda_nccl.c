/* Exchanges between GPUs by NCCL's sends and receives (cuda_nccl.h). Nothing here adds anything up, so the bits do not depend on
 * NCCL's algorithms. An exchange is one group of them on a stream of its own, started anew each time and never part of a
 * recorded step. No call waits: NCCL takes a group in while the host asks it whether it has, and an event tells when the
 * GPU has come to the group's end. */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "cuda_nccl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "util/clock.h"
#include "util/memory.h"

/* An exchange on its way. */
struct flight {
    struct flight *next;
    const struct comm_exchange *exchange;
    cudaEvent_t event; /* where the backend's stream was at the start; once it is launched: the end of the exchange */
    bool given;        /* NCCL has got it */
    bool launched;     /* and has put it on the stream */
};

struct transport {
    const struct nccl *nccl;
    struct cuda_backend *cuda;
    ncclComm_t nccl_comm; /* NULL: there is none, or it is given up */
    cudaStream_t stream;
    struct flight *first; /* those that are not launched, the oldest first */
    char failure[512];    /* "": none */
};

/* Returns whether a call of NCCL has done, or will do, what it was asked for. */
static bool accept(struct transport *transport, ncclResult_t result)
{
    const struct nccl *nccl = transport->nccl;
    if (result == ncclSuccess || result == ncclInProgress) return true;
    const char *more = nccl->GetLastError(transport->nccl_comm);
    if (!transport->failure[0])
        snprintf(transport->failure, sizeof transport->failure, "%s%s%.400s", nccl->GetErrorString(result),
                 more && *more ? ": " : "", more ? more : "");
    return false;
}

/* True where NCCL has come to the end of the last call, so that it may get the next one. */
static bool is_ready(struct transport *transport)
{
    ncclResult_t state = ncclInProgress;
    if (transport->failure[0]) return false;
    return accept(transport, transport->nccl->CommGetAsyncError(transport->nccl_comm, &state)) &&
           accept(transport, state) && state == ncclSuccess;
}

/* Ranks that send one another several messages have them in the same order. */
static void give(struct transport *transport, struct flight *flight)
{
    const struct nccl *nccl = transport->nccl;
    const struct comm_exchange *exchange = flight->exchange;
    ncclComm_t comm = transport->nccl_comm;
    CUDA_CHECK(cudaStreamWaitEvent(transport->stream, flight->event, 0));
    bool good = accept(transport, nccl->GroupStart());
    for (int m = 0; m < exchange->count && good; m++) {
        const struct comm_message *to = &exchange->messages[m];
        if (to->send_bytes > 0)
            good =
                accept(transport, nccl->Send(to->send, to->send_bytes, ncclUint8, to->rank, comm, transport->stream));
        if (to->receive_bytes > 0 && good)
            good = accept(transport,
                          nccl->Recv(to->receive, to->receive_bytes, ncclUint8, to->rank, comm, transport->stream));
    }
    accept(transport, nccl->GroupEnd());
    flight->given = true;
}

/* Gives NCCL one exchange after the other, as fast as it takes them. */
static void move(struct transport *transport)
{
    while (is_ready(transport) && transport->first) {
        struct flight *flight = transport->first;
        if (!flight->given) {
            give(transport, flight);
            continue;
        }
        CUDA_CHECK(cudaEventRecord(flight->event, transport->stream));
        flight->launched = true;
        transport->first = flight->next;
    }
}

/* --- the transport --- */

static void start(struct comm *comm, struct comm_exchange *exchange)
{
    struct transport *transport = comm->transport;
    struct flight *flight = memory_alloc(1, sizeof *flight), **last = &transport->first;
    CHECK(!transport->cuda->recording);
    *flight = (struct flight){.exchange = exchange};
    CUDA_CHECK(cudaEventCreateWithFlags(&flight->event, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventRecord(flight->event, transport->cuda->lanes[0].stream));
    while (*last) last = &(*last)->next;
    *last = flight;
    exchange->state = flight;
    move(transport);
}

static bool test(struct comm *comm, struct comm_exchange *exchange)
{
    struct transport *transport = comm->transport;
    struct flight *flight = exchange->state;
    move(transport);
    if (!flight->launched || transport->failure[0]) return false;
    cudaError_t reached = cudaEventQuery(flight->event);
    if (reached == cudaErrorNotReady) return false;
    CUDA_CHECK(reached);
    CUDA_CHECK(cudaEventDestroy(flight->event));
    free(flight);
    exchange->state = NULL;
    return true;
}

/* NCCL does not tell of single messages. */
static bool is_done(struct comm *comm, struct comm_exchange *exchange, int message)
{
    const struct comm_message *of = &exchange->messages[message];
    (void)comm;
    return of->send_bytes == 0 && of->receive_bytes == 0;
}

static void wait_a_little(struct comm *comm, int tests)
{
    comm->parent->table->pause(comm->parent, tests);
}

static const char *failure(struct comm *comm)
{
    const struct transport *transport = comm->transport;
    return transport->failure[0] ? transport->failure : NULL;
}

static void *run_abort(void *argument)
{
    struct transport *transport = argument;
    transport->nccl->CommAbort(transport->nccl_comm);
    return NULL;
}

/* NCCL may wait for ranks that are no more even where it is to give up. Then nobody may wait for the device, which will not
 * come to the end of its work. */
static void give_up(struct comm *comm, int code)
{
    enum { SECONDS = 2 };
    struct transport *transport = comm->transport;
    struct timespec until;
    pthread_t thread;
    (void)code;
    if (!transport->nccl_comm || transport->cuda->stuck) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SECONDS;
    if (pthread_create(&thread, NULL, run_abort, transport) == 0 && pthread_timedjoin_np(thread, NULL, &until) == 0)
        transport->nccl_comm = NULL;
    else
        transport->cuda->stuck = true;
}

/* Waits, as long as an exchange may take, until NCCL has brought everything to its receivers. */
static bool finalize(struct comm *comm)
{
    struct transport *transport = comm->transport;
    double start = clock_seconds(), seconds = comm->parent->timeout;
    if (transport->failure[0] || !accept(transport, transport->nccl->CommFinalize(transport->nccl_comm))) return false;
    for (int tests = 0; !is_ready(transport); tests += tests < INT32_MAX) {
        if (transport->failure[0] || (seconds > 0 && clock_seconds() - start > seconds)) return false;
        wait_a_little(comm, tests);
    }
    return true;
}

static void destroy(struct comm *comm)
{
    struct transport *transport = comm->transport;
    if (!comm->parent->broken && finalize(comm))
        transport->nccl->CommDestroy(transport->nccl_comm);
    else
        give_up(comm, 0);
    if (transport->cuda->stuck) return; /* a thread still has them */
    CUDA_CHECK(cudaStreamDestroy(transport->stream));
    free(transport);
    free(comm);
}

static const struct comm_table table = {.start = start,
                                        .test = test,
                                        .is_done = is_done,
                                        .pause = wait_a_little,
                                        .abort = give_up,
                                        .failure = failure,
                                        .destroy = destroy};

struct comm *cuda_nccl_create(const struct nccl *nccl, struct cuda_backend *cuda, struct comm *ranks, ncclUniqueId id)
{
    ncclConfig_t config = {NCCL_CONFIG_BYTES, NCCL_CONFIG_MAGIC, NCCL_CONFIG_VERSION, .blocking = 0};
    struct transport *transport = memory_alloc(1, sizeof *transport);
    struct comm *comm = memory_alloc(1, sizeof *comm);
    int least = 0, greatest = 0;
    *transport = (struct transport){.nccl = nccl, .cuda = cuda};
    *comm = (struct comm){
        .table = &table, .transport = transport, .parent = ranks, .rank = ranks->rank, .size = ranks->size};
    nccl_name(nccl, comm->name, sizeof comm->name);
    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CUDA_CHECK(cudaStreamCreateWithPriority(&transport->stream, cudaStreamNonBlocking, greatest));
    accept(transport, nccl->CommInitRankConfig(&transport->nccl_comm, ranks->size, id, ranks->rank, &config));
    return comm;
}
