/* Independent items of work done by all cores: files that are read, rows that are digested. What the items leave behind
 * must not depend on the order in which they are done. */
#ifndef UTIL_WORKERS_H
#define UTIL_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/status.h"

struct workers_job {
    int64_t count;
    void (*work)(void *context, int64_t item);  /* runs in several threads at once */
    void (*watch)(void *context, int64_t done); /* the calling thread tells it, after each of its items; NULL: nobody */
    void *context;
};

/* Does items 0 to count - 1 in as many threads as the process may use cores, the calling one among them. Threads that
 * the system does not give are done without. */
void workers_run(const struct workers_job *job);

/* The error that the first of several threads met. Starts as WORKERS_NO_ERROR. */
struct workers_error {
    pthread_mutex_t mutex;
    bool met;
    struct status status;
};
#define WORKERS_NO_ERROR                                                                                               \
    {                                                                                                                  \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                                             \
    }

void workers_error_note(struct workers_error *error, const struct status *status);
bool workers_error_met(struct workers_error *error); /* whether the other items need not be done any more */

#endif
