/* Writes large numbers for people (thousands.h). */
#include "util/thousands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct thousands thousands_format(int64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, number);
    size_t length = strlen(digits), sign = number < 0;
    struct thousands result;
    char *to = result.text;
    for (size_t i = 0; i < length; i++) {
        if (i > sign && (length - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return result;
}
