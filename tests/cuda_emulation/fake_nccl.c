/* Stands for NCCL between emulated devices: as much of it as cuda/nccl_library.h declares, with messages between processes
 * through a mapped file in the folder FAKE_NCCL_FOLDER. As in NCCL with blocking = 0, a call returns at once; what it began
 * goes on where CommGetAsyncError asks for it, and a group is on its stream only after that. A call that NCCL would refuse,
 * and messages that do not fit, end the program with a line.
 *
 * A rank that destroys its communicator adds a line to the folder's file "ranks": its number, its groups, its messages and
 * their bytes. FAKE_NCCL_VERSION=21805 is another version. FAKE_NCCL_FAULT="error 1 3" is a fault on rank 1 from its fourth
 * group on:
 *   init   its communicator fails at once
 *   error  its communicator fails
 *   hang   its device does not come to the end of a group
 *   stuck  the same, and CommAbort does not return */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emulation_count.h"
#include "nccl_library.h"

enum { MOST_RANKS = 8, RING = 1 << 16, ASKED = 2 };

/* Bytes on their way from one rank to another; of each message first their number. */
struct ring {
    _Atomic size_t written, taken;
    char bytes[RING];
};

struct shared {
    _Atomic int joined;
    struct ring rings[MOST_RANKS][MOST_RANKS]; /* [from][to] */
};

struct message {
    bool send;
    char *data;
    size_t bytes, moved; /* moved: with those of `bytes` itself */
    int rank;
};

struct group {
    struct ncclComm *comm;
    cudaStream_t stream;
    int count, capacity;
    struct message *messages;
};

struct ncclComm {
    int rank, size;
    struct shared *shared;
    struct group *group; /* begun, or given and not yet on its stream */
    bool given;
    int asked; /* how often since then */
    bool aborted;
    long groups, messages, bytes;
};

static int depth;               /* of ncclGroupStart */
static struct ncclComm *inside; /* that has messages in the group */

#define DEFINED(type, name, arguments) type nccl##name arguments;
NCCL_FUNCTIONS(DEFINED)
#undef DEFINED

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "fake NCCL: %s\n", what);
    abort();
}

static void check(bool good, const char *what)
{
    if (!good) refuse(what);
}

static const char *folder(void)
{
    const char *path = getenv("FAKE_NCCL_FOLDER");
    check(path, "FAKE_NCCL_FOLDER is not set");
    return path;
}

static bool has_fault(const struct ncclComm *comm, const char *kind)
{
    const char *fault = getenv("FAKE_NCCL_FAULT");
    char named[16];
    int rank, groups;
    return fault && sscanf(fault, "%15s %d %d", named, &rank, &groups) == 3 && strcmp(named, kind) == 0 &&
           rank == comm->rank && comm->groups > groups;
}

/* --- messages --- */

/* Moves bytes between a ring and memory, as many as there are or fit. Returns their number. */
static size_t move_bytes(struct ring *ring, bool send, char *data, size_t bytes)
{
    size_t written = atomic_load(&ring->written), taken = atomic_load(&ring->taken);
    size_t at = send ? written : taken, most = send ? RING - (written - taken) : written - taken;
    size_t count = bytes < most ? bytes : most;
    for (size_t i = 0; i < count; i++) {
        char *byte = &ring->bytes[(at + i) % RING];
        if (send)
            *byte = data[i];
        else
            data[i] = *byte;
    }
    atomic_store(send ? &ring->written : &ring->taken, at + count);
    return count;
}

static void move_message(struct ncclComm *comm, struct message *message)
{
    struct ring(*rings)[MOST_RANKS] = comm->shared->rings;
    struct ring *ring = message->send ? &rings[comm->rank][message->rank] : &rings[message->rank][comm->rank];
    if (message->moved < sizeof(size_t)) {
        size_t bytes = message->bytes;
        if (!message->send && atomic_load(&ring->written) - atomic_load(&ring->taken) < sizeof bytes) return;
        if (message->send && RING - (atomic_load(&ring->written) - atomic_load(&ring->taken)) < sizeof bytes) return;
        message->moved = move_bytes(ring, message->send, (char *)&bytes, sizeof bytes);
        check(bytes == message->bytes, "a message has another size at its receiver");
    }
    size_t done = message->moved - sizeof(size_t);
    message->moved += move_bytes(ring, message->send, message->data + done, message->bytes - done);
}

/* Moves the messages of a group on, to and from each rank one after the other. True once all are done. */
static bool group_passes(void *argument)
{
    struct group *group = argument;
    struct ncclComm *comm = group->comm;
    bool busy[2][MOST_RANKS] = {{false}}, done = true;
    if (comm->aborted) return true;
    if (has_fault(comm, "hang") || has_fault(comm, "stuck")) return false;
    for (int i = 0; i < group->count; i++) {
        struct message *message = &group->messages[i];
        bool *waits = &busy[message->send][message->rank];
        if (!*waits) move_message(comm, message);
        *waits |= message->moved < message->bytes + sizeof(size_t);
        done &= !*waits;
    }
    if (!done) return false;
    free(group->messages);
    free(group);
    return true;
}

