/* JSON on the standard output. */
#ifndef TRAINER_CLI_JSON_H
#define TRAINER_CLI_JSON_H

#include <jansson.h>

/* Any bytes, such as a file's name: what is no UTF-8 becomes U+FFFD. */
json_t *cli_json_text(const char *bytes);

/* null where it is not finite: JSON has no word for that. */
json_t *cli_json_number(double value);

/* Prints the value and a newline, and gives it up. */
void cli_json_print(json_t *value);

#endif
