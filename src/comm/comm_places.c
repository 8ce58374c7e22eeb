/* The machines and cores of the ranks (comm.h). */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"
#include "util/machine.h"
#include "util/memory.h"

static int count_bits(const unsigned char mask[COMM_MASK])
{
    int count = 0;
    for (int i = 0; i < COMM_MASK; i++) count += __builtin_popcount(mask[i]);
    return count;
}

/* The cores of a process as bits, or zeros. */
static void read_mask(pid_t process, unsigned char mask[COMM_MASK])
{
    cpu_set_t set;
    memset(mask, 0, COMM_MASK);
    if (sched_getaffinity(process, sizeof set, &set) != 0) return;
    for (size_t i = 0; i < COMM_MASK * 8 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) mask[i / 8] |= (unsigned char)(1 << i % 8);
}

static struct comm_place own_place(const struct comm *comm)
{
    struct comm_place place = {.cores = machine_read("").cores};
    unsigned char launcher[COMM_MASK];
    memcpy(place.host, comm->host, sizeof place.host);
    read_mask(0, place.mask);
    read_mask(getppid(), launcher);
    place.launcher_cores = count_bits(launcher);
    return place;
}

static bool shares_host(const struct comm *comm, int a, int b)
{
    return strcmp(comm->places[a].host, comm->places[b].host) == 0;
}

bool comm_is_local(const struct comm *comm)
{
    for (int r = 1; r < comm->size && comm->places; r++)
        if (!shares_host(comm, 0, r)) return false;
    return comm->places != NULL;
}

static bool shares_cores(const struct comm *comm, int a, int b)
{
    bool common = memcmp(comm->places[a].mask, comm->places[b].mask, COMM_MASK) == 0;
    for (int i = 0; i < COMM_MASK; i++) common |= (comm->places[a].mask[i] & comm->places[b].mask[i]) != 0;
    return common && shares_host(comm, a, b);
}

static int core_share(const struct comm *comm, int rank)
{
    int sharers = 1; /* the rank itself */
    for (int r = 0; r < comm->size; r++) sharers += r != rank && shares_cores(comm, rank, r);
    int cores = comm->places[rank].cores / sharers;
    return cores > 0 ? cores : 1;
}

bool comm_learn_places(struct comm *comm, struct status *status)
{
    struct comm_place *places = memory_alloc((size_t)comm->size, sizeof *places);
    places[comm->rank] = own_place(comm);
    if (!comm_gather(comm, places, sizeof *places, "the names of the machines", status)) {
        free(places);
        return false;
    }
    comm->places = places;
    int sharers = 0;
    for (int r = 0; r < comm->size; r++) sharers += shares_cores(comm, comm->rank, r);
    comm->crowded = sharers > places[comm->rank].cores;
    return true;
}

int comm_core_share(const struct comm *comm)
{
    return comm->places ? core_share(comm, comm->rank) : 0;
}

int comm_local_rank(const struct comm *comm)
{
    int local = 0;
    for (int r = 0; r < comm->rank; r++) local += !comm->places || shares_host(comm, r, comm->rank);
    return local;
}

/* --- lines for people --- */

static bool is_first_of_host(const struct comm *comm, int rank)
{
    for (int r = 0; r < rank; r++)
        if (shares_host(comm, r, rank)) return false;
    return true;
}

/* Prints "node-a: 0-1, 4" of the host of this rank. */
static void print_host(const struct comm *comm, int rank, FILE *out)
{
    const char *separator = ": ";
    fputs(comm->places[rank].host, out);
    for (int r = rank; r < comm->size; r++) {
        if (!shares_host(comm, rank, r)) continue;
        int last = r;
        while (last + 1 < comm->size && shares_host(comm, rank, last + 1)) last++;
        fprintf(out, last > r ? "%s%d-%d" : "%s%d", separator, r, last);
        separator = ", ";
        r = last;
    }
}

char *comm_describe(const struct comm *comm)
{
    enum { MOST_HOSTS = 8 }; /* whose ranks are listed */
    char *text;
    size_t size;
    int hosts = 0, listed = 0;
    if (!comm->places) return memory_format("%d ranks", comm->size);
    for (int r = 0; r < comm->size; r++) hosts += is_first_of_host(comm, r);
    if (hosts == 1) return memory_format("%d ranks on %s", comm->size, comm->places[0].host);
    FILE *out = memory_stream(&text, &size);
    fprintf(out, "%d ranks on %d hosts (", comm->size, hosts);
    for (int r = 0; r < comm->size && listed < MOST_HOSTS; r++) {
        if (!is_first_of_host(comm, r)) continue;
        if (listed++ > 0) fputs(", ", out);
        print_host(comm, r, out);
    }
    fputs(hosts > listed ? ", ...)" : ")", out);
    memory_stream_close(out, &text);
    return text;
}

/* What the ranks of a host have together. */
struct crowd {
    int ranks, threads, cores;
};

static struct crowd crowd_of(const struct comm *comm, int rank, int threads)
{
    struct crowd crowd = {0};
    unsigned char all[COMM_MASK] = {0};
    for (int r = rank; r < comm->size; r++) {
        if (!shares_host(comm, rank, r)) continue;
        crowd.ranks++;
        crowd.threads += threads > 0 ? threads : core_share(comm, r);
        for (int i = 0; i < COMM_MASK; i++) all[i] |= comm->places[r].mask[i];
    }
    crowd.cores = count_bits(all);
    return crowd;
}

static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

char *comm_describe_crowd(const struct comm *comm, int threads)
{
    for (int r = 0; r < comm->size && comm->places; r++) {
        const struct comm_place *place = &comm->places[r];
        if (threads > place->cores)
            return memory_format(
                "rank %d (%s) has %d threads, but may use %d core%s (mpirun: --bind-to none, or --map-by "
                "slot:PE=%d; srun: --cpus-per-task=%d)",
                r, place->host, threads, place->cores, plural(place->cores), threads, threads);
        if (!is_first_of_host(comm, r)) continue;
        struct crowd crowd = crowd_of(comm, r, threads);
        if (crowd.cores == 0) continue; /* not known */
        if (crowd.threads > crowd.cores)
            return memory_format("%s: the %d rank%s have %d threads for %d core%s, and will wait for one another",
                                 place->host, crowd.ranks, plural(crowd.ranks), crowd.threads, crowd.cores,
                                 plural(crowd.cores));
        if (threads == 0 && crowd.cores < place->launcher_cores)
            return memory_format(
                "%s: the %d rank%s may use %d of %d cores, as mpirun binds them (--bind-to none lets them "
                "use all)",
                place->host, crowd.ranks, plural(crowd.ranks), crowd.cores, place->launcher_cores);
    }
    return NULL;
}
