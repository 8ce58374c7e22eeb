/* Notes the signals that ask the process to stop (stop.h). */
#include "util/stop.h"

#include <pthread.h>
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
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int installed; /* calls of stop_install without their stop_uninstall */

/* The handler calls only functions that POSIX allows in one. */
static void note(int number)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    wanted = number;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (before[i].sa_handler != SIG_IGN) sigaction(signals[i].number, &usual, NULL);
}

static void install(void)
{
    struct sigaction noting = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigfillset(&noting.sa_mask);
    wanted = 0;
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        CHECK(sigaction(signals[i].number, NULL, &before[i]) == 0);
        if (before[i].sa_handler != SIG_IGN) CHECK(sigaction(signals[i].number, &noting, NULL) == 0);
    }
}

void stop_install(void)
{
    pthread_mutex_lock(&mutex);
    if (installed++ == 0) install();
    pthread_mutex_unlock(&mutex);
}

void stop_uninstall(void)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; installed == 1 && i < SIGNAL_COUNT; i++) CHECK(sigaction(signals[i].number, &before[i], NULL) == 0);
    installed--;
    pthread_mutex_unlock(&mutex);
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
