/* Feeds files to a fuzz target once, in any compiler's build: the regression test of the fuzzer's findings.
 * usage: REPLAY FOLDER. Prints how many; the last path that is printed before a crash names the file. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static char *last_path; /* for the debugger, and for the message */

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Hands the bytes over in a block of just their size, so that a sanitizer sees a read behind them. */
static void feed(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)info.st_size;
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int count = argc == 2 ? scandir(argv[1], &entries, is_file, alphasort) : 0;
    if (count < 1) {
        fprintf(stderr, "replay: expected a folder with at least one file\n");
        return 1;
    }
    for (int i = 0; i < count; i++) {
        size_t size = strlen(argv[1]) + strlen(entries[i]->d_name) + 2;
        last_path = malloc(size);
        if (!last_path) return 1;
        snprintf(last_path, size, "%s/%s", argv[1], entries[i]->d_name);
        printf("%s\n", last_path);
        fflush(stdout);
        feed(last_path);
        free(last_path);
        free(entries[i]);
    }
    free(entries);
    printf("%d inputs\n", count);
    return 0;
}
