#include "train/run_skipped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/text.h"

static const char name[] = "skipped.txt";

static void print_files(const void *context, FILE *out)
{
    const struct dataset *dataset = context;
    for (int64_t i = 0; i < dataset->skipped_count; i++) {
        char *path = text_escape(dataset->skipped[i].path), *reason = text_escape(dataset->skipped[i].reason);
        fprintf(out, "%s\t%s\n", path, reason);
        free(path);
        free(reason);
    }
}

bool run_skipped_write(const struct dataset *dataset, const char *folder, struct status *status)
{
    char *path = memory_format("%s/%s", folder, name);
    bool good = dataset->skipped_count > 0
                    ? file_atomic_print(path, print_files, dataset, status)
                    : unlink(path) == 0 || errno == ENOENT ||
                          status_fail(status, STATUS_RUNTIME, "%s: cannot remove: %s", path, strerror(errno));
    free(path);
    return good;
}

void run_skipped_print(const struct dataset *dataset, const char *folder, FILE *out)
{
    if (dataset->skipped_count > 0) fprintf(out, "%s/%s has the reasons\n", folder, name);
}
