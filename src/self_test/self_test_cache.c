/* Remembers which devices have passed the self-test (self_test.h): an empty file in the user's cache, whose name is a
 * digest of all that the result depends on. Only a device that passes is remembered: one that fails is tested again. Its
 * fault may be gone, for example with the heat or the other process that caused it, and nobody would think of a file in a
 * cache that keeps a GPU from being used. The seconds that this costs each start are few beside a run on the CPU. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "self_test/self_test.h"
#include "util/cache_folder.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/nvml.h"
#include "util/sha256.h"
#include "util/warning.h"

enum { NAME_DIGITS = 32 };

/* The build is told apart by the size and time of the program's file: a version stays the same while it is worked on. */
static char *describe_program(void)
{
    struct stat info;
    if (stat("/proc/self/exe", &info) != 0) return memory_copy_string(TRAINER_VERSION);
    return memory_format("%s %lld %lld.%09ld", TRAINER_VERSION, (long long)info.st_size, (long long)info.st_mtim.tv_sec,
                         info.st_mtim.tv_nsec);
}

/* CUDA knows its own version of the driver, and NVML the driver's, which changes more often. */
static char *describe_driver(void)
{
    struct nvml nvml;
    char version[96] = "";
    if (!nvml_open(&nvml)) return memory_copy_string("");
    nvml_driver_version(&nvml, version, sizeof version);
    nvml_close(&nvml);
    return memory_copy_string(version);
}

/* Returns the path of the note in a new string, or NULL where there is no cache. */
static char *note_path(const struct backend *backend, const struct backend_options *options)
{
    char digits[SHA256_DIGITS + 1], *path = NULL;
    struct status status = {.code = STATUS_OK};
    char *folder = cache_folder_create(&status), *program = describe_program(), *driver = describe_driver();
    char *text =
        memory_format("%s\n%s\n%s\n%d %d %d %lld\n", backend->identity, driver, program, (int)options->precision,
                      options->deterministic, options->cudnn_batchnorm, (long long)options->workspace_bytes);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, text, strlen(text));
    if (sha256_finish(&hash, digits, &status) && folder)
        path = memory_format("%s/self-test-%.*s", folder, NAME_DIGITS, digits);
    free(folder), free(program), free(driver), free(text);
    return path;
}

static void write_nothing(const void *body, FILE *out)
{
    (void)body, (void)out;
}

bool self_test_pass(struct backend *backend, const struct backend_options *options, bool *cached, struct status *status)
{
    struct status unwritten = {.code = STATUS_OK};
    bool tested = backend->identity[0] != '\0';
    char *path = tested ? note_path(backend, options) : NULL;
    bool known = !tested || (path && access(path, F_OK) == 0);
    if (!known) warning_print("note: testing %s before its first use, which takes some seconds", backend->description);
    bool good = known || self_test_run(backend, options->precision, status);
    if (good && !known && path) file_atomic_print(path, write_nothing, NULL, &unwritten);
    if (cached) *cached = known;
    free(path);
    return good;
}
