/* Makes JSON values of bytes and numbers that JSON may not be able to hold. */
#include "io/json_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

json_t *json_value_text(const char *bytes)
{
    const char replacement[] = "\xEF\xBF\xBD";
    size_t size = strlen(bytes), used = 0;
    char *text = memory_alloc(3 * size + 1, 1); /* each byte may become the three of U+FFFD */
    for (size_t at = 0; at < size;) {
        size_t length = text_utf8_length(bytes + at, size - at);
        if (length > 0)
            memcpy(text + used, bytes + at, length);
        else
            memcpy(text + used, replacement, 3);
        used += length > 0 ? length : 3;
        at += length > 0 ? length : 1;
    }
    json_t *value = json_stringn(text, used);
    CHECK(value);
    free(text);
    return value;
}

json_t *json_value_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
