/* Small questions about text that a user wrote: shared by the config, the command line and their messages. */
#ifndef TRAINER_CONFIG_TEXT_H
#define TRAINER_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character that `text` begins with, or 0: it begins with none. */
size_t text_utf8_length(const char *text, size_t size);

/* The offset of the first byte that has no place in a line of text (then *problem says what it is), or `size`: all is
 * well. Text is UTF-8 without control characters other than the tab. */
size_t text_find_bad_byte(const char *text, size_t size, const char **problem);

/* The same for a name that stands between others in a line or a table: there the tab has no place either. */
size_t text_find_bad_name_byte(const char *text, size_t size, const char **problem);

/* Where a comment starts (the '#' or ';' that is first in the line or follows a blank), or `size`: there is none. */
size_t text_find_comment(const char *text, size_t size);

bool text_is_blank(char c); /* a space or a tab */

/* Edits (insert, delete, replace, swap two neighbours) that turn one word into the other. Words of more than 63 bytes
 * are infinitely far from everything (INT_MAX). */
int text_distance(const char *a, const char *b);

/* Whether `typed` is close enough to `known` to be a slip: at most two edits, in at most half of its bytes. */
bool text_is_slip(const char *typed, const char *known);

#endif
