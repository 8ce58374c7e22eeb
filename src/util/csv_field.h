/* Fields of comma-separated values as RFC 4180 quotes them, and lines as spreadsheets save them. */
#ifndef UTIL_CSV_FIELD_H
#define UTIL_CSV_FIELD_H

#include <stdbool.h>
#include <stdio.h>

/* Writes a field, in quotes where it would not be one field of one line without them. */
void csv_field_write(const char *text, FILE *out);

/* Returns the next field of a line, without its quotes, which are taken off in place; NULL where there is none.
 * Afterwards *rest is where the line goes on, or NULL at its end. */
char *csv_field_next(char **rest);

/* The same for fields with another separator than a comma. */
char *csv_field_next_before(char **rest, char separator);

/* Takes the carriage return off the end of a line. Returns true where there was one. */
bool csv_line_trim(char *line);

/* The mark of UTF-8 that some programs put before the first line, and its length. */
#define CSV_BYTE_ORDER_MARK "\xEF\xBB\xBF"
enum { CSV_BYTE_ORDER_MARK_SIZE = 3 };

#endif
