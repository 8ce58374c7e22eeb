/* Writes files that appear whole or not at all (file_atomic.h). */
#include "util/file_atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "util/memory.h"

/* Reports the error and discards the file. */
static bool fail(struct file_atomic *file, const char *what, struct status *status)
{
    status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", file->path, what, strerror(errno));
    file_atomic_discard(file);
    return false;
}

/* --- parts that are being written --- */

/* Where one thread ends the process, others may be writing: their parts go then too. */
struct open_part {
    char *part;
    pid_t owner; /* a child process leaves its parent's parts alone */
    struct open_part *next;
};

static struct open_part *open_parts;
static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;

/* The mutex stays locked, so that no other thread begins a part any more. */
static void remove_open_parts(void)
{
    pthread_mutex_lock(&open_mutex);
    for (const struct open_part *at = open_parts; at; at = at->next)
        if (at->owner == getpid()) unlink(at->part);
}

static void register_removal(void)
{
    atexit(remove_open_parts);
}

/* Opens the part and lists it. Memory is taken outside of the lock, because a lack of it ends the process. */
static int open_part(const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct open_part *listed = memory_alloc(1, sizeof *listed);
    *listed = (struct open_part){.part = memory_copy_string(path), .owner = getpid()};
    pthread_once(&once, register_removal);
    pthread_mutex_lock(&open_mutex);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), cause = errno;
    listed->next = open_parts;
    open_parts = listed;
    pthread_mutex_unlock(&open_mutex);
    errno = cause;
    return descriptor;
}

/* Takes a part off the list, if it is there. */
static void forget_part(const char *path)
{
    struct open_part *found = NULL;
    pthread_mutex_lock(&open_mutex);
    for (struct open_part **at = &open_parts; *at && !found; at = &(*at)->next)
        if (strcmp((*at)->part, path) == 0) {
            found = *at;
            *at = found->next;
            break;
        }
    pthread_mutex_unlock(&open_mutex);
    if (found) free(found->part);
    free(found);
}

static void release(struct file_atomic *file)
{
    if (file->part) forget_part(file->part);
    free(file->path);
    free(file->part);
    *file = (struct file_atomic){.descriptor = -1};
}

static uint32_t token;

static void draw_token(void)
{
    struct timespec now;
    if (getrandom(&token, sizeof token, GRND_NONBLOCK) == sizeof token) return;
    clock_gettime(CLOCK_REALTIME, &now);
    token = (uint32_t)now.tv_nsec;
}

/* Names the part. Two processes may write to one place at once, also from two machines or containers that share a folder,
 * where they may have the same number; so a random one stands beside it. */
static char *name_part(const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_token);
    return memory_format("%s.%ld-%08" PRIx32 ".part", path, (long)getpid(), token);
}

bool file_atomic_open(struct file_atomic *file, const char *path, struct status *status)
{
    *file = (struct file_atomic){.path = memory_copy_string(path), .part = name_part(path)};
    while ((file->descriptor = open_part(file->part)) < 0 && errno == EINTR) forget_part(file->part);
    if (file->descriptor >= 0) return true;
    status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", path, strerror(errno));
    release(file);
    return false;
}

bool file_atomic_write(struct file_atomic *file, const void *bytes, size_t size, struct status *status)
{
    const char *from = bytes;
    while (size > 0) {
        ssize_t written = write(file->descriptor, from, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(file, "write", status);
        from += written;
        size -= (size_t)written;
    }
    return true;
}

bool file_atomic_write_at(const struct file_atomic *file, const void *bytes, size_t size, int64_t place,
                          struct status *status)
{
    const char *from = bytes;
    while (size > 0) {
        ssize_t written = pwrite(file->descriptor, from, size, place);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0)
            return status_fail(status, STATUS_RUNTIME, "%s: cannot write: %s", file->path, strerror(errno));
        from += written;
        place += written;
        size -= (size_t)written;
    }
    return true;
}

static bool sync_descriptor(int descriptor)
{
    int result;
    do {
        result = fsync(descriptor);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Brings the folder's entry for the file to the disk. Some file systems cannot do that and return EINVAL. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? memory_format("%.*s", slash > path ? (int)(slash - path) : 1, path) : memory_copy_string(".");
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = descriptor >= 0 && (sync_descriptor(descriptor) || errno == EINVAL);
    int cause = errno;
    if (descriptor >= 0) close(descriptor);
    free(folder);
    errno = cause;
    return synced;
}

bool file_atomic_commit(struct file_atomic *file, struct status *status)
{
    if (!sync_descriptor(file->descriptor)) return fail(file, "write", status);
    int closed = close(file->descriptor);
    file->descriptor = -1;
    /* After EINTR the descriptor is closed all the same, and the data is on the disk. */
    if (closed != 0 && errno != EINTR) return fail(file, "write", status);
    if (rename(file->part, file->path) != 0) return fail(file, "rename the finished file", status);
    bool synced =
        sync_folder(file->path) ||
        status_fail(status, STATUS_RUNTIME, "%s: cannot bring its folder to the disk: %s", file->path, strerror(errno));
    release(file);
    return synced;
}

void file_atomic_discard(struct file_atomic *file)
{
    if (!file->part) return;
    if (file->descriptor >= 0) close(file->descriptor);
    unlink(file->part);
    release(file);
}

bool file_atomic_print(const char *path, void (*write_body)(const void *body, FILE *out), const void *body,
                       struct status *status)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool printed = memory != NULL;
    if (printed) {
        write_body(body, memory);
        printed = !ferror(memory);
        printed = fclose(memory) == 0 && printed && text; /* glibc may leave no text and report no error */
    }
    struct file_atomic file;
    bool written = printed ? file_atomic_open(&file, path, status) && file_atomic_write(&file, text, size, status) &&
                                 file_atomic_commit(&file, status)
                           : status_fail(status, STATUS_RUNTIME, "%s: cannot write: out of memory", path);
    free(text);
    return written;
}
