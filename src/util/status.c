/* Fills a status (status.h). */
#include "util/status.h"

#include <stdarg.h>
#include <stdio.h>

bool status_fail(struct status *status, enum status_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    status->code = code;
    vsnprintf(status->message, sizeof status->message, format, arguments);
    va_end(arguments);
    return false;
}
