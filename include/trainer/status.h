/* Errors that a user can cause: a config, a file, a missing device, a full disk.
 *
 * A function of the library that can meet one returns false (or NULL) and fills `status` with one line, which names the
 * cause and what was expected. `status` may be NULL. A programmer's errors, as a NULL where none is allowed, stop the
 * program, and so does memory that does not suffice (exit code TRAINER_RUNTIME). Lines on what is odd and stops nothing
 * go to the standard error. */
#ifndef TRAINER_STATUS_H
#define TRAINER_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The values are the exit codes of the program `trainer`. */
enum trainer_status_code {
    TRAINER_OK = 0,
    TRAINER_RUNTIME = 1,  /* the run failed: a data file, the disk, the device */
    TRAINER_USAGE = 2,    /* the config or an argument is wrong */
    TRAINER_STOPPED = 3,  /* a signal stopped the run, which is saved */
    TRAINER_DIVERGED = 4, /* a loss, a gradient or a weight is not finite */
};

/* Room for two paths and words about them. */
enum { TRAINER_MESSAGE_SIZE = 3 * 4096 };

struct trainer_status {
    enum trainer_status_code code;
    char message[TRAINER_MESSAGE_SIZE]; /* one line, no newline at the end; "" where the code is TRAINER_OK */
};

#ifdef __cplusplus
}
#endif

#endif
