/* Opens regular files and refuses everything else (file_regular.h). */
#include "util/file_regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_mode(mode_t mode, const char *path, struct status *status)
{
    if (S_ISREG(mode)) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: %s, expected a file", path,
                       S_ISDIR(mode) ? "is a folder" : "not a regular file");
}

bool file_regular_open(int *descriptor, int64_t *size, const char *path, struct status *status)
{
    struct stat info;
    /* O_NONBLOCK: a pipe without a writer is opened at once, and then refused. The flag means nothing for a regular
     * file. */
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*descriptor < 0) return status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    bool known = fstat(*descriptor, &info) == 0 ||
                 status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    if (known && check_mode(info.st_mode, path, status)) return *size = info.st_size, true;
    close(*descriptor);
    *descriptor = -1;
    return false;
}

FILE *file_regular_stream(const char *path, int64_t *size, struct status *status)
{
    int descriptor;
    if (!file_regular_open(&descriptor, size, path, status)) return NULL;
    FILE *file = fdopen(descriptor, "rb");
    if (file) return file;
    status_fail(status, STATUS_RUNTIME, "%s: cannot open: %s", path, strerror(errno));
    close(descriptor);
    return NULL;
}

bool file_regular_check(const char *path, struct status *status)
{
    struct stat info;
    return stat(path, &info) != 0 || check_mode(info.st_mode, path, status);
}
