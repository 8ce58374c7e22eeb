/* The smaller and the greater of two whole numbers. */
#ifndef MIN_MAX_H
#define MIN_MAX_H

#include <stdint.h>

static inline int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
