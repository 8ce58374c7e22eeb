/* The folder of the program in the user's cache (cache_folder.h). */
#include "util/cache_folder.h"

#include <stdlib.h>

#include "util/folder.h"
#include "util/memory.h"

/* Returns the path in a new string, or NULL. A relative path is invalid there by the XDG Base Directory Specification. */
static char *find(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/') return memory_format("%s/trainer", cache);
    if (home && *home == '/') return memory_format("%s/.cache/trainer", home);
    return NULL;
}

char *cache_folder_create(struct status *status)
{
    char *path = find();
    if (!path) {
        status_fail(status, STATUS_RUNTIME, "neither XDG_CACHE_HOME nor HOME names a folder");
        return NULL;
    }
    if (folder_create(path, status)) return path;
    free(path);
    return NULL;
}
