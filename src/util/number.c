/* Reads and writes numbers as people write them. */
#include "util/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9') text++;
    return text;
}

bool number_parse_integer(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-');
    const char *end = skip_digits(digits);
    if (end == digits || *end != '\0') return false;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == 0;
}

/* strtod alone would take blanks, hexadecimal numbers, "inf" and "nan" too. */
static bool is_decimal(const char *text)
{
    const char *whole = text + (*text == '-');
    const char *end = skip_digits(whole);
    int64_t digits = end - whole;
    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        digits += end - fraction;
    }
    if (digits == 0) return false;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1;
        if (*exponent == '-' || *exponent == '+') exponent++;
        end = skip_digits(exponent);
        if (end == exponent) return false;
    }
    return *end == '\0';
}

bool number_parse_real(const char *text, double *value)
{
    if (!is_decimal(text)) return false;
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && *end == '\0';
}

/* 1e-05 -> 1e-5, 1e+20 -> 1e20 */
static void shorten_exponent(char *text)
{
    char *exponent = strchr(text, 'e');
    if (!exponent) return;
    char *to = exponent + 1, *from = exponent + 1;
    if (*from == '-') to++;
    from++;
    while (*from == '0') from++;
    memmove(to, from, strlen(from) + 1);
}

void number_format_real(double value, char *text, size_t size)
{
    char shortest[32];
    int digits = 0;
    do {
        snprintf(shortest, sizeof shortest, "%.*g", ++digits, value);
    } while (digits < 17 && strtod(shortest, NULL) != value);
    double magnitude = fabs(value);
    for (int whole = 1; whole <= 6 && magnitude >= 1; whole++, magnitude /= 10) /* writes 100, not 1e2 */
        if (magnitude < 10 && whole > digits) digits = whole;
    snprintf(shortest, sizeof shortest, "%.*g", digits, value);
    shorten_exponent(shortest);
    snprintf(text, size, "%s", shortest);
}