/* --- communicators --- */

ncclResult_t ncclGetVersion(int *version)
{
    const char *other = getenv("FAKE_NCCL_VERSION");
    *version = other ? atoi(other) : 22809;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int count;
    int length = snprintf(id->internal, sizeof id->internal, "%s/nccl-%d-%d", folder(), (int)getpid(), count++);
    check(length < (int)sizeof id->internal, "FAKE_NCCL_FOLDER is too long");
    int file = open(id->internal, O_CREAT | O_EXCL | O_RDWR, 0600);
    check(file >= 0 && ftruncate(file, sizeof(struct shared)) == 0, "cannot write into FAKE_NCCL_FOLDER");
    close(file);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    struct ncclComm *made = calloc(1, sizeof *made);
    check(made && ranks <= MOST_RANKS && rank >= 0 && rank < ranks, "a wrong rank");
    check(config->size == NCCL_CONFIG_BYTES && config->magic == NCCL_CONFIG_MAGIC, "a wrong config");
    check(config->version == NCCL_CONFIG_VERSION && config->blocking == 0, "a config that waits");
    *made = (struct ncclComm){.rank = rank, .size = ranks, .groups = 1};
    bool fails = has_fault(made, "init");
    made->groups = 0;
    if (fails) return ncclRemoteError;
    int file = open(id.internal, O_RDWR);
    check(file >= 0, "an id that is no other rank's");
    made->shared = mmap(NULL, sizeof *made->shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    check(made->shared != MAP_FAILED, "cannot map a file");
    close(file);
    atomic_fetch_add(&made->shared->joined, 1);
    *comm = made;
    return ncclInProgress;
}

/* A group is put on its stream when it has been asked for several times. */
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    check(!comm->aborted, "a communicator that is no more");
    *state = ncclInProgress;
    if (atomic_load(&comm->shared->joined) < comm->size) return ncclSuccess;
    if (has_fault(comm, "error")) {
        *state = ncclRemoteError;
        return ncclSuccess;
    }
    if (comm->given && ++comm->asked < ASKED) return ncclSuccess;
    if (comm->given) emulation_hold(comm->group->stream, group_passes, comm->group);
    if (comm->given) comm->group = NULL;
    comm->given = false;
    *state = ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    check(!comm->aborted && !comm->group, "CommFinalize of a communicator at work");
    return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    char line[128], path[4096];
    int length = snprintf(line, sizeof line, "%d %ld %ld %ld\n", comm->rank, comm->groups, comm->messages, comm->bytes);
    snprintf(path, sizeof path, "%s/ranks", folder());
    int file = open(path, O_CREAT | O_APPEND | O_WRONLY, 0600);
    check(file >= 0 && write(file, line, (size_t)length) == length, "cannot write into FAKE_NCCL_FOLDER");
    close(file);
    munmap(comm->shared, sizeof *comm->shared);
    free(comm);
    return ncclSuccess;
}

/* What is left is freed with the process. */
ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    while (has_fault(comm, "stuck")) sleep(1);
    comm->aborted = true;
    return ncclSuccess;
}

/* --- groups --- */

ncclResult_t ncclGroupStart(void)
{
    depth++;
    return ncclSuccess;
}

static ncclResult_t add(struct message message, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    ncclResult_t state;
    check(depth == 1, "a message outside a group");
    check(ncclCommGetAsyncError(comm, &state) == ncclSuccess && state == ncclSuccess,
          "a call while the last one goes on");
    check(count > 0 && type == ncclUint8 && message.rank != comm->rank && message.rank < comm->size, "a wrong message");
    check(!inside || (inside == comm && comm->group->stream == stream), "a group of several communicators or streams");
    inside = comm;
    if (!comm->group) comm->group = calloc(1, sizeof *comm->group);
    struct group *group = comm->group;
    check(group, "no memory");
    if (group->count == group->capacity) {
        group->capacity = 2 * group->capacity + 8;
        group->messages = realloc(group->messages, (size_t)group->capacity * sizeof message);
        check(group->messages, "no memory");
    }
    group->comm = comm, group->stream = stream;
    message.bytes = count;
    group->messages[group->count++] = message;
    comm->messages++, comm->bytes += (long)count;
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *data, size_t count, ncclDataType_t type, int rank, ncclComm_t comm,
                      cudaStream_t stream)
{
    return add((struct message){.send = true, .data = (char *)data, .rank = rank}, count, type, comm, stream);
}

ncclResult_t ncclRecv(void *data, size_t count, ncclDataType_t type, int rank, ncclComm_t comm, cudaStream_t stream)
{
    return add((struct message){.data = data, .rank = rank}, count, type, comm, stream);
}

ncclResult_t ncclGroupEnd(void)
{
    check(depth-- == 1, "GroupEnd without GroupStart");
    if (!inside) return ncclSuccess;
    inside->given = true, inside->asked = 0, inside->groups++;
    inside = NULL;
    return ncclInProgress;
}

/* --- errors --- */

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclRemoteError ? "remote process exited or there was a network error" : "no error";
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return "the fake's own words";
}
