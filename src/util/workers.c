/* Does items of work in several threads (workers.h). A thread takes the next item when it is done with one, so that
 * large items among small ones keep no thread waiting. */
#include "util/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "util/machine.h"
#include "util/memory.h"

struct team {
    const struct workers_job *job;
    atomic_llong next, done;
};

static void *take_items(struct team *team, bool caller)
{
    const struct workers_job *job = team->job;
    for (int64_t item; (item = atomic_fetch_add(&team->next, 1)) < job->count;) {
        job->work(job->context, item);
        int64_t done = atomic_fetch_add(&team->done, 1) + 1;
        if (caller && job->watch) job->watch(job->context, done);
    }
    return NULL;
}

static void *help(void *team)
{
    return take_items(team, false);
}

void workers_run(const struct workers_job *job)
{
    struct team team = {.job = job};
    int64_t wanted = job->count > 1 ? machine_read("").cores : job->count, started = 0;
    if (wanted > job->count) wanted = job->count;
    pthread_t *threads = memory_alloc((size_t)wanted + 1, sizeof *threads);
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, help, &team) == 0) started++;
    take_items(&team, true);
    for (int64_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    free(threads);
}

void workers_error_note(struct workers_error *error, const struct status *status)
{
    pthread_mutex_lock(&error->mutex);
    if (!error->met) error->status = *status;
    error->met = true;
    pthread_mutex_unlock(&error->mutex);
}

bool workers_error_met(struct workers_error *error)
{
    pthread_mutex_lock(&error->mutex);
    bool met = error->met;
    pthread_mutex_unlock(&error->mutex);
    return met;
}
