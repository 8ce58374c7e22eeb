/* Ranks: processes of one run, each with a number, that send memory to one another. Whatever ranks do together is an
 * exchange: every rank takes part in the same exchanges in the same order, and each is a list of messages. What is sent is
 * bytes, as they lie in memory, and nothing here adds them up.
 *
 * Nothing waits without a deadline. An exchange that is not done in time is an error that names the rank which is missing,
 * and after any error the ranks are of no use any more: comm_abort ends them.
 *
 * The transports are MPI, in a module of its own (mpi/comm_mpi.c), and for tests the threads of one process
 * (comm_threads.h). */
#ifndef COMM_H
#define COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/status.h"

enum { COMM_HOST = 64, COMM_MOST_RANKS = 4096 };

/* What one rank sends another, and gets from it, in an exchange. Both may be of 0 bytes: then nothing goes that way. */
struct comm_message {
    int rank; /* the other one */
    const void *send;
    size_t send_bytes;
    void *receive;
    size_t receive_bytes;
};

struct comm;

/* A transport. One exchange is on its way at a time. */
struct comm_table {
    void (*start)(struct comm *comm, int tag, const struct comm_message *messages, int count);
    /* Moves the exchange on, perhaps waiting some milliseconds. Returns true once all messages are done. */
    bool (*test)(struct comm *comm);
    bool (*is_done)(struct comm *comm, int message); /* of the exchange that `test` called unfinished */
    void (*abort)(struct comm *comm, int code);      /* ends every rank; with processes it does not return */
    void (*destroy)(struct comm *comm);              /* frees it too; after the last exchange, which was no failure */
};

struct comm {
    const struct comm_table *table;
    void *transport;      /* the table's own */
    int rank, size;       /* of ranks 0 .. size-1 */
    double timeout;       /* seconds that an exchange may take; 0: for ever */
    int64_t exchanges;    /* that were started */
    bool broken;          /* one failed; no other may follow */
    char host[COMM_HOST]; /* name of the machine */
    char name[64];        /* of the transport for people, "Open MPI 4.1.4" */
};

/* Starts an exchange, and finishes it. Messages stay the caller's until it is done. An error (STATUS_RUNTIME) is one of time;
 * it says which rank is missing, and `what` was exchanged. */
void comm_start(struct comm *comm, const struct comm_message *messages, int count);
bool comm_finish(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                 struct status *status);
bool comm_exchange(struct comm *comm, const struct comm_message *messages, int count, const char *what,
                   struct status *status);

/* Every rank gives `bytes` of its own at parts + rank * bytes, and gets those of all others at their places. */
bool comm_gather(struct comm *comm, void *parts, size_t bytes, const char *what, struct status *status);

/* Every rank gets what is in rank 0's memory. */
bool comm_broadcast(struct comm *comm, void *data, size_t bytes, const char *what, struct status *status);

/* Ends all ranks with this exit code, after a failure. NULL is allowed: then it does nothing. */
void comm_abort(struct comm *comm, int code);
void comm_destroy(struct comm *comm); /* NULL is allowed */

/* True where a launcher (mpirun, srun) has started this process as one of several. */
bool comm_is_launched(void);

/* Joins the other processes of the launcher. *comm is NULL where there is no launcher, or one process alone. The errors
 * (STATUS_USAGE) say what is missing: a build without MPI, another MPI's launcher, srun without PMIx; on all processes but
 * the first they have no message, so that it is printed once. Destroy with comm_destroy. */
bool comm_create(struct comm **comm, struct status *status);

#endif
