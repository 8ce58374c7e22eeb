/* Finds the files of the pictures that a table names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "table_columns.h"
#include "util/memory.h"

enum { ROWS_LOOKED_AT = 20 };

static const char *const endings[] = {".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG"};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* Tells whether there is a regular file, and notes its size and its last change. */
static bool is_file(const char *path, struct picture *picture, const char **reason)
{
    struct stat info;
    *reason = "no such file";
    if (stat(path, &info) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) *reason = errno == EACCES ? "no permission" : "cannot be reached";
        return false;
    }
    *reason = S_ISDIR(info.st_mode) ? "is a folder" : "not a regular file";
    picture->size = info.st_size;
    picture->changed_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return S_ISREG(info.st_mode);
}

/* Returns the name with the ending where there is such a file, in a new string, or NULL. */
static char *try_name(const struct table_folder *folder, const char *name, const char *ending, struct picture *picture,
                      const char **reason)
{
    char *whole = memory_format("%s%s", name, ending);
    char *path = *whole == '/' ? memory_copy_string(whole) : data_path_join(folder->path, whole);
    bool found = is_file(path, picture, reason);
    free(path);
    if (found) return whole;
    free(whole);
    return NULL;
}

/* Tries the endings, that of the last picture first. */
static char *try_endings(struct table_folder *folder, const char *name, struct picture *picture)
{
    const char *reason;
    char *found = folder->ending ? try_name(folder, name, folder->ending, picture, &reason) : NULL;
    for (int i = 0; i < ENDINGS && !found; i++) {
        found = try_name(folder, name, endings[i], picture, &reason);
        if (found) folder->ending = endings[i];
    }
    return found;
}

/* Returns a name without "./" before it, and with '/' where Windows has a backslash, in a new string. */
static char *clean_name(const char *name, bool from_windows)
{
    while (strncmp(name, "./", 2) == 0) name += 2;
    char *clean = memory_copy_string(name);
    for (char *c = clean; from_windows && *c; c++)
        if (*c == '\\') *c = '/';
    return clean;
}

char *table_picture_find(struct table_folder *folder, const char *name, struct picture *picture, const char **reason)
{
    char *found = NULL;
    if (*name == '\0') return *reason = "no name", NULL;
    for (int from_windows = 0; from_windows < (strchr(name, '\\') ? 2 : 1) && !found; from_windows++) {
        const char *other;
        char *clean = clean_name(name, from_windows);
        found = try_name(folder, clean, "", picture, from_windows ? &other : reason);
        if (!found && !picture_name_is_known(clean)) found = try_endings(folder, clean, picture);
        free(clean);
    }
    return found;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Counts the pictures of the first rows that are there; stops at an error in the table, which shows again later. */
static int count_found(struct table_folder *folder, struct table *table, int64_t column, bool has_head)
{
    bool more = true;
    int count = 0;
    struct status ignored;
    table_rewind(table);
    for (int row = 0; row < ROWS_LOOKED_AT && table_next(table, &more, &ignored) && more; row++) {
        struct picture picture;
        const char *reason;
        if (row == 0 && has_head) continue;
        char *found = table_picture_find(folder, table->fields[column], &picture, &reason);
        count += found != NULL;
        free(found);
    }
    table_rewind(table);
    return count;
}

/* Returns the folder of a file's path with its last '/', in a new string: "" for the current one. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return memory_format("%.*s", slash ? (int)(slash + 1 - path) : 0, path);
}

void table_folder_find(struct table_folder *folder, struct table *table, int64_t column, bool has_head,
                       const char *wanted)
{
    static const char *const places[] = {"train", "images"};
    bool said = wanted && *wanted && strcmp(wanted, "auto") != 0;
    *folder = (struct table_folder){.path = said ? memory_copy_string(wanted) : folder_of(table->path)};
    if (said || count_found(folder, table, column, has_head) > 0) return;
    for (int i = 0; i < 2; i++) {
        struct table_folder candidate = {.path = data_path_join(folder->path, places[i])};
        if (is_folder(candidate.path) && count_found(&candidate, table, column, has_head) > 0) {
            free(folder->path);
            *folder = candidate;
            return;
        }
        free(candidate.path);
    }
}

void table_folder_free(struct table_folder *folder)
{
    free(folder->path);
    *folder = (struct table_folder){0};
}
