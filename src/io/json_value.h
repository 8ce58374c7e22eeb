/* What JSON has no word for. */
#ifndef IO_JSON_VALUE_H
#define IO_JSON_VALUE_H

#include <jansson.h>

/* Any bytes, such as a file's name: what is no UTF-8 becomes U+FFFD. */
json_t *json_value_text(const char *bytes);

/* null where it is not finite. */
json_t *json_value_number(double value);

#endif
