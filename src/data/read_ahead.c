#include "read_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data_private.h"
#include "util/check.h"
#include "util/machine.h"
#include "util/memory.h"

enum {
    ROWS_AT_ONCE = 32,      /* rows that are asked for between two looks at the place */
    BYTES_AHEAD = 32 << 20, /* at most; an eighth of the memory where that is less */
    LEAST_AHEAD = 2048,     /* samples, so that there is something to order; fewer where they fill the memory */
    PROBES = 512,           /* images whose presence in memory is looked up for an epoch */
};

struct read_ahead {
    const struct image_set *set;
    int64_t sample, ahead; /* bytes of an image; samples that are asked for before they are needed */
    void *file;            /* the whole mapping */
    size_t file_size;
    bool larger_than_memory;
    pthread_t thread;
    pthread_mutex_t mutex; /* over all below */
    pthread_cond_t changed;
    int32_t *order;      /* (set->count) */
    int64_t place, next; /* in the order: where training is; what is asked for next */
    bool works, ends;
};

/* --- the pages of an image --- */

/* Gives the pages that hold a sample's pixels. */
static void *pages_of(const struct read_ahead *ahead, int64_t sample, size_t *size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)image_set_pixels(ahead->set, sample, ahead->sample);
    uintptr_t start = from / page * page;
    *size = (size_t)(from + (uintptr_t)ahead->sample - start);
    return (void *)start;
}

static void ask_for(const struct read_ahead *ahead, int64_t sample)
{
    size_t size;
    void *pages = pages_of(ahead, sample, &size);
    (void)madvise(pages, size, MADV_WILLNEED); /* advice: where it fails, the step reads the pages itself */
}

static bool is_present(const struct read_ahead *ahead, int64_t sample)
{
    size_t size;
    unsigned char present = 0;
    void *pages = pages_of(ahead, sample, &size);
    return mincore(pages, 1, &present) == 0 && (present & 1);
}

/* Tells whether anything is to be read from the disk, by some of the samples. The kernel says of a file of another user
 * that all of it is there, so that a large one is always read ahead. */
static bool is_needed(const struct read_ahead *ahead)
{
    int64_t count = ahead->set->count, probes = count < PROBES ? count : PROBES;
    if (ahead->larger_than_memory) return true;
    for (int64_t i = 0; i < probes; i++)
        if (!is_present(ahead, i * count / probes)) return true;
    return false;
}

/* --- the thread --- */

/* Waits until there are samples to ask for, and takes some; their number, or 0: the thread is to end. */
static int64_t take_samples(struct read_ahead *ahead, int32_t samples[ROWS_AT_ONCE])
{
    int64_t count = 0;
    pthread_mutex_lock(&ahead->mutex);
    while (!ahead->ends && count == 0) {
        int64_t end = ahead->place + ahead->ahead;
        if (end > ahead->set->count) end = ahead->set->count;
        if (ahead->next < ahead->place) ahead->next = ahead->place;
        while (ahead->works && count < ROWS_AT_ONCE && ahead->next < end)
            samples[count++] = ahead->order[ahead->next++];
        if (count == 0) pthread_cond_wait(&ahead->changed, &ahead->mutex);
    }
    if (ahead->ends) count = 0;
    pthread_mutex_unlock(&ahead->mutex);
    return count;
}

static void *read_samples(void *argument)
{
    struct read_ahead *ahead = argument;
    int32_t samples[ROWS_AT_ONCE];
    for (int64_t count; (count = take_samples(ahead, samples)) > 0;)
        for (int64_t i = 0; i < count; i++) ask_for(ahead, samples[i]);
    return NULL;
}

/* --- from outside --- */

/* Returns the mapping that holds the set's pixels, or NULL: they are in memory. */
static const struct dataset_memory *find_mapping(const struct dataset *dataset, const struct image_set *set)
{
    for (int i = 0; i < dataset->memory_count; i++) {
        const struct dataset_memory *memory = &dataset->memory[i];
        uintptr_t start = (uintptr_t)memory->address, pixels = (uintptr_t)set->pixels;
        if (memory->mapped > 0 && pixels >= start && pixels - start < memory->mapped) return memory;
    }
    return NULL;
}

bool image_set_is_mapped(const struct dataset *dataset, const struct image_set *set)
{
    return set->count > 0 && find_mapping(dataset, set) != NULL;
}

static int64_t count_ahead(const struct read_ahead *ahead, int64_t memory)
{
    int64_t bytes = memory / 8 < BYTES_AHEAD ? memory / 8 : BYTES_AHEAD, count = bytes / ahead->sample;
    int64_t most = memory / 4 / ahead->sample; /* more would be gone again before it is needed */
    if (count < LEAST_AHEAD) count = LEAST_AHEAD < most ? LEAST_AHEAD : most;
    return count > 1 ? count : 1;
}

struct read_ahead *read_ahead_start(const struct dataset *dataset, const struct image_set *set)
{
    const struct dataset_memory *mapping = find_mapping(dataset, set);
    if (!mapping) return NULL;
    int64_t memory = machine_read("").memory;
    struct read_ahead *ahead = memory_alloc(1, sizeof *ahead);
    ahead->set = set;
    ahead->sample = dataset->channels * dataset->height * dataset->width;
    ahead->file = mapping->address, ahead->file_size = mapping->mapped;
    ahead->larger_than_memory = (int64_t)mapping->mapped > memory / 2;
    ahead->ahead = count_ahead(ahead, memory);
    ahead->order = memory_alloc((size_t)set->count, sizeof *ahead->order);
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    if (pthread_create(&ahead->thread, NULL, read_samples, ahead) == 0) return ahead;
    free(ahead->order);
    free(ahead);
    return NULL;
}

void read_ahead_stop(struct read_ahead *ahead)
{
    if (!ahead) return;
    pthread_mutex_lock(&ahead->mutex);
    ahead->ends = true;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
    CHECK(pthread_join(ahead->thread, NULL) == 0);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->mutex);
    free(ahead->order);
    free(ahead);
}

/* Says whether neighbours in the file are worth reading with an image that is missing. */
static void advise(const struct read_ahead *ahead, bool random)
{
    (void)madvise(ahead->file, ahead->file_size, random ? MADV_RANDOM : MADV_NORMAL);
}

void read_ahead_follow(struct read_ahead *ahead, const int32_t *order)
{
    if (!ahead) return;
    bool needed = is_needed(ahead);
    advise(ahead, needed);
    pthread_mutex_lock(&ahead->mutex);
    memcpy(ahead->order, order, (size_t)ahead->set->count * sizeof *order);
    ahead->place = ahead->next = 0;
    ahead->works = needed;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
}

void read_ahead_move(struct read_ahead *ahead, int64_t place)
{
    if (!ahead) return;
    pthread_mutex_lock(&ahead->mutex);
    ahead->place = place;
    if (ahead->works) pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
}

void read_ahead_rest(struct read_ahead *ahead, bool rests)
{
    if (!ahead) return;
    pthread_mutex_lock(&ahead->mutex);
    bool works = ahead->works;
    pthread_mutex_unlock(&ahead->mutex);
    if (works) advise(ahead, !rests);
}
