/* JSON on the standard output. */
#ifndef TRAINER_CLI_JSON_H
#define TRAINER_CLI_JSON_H

#include <jansson.h>

#include "io/json_value.h"

/* Prints the value and a newline, and releases the caller's reference to it. */
void cli_json_print(json_t *value);

#endif
