/* Small questions about text that a user wrote. The config, the command line and their messages share them. */
#ifndef UTIL_TEXT_H
#define UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Returns the length in bytes of the UTF-8 character that `text` begins with, or 0: it begins with none. */
size_t text_utf8_length(const char *text, size_t size);

/* Returns the offset of the first byte that has no place in a line of text and names its fault in *problem, or returns
 * `size`: the text is good. Good text is UTF-8 without control characters other than the tab. */
size_t text_find_bad_byte(const char *text, size_t size, const char **problem);

/* The same for a name that stands between others in a line or a table, where the tab has no place either. */
size_t text_find_bad_name_byte(const char *text, size_t size, const char **problem);

/* Returns the offset of a comment (the '#' or ';' that is first in the line or follows a blank), or `size`: the line
 * has none. */
size_t text_find_comment(const char *text, size_t size);

/* Returns the text in a form that is one line and holds no tab, in a new string: a newline becomes \n, a tab \t, a
 * backslash two of them, and another control character or a byte that is no UTF-8 becomes \x and two digits. */
char *text_escape(const char *text);

bool text_is_blank(char c); /* true for a space and a tab */

/* Returns the number of edits (insert, delete, replace, swap two neighbours) that turn one word into the other, or
 * INT_MAX for words of more than 63 bytes. */
int text_distance(const char *a, const char *b);

/* Tells whether `typed` may be a slip for `known`: at most two edits, in at most half of its bytes. */
bool text_is_slip(const char *typed, const char *known);

#endif
