#include "util/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/file_lock.h"
#include "util/memory.h"

/* --- making --- */

bool folder_create_last(const char *path, struct status *status)
{
    struct stat info;
    if (mkdir(path, 0777) == 0) return true;
    int cause = errno;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) return true;
        return status_fail(status, STATUS_RUNTIME, "%s: is a file, but a folder is to be made there", path);
    }
    return status_fail(status, STATUS_RUNTIME, "%s: cannot create the folder: %s", path, strerror(cause));
}

bool folder_create(const char *path, struct status *status)
{
    char *copy = memory_copy_string(path);
    bool created = true;
    for (char *end = copy + 1; created && *copy && *end; end++) {
        if (*end != '/') continue;
        *end = '\0';
        created = folder_create_last(copy, status);
        *end = '/';
    }
    created = created && folder_create_last(copy, status);
    free(copy);
    return created;
}

/* --- locking --- */

static bool is_same(const char *path, int lock)
{
    struct stat there, held;
    return stat(path, &there) == 0 && fstat(lock, &held) == 0 && there.st_dev == held.st_dev &&
           there.st_ino == held.st_ino;
}

/* Opens the folder, which need not be there. */
static bool make_and_open(const char *path, int *lock, struct status *status)
{
    if (!folder_create(path, status)) return false;
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *lock >= 0 || status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
}

static bool lock_descriptor(const char *path, const char *what, int descriptor, struct status *status)
{
    char *refusal = memory_format("another %s is running in this folder", what);
    char *second = memory_format("a second %s in this folder", what);
    bool locked = file_lock(path, descriptor, refusal, second, status);
    free(refusal), free(second);
    return locked;
}

static bool open_and_lock(const char *path, const char *what, int *lock, struct status *status)
{
    if (!make_and_open(path, lock, status)) return false;
    if (lock_descriptor(path, what, *lock, status)) return true;
    folder_unlock(lock);
    return false;
}

bool folder_lock(const char *path, const char *what, int *lock, struct status *status)
{
    enum { ATTEMPTS = 100 };
    *lock = -1;
    for (int i = 0; i < ATTEMPTS; i++) {
        if (!open_and_lock(path, what, lock, status)) return false;
        if (is_same(path, *lock)) return true;
        folder_unlock(lock); /* another process removed the folder after it was opened here */
    }
    return status_fail(status, STATUS_RUNTIME, "%s: cannot lock: other processes go on removing the folder", path);
}

bool folder_hold(const char *path, int *lock, struct status *status)
{
    *lock = -1;
    return make_and_open(path, lock, status);
}

void folder_unlock(int *lock)
{
    if (*lock >= 0) close(*lock);
    *lock = -1;
}

/* Where the locked folder is now, in a new string; NULL where it is removed, or where the system does not tell. */
static char *find_place(int lock)
{
    struct stat held;
    char place[PATH_MAX + 1];
    if (fstat(lock, &held) != 0 || held.st_nlink == 0) return NULL;
    char *link = memory_format("/proc/self/fd/%d", lock);
    ssize_t length = readlink(link, place, PATH_MAX);
    free(link);
    if (length <= 0) return NULL;
    place[length] = '\0';
    return is_same(place, lock) ? memory_copy_string(place) : NULL;
}

bool folder_check(const char *path, const char *what, int lock, struct status *status)
{
    if (is_same(path, lock)) return true;
    char *place = find_place(lock);
    char *fate = place ? memory_format("moved to %s", place) : memory_copy_string("removed or replaced");
    status_fail(status, STATUS_RUNTIME, "%s: the folder of this %s was %s while it was going on, so it ends here", path,
                what, fate);
    free(fate);
    free(place);
    return false;
}

/* --- whose it is --- */

/* Whether the file is the standard output or the standard error of this process. */
static bool is_own_output(const char *folder, const char *name)
{
    struct stat file, stream;
    char *path = memory_format("%s/%s", folder, name);
    bool known = stat(path, &file) == 0, own = false;
    free(path);
    for (int i = STDOUT_FILENO; known && i <= STDERR_FILENO; i++)
        own = own || (fstat(i, &stream) == 0 && stream.st_dev == file.st_dev && stream.st_ino == file.st_ino);
    return own;
}

/* Takes the name that comes first in the alphabet, so that the message does not depend on the file system. */
static void keep_first(char **first, const char *name)
{
    if (*first && strcmp(*first, name) <= 0) return;
    free(*first);
    *first = memory_copy_string(name);
}

bool folder_check_marks(const char *path, const char *what, bool (*is_mark)(const char *folder, const char *name),
                        struct status *status)
{
    char *foreign = NULL;
    bool marked = false;
    DIR *entries = opendir(path);
    for (const struct dirent *entry; entries && !marked && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        marked = is_mark(path, entry->d_name);
        if (!marked && !is_own_output(path, entry->d_name)) keep_first(&foreign, entry->d_name);
    }
    bool known = entries != NULL;
    if (entries) closedir(entries);
    if (!known) status_fail(status, STATUS_RUNTIME, "%s: cannot read the folder: %s", path, strerror(errno));
    bool good = known && (marked || !foreign);
    if (known && !good)
        status_fail(status, STATUS_USAGE,
                    "%s: is not the folder of a %s: it holds \"%s\" and nothing of a %s; choose a new or empty folder "
                    "with --out FOLDER",
                    path, what, foreign, what);
    free(foreign);
    return good;
}
