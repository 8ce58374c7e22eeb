/* Large numbers for people: 9231114 as "9,231,114". */
#ifndef UTIL_THOUSANDS_H
#define UTIL_THOUSANDS_H

#include <stdint.h>

struct thousands {
    char text[32];
};

struct thousands thousands_format(int64_t number);

#endif
