/* For LD_PRELOAD: an allocator that refuses one request, from any part of the process, to see the consequence.
 *   FAULT_AT=N     the Nth request of the process fails; 0 or nothing: none
 *   FAULT_ON=1     all requests after it fail too
 *   FAULT_COUNT=F  writes the number of requests into the file F at exit
 * Requests before main do not count: those of the dynamic loader, and of constructors, of which CUDA's runtime has some. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_long requests;
static long fails_at; /* 0 until the program starts */
static bool fails_on, started;

static int (*program_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment)
{
    const char *at = getenv("FAULT_AT");
    fails_at = at ? atol(at) : 0;
    fails_on = getenv("FAULT_ON") != NULL;
    started = true;
    return program_main(argc, argv, environment);
}

/* The C library's function that a program begins with, and that calls its main. */
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end)
{
    __typeof__(__libc_start_main) *real;
    *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
    program_main = main;
    return real(counted_main, argc, argv, init, fini, loader_fini, stack_end);
}

__attribute__((destructor)) static void finish(void)
{
    const char *path = getenv("FAULT_COUNT");
    char text[32];
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    if (file < 0) return;
    int size = snprintf(text, sizeof text, "%ld\n", atomic_load(&requests));
    if (write(file, text, (size_t)size) != size) abort();
    close(file);
}

static bool refused(void)
{
    if (!started) return false;
    long request = atomic_fetch_add(&requests, 1) + 1;
    bool refuse = fails_at > 0 && (fails_on ? request >= fails_at : request == fails_at);
    if (refuse) errno = ENOMEM;
    return refuse;
}

void *malloc(size_t size)
{
    return refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return refused() ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (refused()) return ENOMEM;
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}
