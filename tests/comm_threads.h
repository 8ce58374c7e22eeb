/* Ranks that are threads of this process, for tests: what ranks do together then runs under sanitizers and debuggers, without
 * MPI. A rank can be made to die, which the others then notice by their deadlines. */
#ifndef COMM_THREADS_H
#define COMM_THREADS_H

#include "comm/comm.h"

struct comm_threads;

/* Makes the ranks of a group, at most COMM_THREADS_MOST. A thread uses one of them. */
enum { COMM_THREADS_MOST = 64 };
struct comm_threads *comm_threads_create(int size);
struct comm *comm_threads_rank(struct comm_threads *threads, int rank);
void comm_threads_destroy(struct comm_threads *threads); /* once no thread uses a rank any more */

/* Lets the rank take no part in exchanges from its number `exchange` on: what it starts is never sent. */
void comm_threads_kill(struct comm_threads *threads, int rank, int64_t exchange);

#endif
