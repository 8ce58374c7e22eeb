/* Keeps the three standard streams usable (streams.h). */
#include "util/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "util/status.h"

static int first_error;

void streams_open_missing(void)
{
    for (int stream = 0; stream <= 2; stream++) {
        if (fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
        /* The lowest number that is free is this one: those below it are open. */
        if (open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY) != stream) _exit(STATUS_RUNTIME);
    }
}

static void do_nothing(int number)
{
    (void)number;
}

void streams_outlive_readers(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler == SIG_IGN) return;
    /* A handler, since programs that this one starts would inherit that the signal is ignored. */
    action = (struct sigaction){.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    sigaction(SIGPIPE, &action, NULL);
}

/* Why a print failed, 0 where that is not known any more. stdio has dropped the bytes and keeps no cause; one more byte
 * fails for the same one. */
static int cause_of_lost_print(FILE *out)
{
    return fputc('\n', out) == EOF || fflush(out) != 0 ? errno : 0;
}

bool streams_flush(FILE *out)
{
    bool flushed = fflush(out) == 0;
    if (flushed && !ferror(out)) return true;
    if (first_error == 0) first_error = flushed ? cause_of_lost_print(out) : errno;
    return false;
}

int streams_error(void)
{
    return first_error;
}

bool streams_reader_is_gone(void)
{
    return first_error == EPIPE;
}
