/* JSON values of bytes and numbers that JSON may not be able to hold. */
#ifndef IO_JSON_VALUE_H
#define IO_JSON_VALUE_H

#include <jansson.h>

/* Returns a string of any bytes, such as a file's name. Each byte that is no UTF-8 becomes U+FFFD. */
json_t *json_value_text(const char *bytes);

/* Returns a number, or null for a value that is not finite. */
json_t *json_value_number(double value);

#endif
