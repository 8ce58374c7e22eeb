#include "pack_settings.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

enum { KEYS = 2 };
static const char *const keys[KEYS] = {"resize", "background"};

/* Returns the value of a key in a new string. */
static char *value_of(const struct dataset_source *source, int key)
{
    static const char *const fits[] = {IMAGE_FIT_CHOICES(CHOICE_NAME)};
    const uint8_t *background = source->pictures.background;
    if (key == 0) return memory_copy_string(fits[source->pictures.fit]);
    if (background[0] == background[1] && background[1] == background[2]) return memory_format("%d", background[0]);
    return memory_format("%d, %d, %d", background[0], background[1], background[2]);
}

char *pack_settings_text(const struct dataset_source *source)
{
    char *text = memory_copy_string("");
    for (int key = 0; key < KEYS; key++) {
        char *value = value_of(source, key), *before = text;
        text = memory_format("%s%s = %s\n", before, keys[key], value);
        free(before);
        free(value);
    }
    return text;
}

/* Returns the value that a line of the text gives a key, in a new string, or NULL. */
static char *find_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        if (size > length + 3 && strncmp(line, key, length) == 0 && strncmp(line + length, " = ", 3) == 0)
            return memory_format("%.*s", (int)(size - length - 3 < 64 ? size - length - 3 : 64), line + length + 3);
        line += size + (line[size] == '\n');
    }
    return NULL;
}

bool pack_settings_check(const struct pack *pack, const struct dataset_source *source, struct status *status)
{
    bool good = true;
    if (pack->tables.texts[PACK_SETTINGS].size == 0) return true;
    for (int key = 0; good && key < KEYS; key++) {
        char *there = find_value(pack->tables.texts[PACK_SETTINGS].bytes, keys[key]), *here = value_of(source, key);
        if (there && strcmp(there, here) != 0)
            good = status_fail(status, STATUS_USAGE, "data.%s: expected %s, as the pictures of %s were made, found %s",
                               keys[key], there, pack->path, here);
        free(there);
        free(here);
    }
    return good;
}
