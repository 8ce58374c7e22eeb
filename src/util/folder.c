/* Creates folders and locks them (folder.h). */
#include "util/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/memory.h"

static bool create_one(const char *path, struct status *status)
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
        created = create_one(copy, status);
        *end = '/';
    }
    created = created && create_one(copy, status);
    free(copy);
    return created;
}

bool folder_lock(const char *path, const char *what, int *lock, struct status *status)
{
    if (!folder_create(path, status)) return false;
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0) return status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK)
        return status_fail(status, STATUS_RUNTIME, "%s: another %s is running in this folder", path, what);
    return status_fail(status, STATUS_RUNTIME, "%s: cannot lock: %s", path, strerror(errno));
}
