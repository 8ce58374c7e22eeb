/* Errors of the first kind, which a user can cause (a config, a file, a missing device, a full disk).
 *
 * A function that can meet one returns bool, true on success, and takes `struct status *status` as its last argument.
 * On failure it fills `status` once, with one line that names what was wrong and what was expected; its caller passes
 * the failure on untouched. Errors of the second kind, a programmer's, stop the program: see check.h. */
#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>

/* The values are the exit codes of the program. */
enum status_code {
    STATUS_OK = 0,
    STATUS_RUNTIME = 1,  /* the run failed: a data file, the disk, the device */
    STATUS_USAGE = 2,    /* the command line or the config is wrong */
    STATUS_STOPPED = 3,  /* a signal stopped the run, which is saved */
    STATUS_DIVERGED = 4, /* a loss, a gradient or a weight is not finite */
};

/* Room for two paths and words about them. */
enum { STATUS_MESSAGE_SIZE = 3 * 4096 };

struct status {
    enum status_code code;
    char message[STATUS_MESSAGE_SIZE]; /* one line, no newline at the end; cut to the size */
};

/* Fills `status` and returns false, so that a caller writes `return status_fail(status, ...)`. */
bool status_fail(struct status *status, enum status_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
