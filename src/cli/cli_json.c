/* Prints JSON on the standard output. */
#include "cli/cli_json.h"

#include <stdio.h>

#include "util/check.h"

void cli_json_print(json_t *value)
{
    CHECK(value);
    json_dumpf(value, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17)); /* flush_output reports a failed write */
    putchar('\n');
    json_decref(value);
}
