/* The names and the locks of the cache of pictures (picture_cache.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "picture_cache.h"
#include "util/cache_folder.h"
#include "util/memory.h"
#include "util/sha256.h"
#include "util/warning.h"

enum { NAME_DIGITS = 32 };

/* Returns all that decides which pictures there are and what they are made into, in a new string. */
static char *describe(const struct dataset_source *source)
{
    char path[PATH_MAX];
    const uint8_t *background = source->pictures.background;
    const char *known = realpath(source->path, path) ? path : source->path;
    return memory_format("%s\n%s\n%lldx%lldx%lld fit %d background %d %d %d\n", known,
                         source->pictures.folder ? source->pictures.folder : "", (long long)source->pictures.channels,
                         (long long)source->pictures.height, (long long)source->pictures.width,
                         (int)source->pictures.fit, background[0], background[1], background[2]);
}

static bool make_name(char digits[SHA256_DIGITS + 1], const struct dataset_source *source, struct status *status)
{
    char *text = describe(source);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, text, strlen(text));
    free(text);
    return sha256_finish(&hash, digits, status);
}

char *picture_cache_path(const struct dataset_source *source, struct status *status)
{
    char digits[SHA256_DIGITS + 1];
    char *folder = cache_folder_create(status);
    if (!folder) return NULL;
    char *path = make_name(digits, source, status) ? memory_format("%s/%.*s.pack", folder, NAME_DIGITS, digits) : NULL;
    free(folder);
    return path;
}

/* --- the lock --- */

static bool try_lock(int lock, int operation)
{
    int result;
    do {
        result = flock(lock, operation);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Removes the parts of files that writers left when they were killed. Who holds the lock is the only one that writes. */
static void remove_parts(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    size_t length = strlen(name);
    char *folder = memory_format("%.*s", (int)(name - path), path);
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t size = strlen(entry->d_name);
        if (size > length + 5 && strncmp(entry->d_name, name, length) == 0 && entry->d_name[length] == '.' &&
            strcmp(entry->d_name + size - 5, ".part") == 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries) closedir(entries);
    free(folder);
}

int picture_cache_lock(const char *path)
{
    char *name = memory_format("%s.lock", path);
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(name);
    if (lock < 0) return -1; /* the file cannot be written either, and its error says why */
    bool locked = try_lock(lock, LOCK_EX | LOCK_NB);
    if (!locked && errno == EWOULDBLOCK) {
        warning_print("another process decodes these pictures; waiting for it");
        locked = try_lock(lock, LOCK_EX);
    }
    if (locked) {
        remove_parts(path);
        return lock;
    }
    close(lock);
    return -1;
}
