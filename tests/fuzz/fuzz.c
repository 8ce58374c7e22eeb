/* Helpers of the fuzz targets (fuzz.h). */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/check.h"

void fuzz_check_refusal(const struct status *status, enum status_code code)
{
    CHECK(status->code == code);
    CHECK(*status->message != '\0' && memchr(status->message, '\0', sizeof status->message));
}

void fuzz_check_name(const char *name)
{
    for (const char *c = name; *c; c++) CHECK((unsigned char)*c >= ' ' && *c != 0x7F);
}

void fuzz_file_create(struct fuzz_file *file)
{
    file->file = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(file->file >= 0);
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->file);
}

void fuzz_file_set(const struct fuzz_file *file, const void *bytes, size_t size)
{
    CHECK(ftruncate(file->file, (off_t)size) == 0);
    CHECK(pwrite(file->file, bytes, size, 0) == (ssize_t)size);
}

struct fuzz_bytes fuzz_take(struct fuzz_bytes *bytes, size_t size)
{
    struct fuzz_bytes taken = {bytes->data, size < bytes->size ? size : bytes->size};
    bytes->data += taken.size;
    bytes->size -= taken.size;
    return taken;
}

uint8_t fuzz_take_byte(struct fuzz_bytes *bytes)
{
    struct fuzz_bytes one = fuzz_take(bytes, 1);
    return one.size > 0 ? *one.data : 0;
}

/* --- the folder --- */

static char folder[48];

static void remove_folder(void)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.') unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries) closedir(entries);
    rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (*folder) return folder;
    const char *parent = getenv("TMPDIR");
    int length = snprintf(folder, sizeof folder, "%s/trainer-fuzz-XXXXXX", parent && *parent ? parent : "/dev/shm");
    CHECK(length < (int)sizeof folder && mkdtemp(folder) != NULL);
    CHECK(atexit(remove_folder) == 0);
    return folder;
}

void fuzz_folder_file(struct fuzz_file *file, const char *name)
{
    CHECK(snprintf(file->path, sizeof file->path, "%s/%s", fuzz_folder(), name) < (int)sizeof file->path);
    file->file = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file->file >= 0);
}
