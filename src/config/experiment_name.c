/* Makes experiment.name from a config's file name. */
#include "config/experiment_name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"
#include "util/memory.h"
#include "util/text.h"

char *experiment_name_of_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    int length = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    return memory_format("%.*s", length, base);
}

/* Cuts the name to EXPERIMENT_NAME_SIZE - 1 bytes, or to fewer so that no UTF-8 character is cut in two. */
static void shorten(char *name)
{
    size_t length = EXPERIMENT_NAME_SIZE - 1;
    if (strlen(name) <= length) return;
    while (length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80) length--;
    name[length] = '\0';
}

static void replace_bad_bytes(char *name, size_t length)
{
    const char *problem;
    for (size_t at; (at = text_find_bad_name_byte(name, length, &problem)) < length;) name[at] = '_';
    for (size_t at; (at = text_find_comment(name, length)) < length;) name[at] = '_';
}

static void replace_ends(char *name, size_t length)
{
    char *first = name, *last = name + length - 1;
    bool quoted = length > 1 && (*first == '"' || *first == '\'') && *first == *last;
    if (quoted || text_is_blank(*first)) *first = '_';
    if (quoted || text_is_blank(*last)) *last = '_';
}

char *experiment_name_fit(const char *path)
{
    char *name = experiment_name_of_file(path);
    shorten(name);
    size_t length = strlen(name);
    if (length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        free(name);
        return memory_copy_string("_");
    }
    replace_bad_bytes(name, length);
    replace_ends(name, length);
    return name;
}
