/* Joins the GPUs of all ranks by NCCL, where each rank has one of its own (backend_table.connect). What the ranks find out
 * first goes through their hosts, so that all of them come to the same conclusion. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_create.h"
#include "cuda_nccl.h"
#include "util/memory.h"

/* What a rank tells the others of itself. */
struct ticket {
    char problem[256]; /* why it cannot take part; "": it can */
    char host[COMM_HOST];
    char version[32]; /* "NCCL 2.28.9" */
    ncclUniqueId id;
};

/* `missing` tells why there is no NCCL, where it is NULL. */
static void fill_ticket(struct ticket *ticket, const struct comm *ranks, const struct nccl *nccl, const char *missing)
{
    snprintf(ticket->host, sizeof ticket->host, "%s", ranks->host);
    if (nccl) nccl_name(nccl, ticket->version, sizeof ticket->version);
    if (!nccl) snprintf(ticket->problem, sizeof ticket->problem, "%s", missing);
    if (!nccl || ranks->rank > 0) return;
    ncclResult_t result = nccl->GetUniqueId(&ticket->id);
    if (result != ncclSuccess)
        snprintf(ticket->problem, sizeof ticket->problem, "NCCL does not start: %s", nccl->GetErrorString(result));
}

/* Returns in a new string why the first rank that cannot take part cannot, or NULL. */
static char *find_problem(const struct ticket *tickets, int size)
{
    for (int r = 0; r < size; r++) {
        const struct ticket *ticket = &tickets[r];
        if (ticket->problem[0]) return memory_format("rank %d (%s): %s", r, ticket->host, ticket->problem);
        if (strcmp(ticket->version, tickets[0].version) != 0)
            return memory_format("rank %d (%s) has %s, rank 0 (%s) has %s", r, ticket->host, ticket->version,
                                 tickets[0].host, tickets[0].version);
    }
    return NULL;
}

/* Sends a byte between all pairs of GPUs: afterwards they are connected, and NCCL has taken its memory. */
static bool greet(struct cuda_backend *cuda, struct comm *devices, struct status *status)
{
    char *bytes = cuda_alloc(cuda, (size_t)devices->size);
    bool good = comm_gather(devices, bytes, 1, "greetings between the GPUs", status);
    cuda_free(cuda, bytes);
    return good;
}

static bool cuda_connect(struct backend *backend, struct comm *ranks, struct comm **devices, char **reason,
                         struct status *status)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct ticket *tickets = memory_alloc((size_t)ranks->size, sizeof *tickets);
    const char *missing;
    const struct nccl *nccl = nccl_open(&missing);
    *devices = NULL, *reason = NULL;
    fill_ticket(&tickets[ranks->rank], ranks, nccl, missing);
    bool good = comm_gather(ranks, tickets, sizeof *tickets, "the addresses of the GPUs", status);
    if (good) *reason = find_problem(tickets, ranks->size);
    if (good && !*reason) {
        *devices = cuda_nccl_create(nccl, cuda, ranks, tickets[0].id);
        good = greet(cuda, *devices, status);
        if (!good) comm_destroy(*devices), *devices = NULL;
    }
    free(tickets);
    return good;
}

char *cuda_nccl_name(char **problem)
{
    const char *missing;
    char name[32];
    const struct nccl *nccl = nccl_open(&missing);
    *problem = nccl ? NULL : memory_copy_string(missing);
    if (!nccl) return NULL;
    nccl_name(nccl, name, sizeof name);
    return memory_copy_string(name);
}

void cuda_connect_install(struct backend_table *table)
{
    table->connect = cuda_connect;
}
