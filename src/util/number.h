/* Reads and writes numbers as people write them. */
#ifndef UTIL_NUMBER_H
#define UTIL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes a whole number in decimal digits, with or without '-' before it, and nothing else; false also where int64_t is
 * too small. */
bool number_parse_integer(const char *text, int64_t *value);

/* Takes a finite decimal number like -1, 0.5, .5 or 1e-3, and nothing else; false also where double is too small. */
bool number_parse_real(const char *text, double *value);

/* Writes the number with the fewest digits that read back to the same double. */
void number_format_real(double value, char *text, size_t size);

#endif
