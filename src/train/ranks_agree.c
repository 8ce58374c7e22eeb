/* What ranks tell one another before the first step (ranks.h). */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "train/checkpoint_private.h"
#include "train/ranks.h"
#include "util/memory.h"
#include "util/warning.h"

/* Where two ranks differ in one of the texts, they would not compute the same. */
enum fact { FACT_VERSION, FACT_DEVICE, FACT_LIBC, FACT_DATA, FACTS };

static const struct {
    const char *what, *advice;
} facts[FACTS] = {
    [FACT_VERSION] = {"is trainer ", "start the same program on every machine"},
    [FACT_DEVICE] = {"computes with ",
                     "results would depend on which rank computes what; backend.cpu_isa can be set to what "
                     "all of them have"},
    [FACT_LIBC] = {"has the C library ", "its functions may round in other ways"},
    [FACT_DATA] = {"has images ", "every rank needs the same files"},
};

struct ticket {
    bool ready;
    int code;
    char host[COMM_HOST];
    char gpu[32]; /* its address; "": it computes on none */
    char fact[FACTS][600];
    char message[STATUS_MESSAGE_SIZE]; /* where it is not ready */
};

/* The backend's description without its threads, of which ranks may have different numbers. */
static void describe_device(const struct backend *backend, char *text, size_t size)
{
    const char *threads = strstr(backend->description, " thread"), *from = threads, *to = threads;
    while (from && from > backend->description && from[-1] != ' ') from--;
    while (to && *to && *to != ' ') to++;
    if (to) to += strspn(to, " ");
    while (to && *to && *to != ' ') to++; /* the word "threads," itself */
    if (!threads)
        snprintf(text, size, "%s", backend->description);
    else
        snprintf(text, size, "%.*s%s", (int)(from - backend->description), backend->description, to + strspn(to, " "));
}

static void write_data(const struct dataset *dataset, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        char *set = checkpoint_data_text(&dataset->digest, i);
        if (set && used < size) used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "", set);
        free(set);
    }
}

static void fill_ticket(struct ticket *ticket, const struct comm *comm, bool ready, const struct dataset *dataset,
                        const struct backend *backend, const struct status *status)
{
    *ticket = (struct ticket){.ready = ready, .code = ready ? 0 : (int)status->code};
    snprintf(ticket->host, sizeof ticket->host, "%s", comm->host);
    snprintf(ticket->fact[FACT_VERSION], sizeof *ticket->fact, "%s", TRAINER_VERSION);
    if (!ready) snprintf(ticket->message, sizeof ticket->message, "%s", status->message);
    if (!ready || !backend) return;
    snprintf(ticket->gpu, sizeof ticket->gpu, "%s", backend->pci_bus_id);
    describe_device(backend, ticket->fact[FACT_DEVICE], sizeof *ticket->fact);
    snprintf(ticket->fact[FACT_LIBC], sizeof *ticket->fact, "glibc %s", gnu_get_libc_version());
    write_data(dataset, ticket->fact[FACT_DATA], sizeof *ticket->fact);
}

/* Finds the first rank that is not ready. */
static bool find_unready(const struct ticket *tickets, int size, struct status *status)
{
    for (int r = 0; r < size; r++) {
        if (tickets[r].ready) continue;
        enum status_code code = (enum status_code)tickets[r].code;
        if (r == 0) return !status_fail(status, code, "%s", tickets[r].message);
        return !status_fail(status, code, "rank %d (%s): %s", r, tickets[r].host, tickets[r].message);
    }
    return false;
}

/* Finds the first rank that differs from rank 0 in one of these facts. */
static bool find_difference(const struct ticket *tickets, int size, enum fact first, enum fact last,
                            struct status *status)
{
    for (enum fact f = first; f <= last; f++)
        for (int r = 1; r < size; r++)
            if (strcmp(tickets[r].fact[f], tickets[0].fact[f]) != 0)
                return !status_fail(status, STATUS_USAGE, "rank %d (%s) %s%s, rank 0 (%s) %s%s: %s", r, tickets[r].host,
                                    facts[f].what, tickets[r].fact[f], tickets[0].host, facts[f].what,
                                    tickets[0].fact[f], facts[f].advice);
    return false;
}

/* Finds the first rank whose GPU one before it has too. */
static bool find_sharer(const struct ticket *tickets, int size, struct status *status)
{
    for (int r = 1; r < size; r++)
        for (int other = 0; other < r && tickets[r].gpu[0]; other++)
            if (strcmp(tickets[other].gpu, tickets[r].gpu) == 0 && strcmp(tickets[other].host, tickets[r].host) == 0)
                return !status_fail(status, STATUS_USAGE,
                                    "ranks %d and %d have the same GPU, %s of %s: expected one for each rank", other, r,
                                    tickets[r].gpu, tickets[r].host);
    return false;
}

bool ranks_agree(struct comm *comm, bool ready, const struct dataset *dataset, const struct backend *backend,
                 struct status *status)
{
    struct ticket *tickets = memory_alloc((size_t)comm->size, sizeof *tickets);
    fill_ticket(&tickets[comm->rank], comm, ready, dataset, backend, status);
    bool good = comm_gather(comm, tickets, sizeof *tickets, "what each rank computes with", status) &&
                !find_difference(tickets, comm->size, FACT_VERSION, FACT_VERSION, status) &&
                !find_unready(tickets, comm->size, status) &&
                !find_difference(tickets, comm->size, FACT_DEVICE, FACT_DATA, status) &&
                !find_sharer(tickets, comm->size, status);
    free(tickets);
    return good;
}

bool ranks_create_backend(struct backend **backend, const struct experiment *experiment, const struct comm *comm,
                          struct status *status)
{
    struct experiment shared = *experiment;
    if (comm && shared.backend.threads == 0) shared.backend.threads = comm_core_share(comm);
    char *crowd = comm && comm->rank == 0 ? comm_describe_crowd(comm, (int)experiment->backend.threads) : NULL;
    if (crowd) warning_print("%s", crowd);
    free(crowd);
    return backend_from_experiment_for_rank(backend, &shared, comm ? comm_local_rank(comm) : 0, status);
}

bool ranks_share_experiment(struct comm *comm, bool loaded, struct experiment *experiment, struct status *status)
{
    char *text = loaded && comm->rank == 0 ? experiment_text(experiment) : NULL;
    int64_t size = text ? (int64_t)strlen(text) + 1 : 0;
    struct status broken;
    bool good = comm_broadcast(comm, &size, sizeof size, "the config", &broken);
    if (good && size > 0 && !text) text = memory_alloc((size_t)size, 1);
    good = good && (size == 0 || comm_broadcast(comm, text, (size_t)size, "the config", &broken));
    if (!good) *status = broken;
    if (good && size == 0 && comm->rank > 0) good = status_fail(status, STATUS_USAGE, "rank 0 has no config");
    bool read = good && size > 0;
    if (read && comm->rank > 0) read = experiment_load_saved(experiment, "the config of rank 0", text, NULL, 0, status);
    free(text);
    if (!good || size == 0) return false;
    if (ranks_agree(comm, read, NULL, NULL, status)) return true;
    if (read) experiment_free(experiment);
    return false;
}
