/* Ranks: processes of one run, each with a number, that send memory to one another. Whatever ranks do together is an
 * exchange: every rank begins the same exchanges in the same order, and each is a list of messages. Several may be on their
 * way at once. What is sent is bytes, as they lie in memory, and nothing here adds them up.
 *
 * Nothing waits without a deadline. An exchange that is not done in time is an error that names the rank which is missing,
 * and after any error the ranks are of no use any more: comm_abort ends them.
 *
 * The transports are MPI, in a module of its own (mpi/comm_mpi.c), and for tests the threads of one process
 * (comm_threads.h). A backend may have one more, whose messages lie in the memory of its devices (backend_table.connect). */
#ifndef COMM_H
#define COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

enum { COMM_HOST = 64, COMM_NAME = 64, COMM_MOST_RANKS = 4096, COMM_MASK = 128 };

/* Where a rank runs. */
struct comm_place {
    char host[COMM_HOST];          /* name of the machine */
    int cores;                     /* that the rank may use */
    int launcher_cores;            /* that the process which started the rank may use */
    unsigned char mask[COMM_MASK]; /* the rank's cores, a bit for each; zeros where there are more than 1,024 */
};

/* What one rank sends another, and gets from it, in an exchange. Both may be of 0 bytes: then nothing goes that way. */
struct comm_message {
    int rank; /* the other one */
    const void *send;
    size_t send_bytes;
    void *receive;
    size_t receive_bytes;
};

/* An exchange on its way, from comm_start to comm_finish. */
struct comm_exchange {
    const struct comm_message *messages; /* the caller's */
    int count;
    int tag;
    bool done;
    void *state; /* the transport's own, until it is done */
};

struct comm;

/* The tag of the exchange after one that is late, in which ranks say that they live; those of all others are below it. */
enum { COMM_TAG_ROLL = (1 << 15) - 1 }; /* the greatest that MPI promises */

/* A transport, for exchanges of one message or more. */
struct comm_table {
    void (*start)(struct comm *comm, struct comm_exchange *exchange); /* sets its state */
    /* Moves this exchange on, and with it the others, without waiting. Returns true once all its messages are done; then the
     * state is freed. */
    bool (*test)(struct comm *comm, struct comm_exchange *exchange);
    bool (*is_done)(struct comm *comm, struct comm_exchange *exchange, int message); /* of one that is not done */
    /* Lets some milliseconds pass at most, for a caller who has nothing to do before an exchange is done. `tests` is how
     * often it has asked in vain. */
    void (*pause)(struct comm *comm, int tests);
    void (*abort)(struct comm *comm, int code); /* ends every rank; with processes it does not return */
    /* Optional. Returns why no exchange of this comm will be done any more, in words for people; NULL: nothing is known. */
    const char *(*failure)(struct comm *comm);
    /* Frees it too; after the last exchange, which was no failure unless the comm has a parent. */
    void (*destroy)(struct comm *comm);
};

struct comm {
    const struct comm_table *table;
    void *transport; /* the table's own */
    /* Of a comm between devices: that of the ranks themselves, which outlives it. By it ranks find out which one is missing,
     * and it is broken with this one. The table's `abort` only gives up what is on its way. Else NULL. */
    struct comm *parent;
    int rank, size;             /* of ranks 0 .. size-1 */
    double timeout;             /* seconds that an exchange may take; 0: for ever */
    int64_t exchanges;          /* that were started */
    bool broken;                /* one failed; no other may follow */
    bool reports;               /* after that: this rank is the first of those that know of it */
    bool crowded;               /* a core of this rank has other ranks too: then a wait leaves it to them soon */
    char roll[COMM_MOST_RANKS]; /* what is sent with COMM_TAG_ROLL */
    struct comm_place *places;  /* of all ranks, where comm_create made this; else NULL */
    char host[COMM_HOST];       /* name of the machine */
    char name[64];              /* of the transport for people, "Open MPI 4.1.4" */
};

/* Starts an exchange, and waits until it is done. Messages, and the struct itself, stay the caller's until then. An error
 * (STATUS_RUNTIME) is one of time; it says which rank is missing, and `what` was exchanged. A rank that only waits for the
 * missing one, as this one does, is not meant: a late exchange takes up to 2 s more, in which ranks tell one another that
 * they live. */
void comm_start(struct comm *comm, struct comm_exchange *exchange, const struct comm_message *messages, int count);
bool comm_finish(struct comm *comm, struct comm_exchange *exchange, const char *what, struct status *status);

/* Moves an exchange on that was started, without waiting for it. */
void comm_move(struct comm *comm, struct comm_exchange *exchange);

/* Both in one. */
bool comm_exchange(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                   struct status *status);

/* Every rank gives `bytes` of its own at parts + rank * bytes, and gets those of all others at their places. */
bool comm_gather(struct comm *comm, void *parts, size_t bytes, const char *what, struct status *status);

/* Every rank gets what is in rank 0's memory. */
bool comm_broadcast(struct comm *comm, void *data, size_t bytes, const char *what, struct status *status);

/* comm_places.c: every rank tells all others where it runs, which fills `places` and `crowded`. */
bool comm_learn_places(struct comm *comm, struct status *status);

/* Returns where the ranks are in a new string, "4 ranks on 2 hosts (node-a: 0-1, node-b: 2-3)", or "4 ranks" where that is
 * not known. */
char *comm_describe(const struct comm *comm);

/* True where all ranks are known to be on one machine. */
bool comm_is_local(const struct comm *comm);

/* Returns the number of cores that this rank has where the ranks share those that they may use evenly, at least 1; 0: that is
 * not known. */
int comm_core_share(const struct comm *comm);

/* Returns the number of this rank among those of its machine, from 0 on. */
int comm_local_rank(const struct comm *comm);

/* Returns a line about ranks of `threads` threads (0: as many as comm_core_share) that have too few cores, or NULL. */
char *comm_describe_crowd(const struct comm *comm, int threads);

/* Ends all ranks with this exit code, after a failure. NULL is allowed: then it does nothing. */
void comm_abort(struct comm *comm, int code);
void comm_destroy(struct comm *comm); /* NULL is allowed */

/* Lets rank 0 be the one that reports a failure which all processes of a launcher have: on the others it takes the message
 * away, after a pause in which rank 0 can print it, since a launcher ends the rest with the first that fails. Returns
 * false. Does nothing where no launcher is. */
bool comm_leave_report(struct status *status);

/* Joins the other processes of the launcher. *comm is NULL where there is no launcher, or one process alone. The errors
 * (STATUS_USAGE) say what is missing: a build without MPI, another MPI's launcher, srun without PMIx; they are
 * reported once (comm_leave_report). Destroy with comm_destroy. */
bool comm_create(struct comm **comm, struct status *status);

/* Returns the name of the transport that comm_create would start, or in *problem why there is none; the other is NULL. Both are
 * new strings. */
char *comm_transport_name(char **problem);

#endif
