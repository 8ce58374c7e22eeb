/* Locks open files and folders (file_lock.h). */
#include "util/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/warning.h"

/* Network and FUSE file systems without locks say one of these. */
static bool knows_no_locks(int error)
{
    return error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS;
}

bool file_lock(const char *path, int descriptor, const char *refusal, const char *second, struct status *status)
{
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
    int cause = errno;
    if (cause == EWOULDBLOCK) return status_fail(status, STATUS_RUNTIME, "%s: %s", path, refusal);
    if (!knows_no_locks(cause))
        return status_fail(status, STATUS_RUNTIME, "%s: cannot lock: %s", path, strerror(cause));
    warning_print("%s: this file system has no locks (%s), so %s would not be noticed", path, strerror(cause), second);
    return true;
}

bool file_is_locked(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    bool locked = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(descriptor);
    return locked;
}
