/* Cuts a --set of the command line into its parts. */
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"
#include "util/memory.h"
#include "util/text.h"

/* Ends the text at `end`, or at the blanks before it, and returns its start without blanks. */
static char *trim(char *start, char *end)
{
    while (text_is_blank(*start)) start++;
    while (end > start && text_is_blank(end[-1])) end--;
    *end = '\0';
    return start;
}

/* Cuts override->memory; false: it does not have the form "section.key=value". */
static bool cut(struct experiment_override *override)
{
    char *text = override->memory, *equals = strchr(text, '=');
    if (!equals) return false;
    override->value = trim(equals + 1, equals + strlen(equals));
    char *section = trim(text, equals), *dot = strchr(section, '.');
    if (!dot || dot == section || dot[1] == '\0') return false;
    *dot = '\0';
    override->section = section;
    override->key = dot + 1;
    return true;
}

bool experiment_override_parse(struct experiment_override *override, const char *text, int number,
                               struct status *status)
{
    const char *problem;
    size_t size = strlen(text), bad = text_find_bad_byte(text, size, &problem);
    *override = (struct experiment_override){0};
    if (bad < size)
        return status_fail(status, STATUS_USAGE, "--set: %s (byte 0x%02x) in number %d", problem,
                           (unsigned char)text[bad], number);
    override->memory = memory_copy_string(text);
    if (cut(override)) return true;
    free(override->memory);
    *override = (struct experiment_override){0};
    return status_fail(status, STATUS_USAGE, "--set %s: expected section.key=value", text);
}

void experiment_overrides_free(struct experiment_override *overrides, int count)
{
    for (int i = 0; i < count; i++) free(overrides[i].memory);
    free(overrides);
}
