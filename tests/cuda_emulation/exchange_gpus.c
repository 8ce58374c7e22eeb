/* Ranks with an emulated GPU each that exchange memory of their devices: several exchanges at once, of unequal sizes, right behind
 * work of the device. Rank 0 prints how they are joined, or why they are not. A rank whose exchange fails writes the message
 * into FOLDER/failed-RANK, behind the word "first" where it is to report.
 *
 * usage: mpirun -n RANKS exchange_gpus SECONDS FOLDER      seconds that an exchange may take */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "comm/comm.h"
#include "util/memory.h"

enum { LARGE = 300000, SMALL = 5, ROUNDS = 4 };
enum { LONGER = 4 }; /* seconds, more than a failure takes on a rank that is to report it */

/* A rank sends another so many bytes of this value; half of the large ones are zeros that the device writes last. */
static char value_of(int from, int to, int round)
{
    return (char)(1 + from + 10 * to + 50 * round);
}

struct side {
    char *out, *in; /* device: LARGE + SMALL for each rank */
    char *host;
};

static void prepare(struct backend *backend, const struct comm *comm, const struct side *side, int round)
{
    const size_t each = LARGE + SMALL;
    for (int r = 0; r < comm->size; r++) memset(side->host + (size_t)r * each, value_of(comm->rank, r, round), each);
    backend->table->copy_to_device(backend, side->out, side->host, (size_t)comm->size * each);
    for (int r = 0; r < comm->size; r++) backend->table->zero(backend, side->out + (size_t)r * each, LARGE / 2);
}

/* Messages of bytes first .. first + bytes - 1 of what goes to each rank. */
static int fill(struct comm_message *messages, const struct comm *comm, const struct side *side, size_t first,
                size_t bytes)
{
    int count = 0;
    for (int k = 1; k < comm->size; k++) {
        int other = comm->rank ^ k;
        size_t at = (size_t)other * (LARGE + SMALL) + first;
        messages[count++] = (struct comm_message){other, side->out + at, bytes, side->in + at, bytes};
    }
    return count;
}

static bool is_right(struct backend *backend, const struct comm *comm, const struct side *side, int round)
{
    const size_t each = LARGE + SMALL;
    backend->table->copy_to_host(backend, side->host, side->in, (size_t)comm->size * each);
    for (int r = 0; r < comm->size; r++)
        for (size_t i = 0; i < each && r != comm->rank; i++)
            if (side->host[(size_t)r * each + i] != (i < LARGE / 2 ? 0 : value_of(r, comm->rank, round))) return false;
    return true;
}

/* The second exchange is waited for first. */
static bool run_round(struct backend *backend, struct comm *devices, const struct side *side, int round,
                      struct status *status)
{
    struct comm_exchange large, small;
    struct comm_message messages[2][COMM_MOST_RANKS];
    prepare(backend, devices, side, round);
    comm_start(devices, &large, messages[0], fill(messages[0], devices, side, 0, LARGE));
    comm_start(devices, &small, messages[1], fill(messages[1], devices, side, LARGE, SMALL));
    if (!comm_finish(devices, &small, "small pieces", status)) return false;
    if (!comm_finish(devices, &large, "large pieces", status)) return false;
    return is_right(backend, devices, side, round) || status_fail(status, STATUS_RUNTIME, "wrong bytes");
}

static bool exchange(struct backend *backend, struct comm *devices, struct status *status)
{
    size_t bytes = (size_t)devices->size * (LARGE + SMALL);
    struct side side = {backend->table->alloc(backend, bytes), backend->table->alloc(backend, bytes),
                        memory_alloc(bytes, 1)};
    bool good = true;
    for (int round = 0; round < ROUNDS && good; round++) good = run_round(backend, devices, &side, round, status);
    backend->table->free(backend, side.out), backend->table->free(backend, side.in);
    free(side.host);
    return good;
}

static bool run(struct backend *backend, struct comm *comm, struct status *status)
{
    struct comm *devices;
    char *reason;
    if (!backend->table->connect(backend, comm, &devices, &reason, status)) return false;
    if (comm->rank == 0) printf("%s\n", devices ? devices->name : reason);
    fflush(stdout);
    free(reason);
    bool good = !devices || exchange(backend, devices, status);
    comm_destroy(devices);
    return good;
}

static void write_failure(const char *folder, const struct comm *comm, const struct status *status)
{
    char *path = memory_format("%s/failed-%d", folder, comm->rank);
    FILE *file = fopen(path, "w");
    if (!file) abort();
    fprintf(file, "%s%s\n", comm->reports ? "first " : "", status->message);
    fclose(file);
    free(path);
}

int main(int count, char **words)
{
    struct status status = {.code = STATUS_OK};
    struct comm *comm;
    struct backend *backend;
    if (count != 3 || !comm_create(&comm, &status) || !comm) return 2;
    comm->timeout = atof(words[1]);
    const struct backend_options options = {.device = DEVICE_CUDA, .gpu = comm->rank};
    if (!backend_create(&backend, &options, &status)) return 2;
    bool good = run(backend, comm, &status);
    backend_destroy(backend);
    if (!good) {
        write_failure(words[2], comm, &status);
        if (!comm->reports) sleep(LONGER);
        comm_abort(comm, 1);
    }
    comm_destroy(comm);
    return 0;
}
