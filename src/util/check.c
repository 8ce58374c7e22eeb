/* Stops the program where a CHECK does not hold. */
#include "util/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *statement, const char *file, int line)
{
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, statement);
    abort();
}
