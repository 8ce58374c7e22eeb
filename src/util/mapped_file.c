/* Maps files, and turns SIGBUS on their pages into a line and an exit code (mapped_file.h). The handler looks through a
 * fixed list of what is mapped, because it may take no lock and ask for no memory. A file that finds no place in the list
 * is mapped without the line. */
#include "util/mapped_file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/check.h"

enum { PLACES = 16, PATH_SIZE = 1024 };

/* `start` is written last and cleared first; 0: the place is free. */
static struct place {
    atomic_uintptr_t start;
    size_t size;
    char path[PATH_SIZE];
} places[PLACES];

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written; /* there is nobody left to tell */
}

/* The handler calls only functions that POSIX allows in one. An address of nobody's file is given to who had the signal
 * before: the fault comes again when the handler returns. */
static void end_with_line(int number, siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    (void)context;
    for (int i = 0; i < PLACES; i++) {
        uintptr_t start = atomic_load(&places[i].start);
        if (start == 0 || address < start || address - start >= places[i].size) continue;
        say("trainer: ");
        say(places[i].path);
        say(": cannot be read any more, while it is in use: it was cut off, or its disk failed\n");
        _exit(STATUS_RUNTIME);
    }
    sigaction(number, &before, NULL);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = end_with_line, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGBUS, &action, &before) == 0);
}

/* Copies the path for the line; control characters become '?', as in every message. */
static void copy_path(char *to, const char *path)
{
    size_t length = 0;
    for (; length < PATH_SIZE - 1 && path[length]; length++)
        to[length] = (unsigned char)path[length] < ' ' || path[length] == 0x7F ? '?' : path[length];
    to[length] = '\0';
}

static void remember(const void *bytes, size_t size, const char *path)
{
    static bool installed;
    pthread_mutex_lock(&changing);
    if (!installed) install();
    installed = true;
    for (int i = 0; i < PLACES; i++) {
        if (atomic_load(&places[i].start) != 0) continue;
        places[i].size = size;
        copy_path(places[i].path, path);
        atomic_store(&places[i].start, (uintptr_t)bytes);
        break;
    }
    pthread_mutex_unlock(&changing);
}

static void forget(const void *bytes)
{
    pthread_mutex_lock(&changing);
    for (int i = 0; i < PLACES; i++)
        if (atomic_load(&places[i].start) == (uintptr_t)bytes) atomic_store(&places[i].start, 0);
    pthread_mutex_unlock(&changing);
}

bool mapped_file_open(const uint8_t **bytes, int descriptor, size_t size, const char *path, struct status *status)
{
    CHECK(size > 0);
    void *address = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED)
        return status_fail(status, STATUS_RUNTIME, "%s: cannot map into memory: %s", path, strerror(errno));
    remember(address, size, path);
    *bytes = address;
    return true;
}

void mapped_file_close(const void *bytes, size_t size)
{
    forget(bytes);
    CHECK(munmap((void *)(uintptr_t)bytes, size) == 0);
}
