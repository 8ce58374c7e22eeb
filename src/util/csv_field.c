/* Reads and writes fields of comma-separated values (csv_field.h). */
#include "util/csv_field.h"

#include <string.h>

void csv_field_write(const char *text, FILE *out)
{
    if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* A quote opens or closes the quotes; two of them within quotes are one that belongs to the field. */
char *csv_field_next_before(char **rest, char separator)
{
    char *field = *rest, *from = field, *to = field;
    if (!field) return NULL;
    bool quoted = false;
    for (; *from && (quoted || *from != separator); from++) {
        if (*from != '"')
            *to++ = *from;
        else if (quoted && from[1] == '"')
            *to++ = *from++;
        else
            quoted = !quoted;
    }
    *rest = *from == separator ? from + 1 : NULL;
    *to = '\0';
    return field;
}

char *csv_field_next(char **rest)
{
    return csv_field_next_before(rest, ',');
}

bool csv_line_trim(char *line)
{
    size_t length = strlen(line);
    if (length == 0 || line[length - 1] != '\r') return false;
    line[length - 1] = '\0';
    return true;
}
