/* Notes the signals that ask the process to stop (stop.h). */
#include "util/stop.h"

#include <signal.h>
#include <stddef.h>

#include "util/check.h"

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}};
enum { SIGNAL_COUNT = sizeof signals / sizeof *signals };

static volatile sig_atomic_t wanted; /* the signal, or 0 */
static struct sigaction before[SIGNAL_COUNT];

/* The handler calls only functions that POSIX allows in one. */
static void note(int number)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    wanted = number;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (before[i].sa_handler != SIG_IGN) sigaction(signals[i].number, &usual, NULL);
}

void stop_install(void)
{
    struct sigaction noting = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigfillset(&noting.sa_mask);
    wanted = 0;
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        CHECK(sigaction(signals[i].number, NULL, &before[i]) == 0);
        if (before[i].sa_handler != SIG_IGN) CHECK(sigaction(signals[i].number, &noting, NULL) == 0);
    }
}

void stop_uninstall(void)
{
    for (int i = 0; i < SIGNAL_COUNT; i++) CHECK(sigaction(signals[i].number, &before[i], NULL) == 0);
}

bool stop_wanted(void)
{
    return wanted != 0;
}

const char *stop_signal_name(void)
{
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (signals[i].number == wanted) return signals[i].name;
    return NULL;
}
