/* A short list of whole numbers, as a setting has it. */
#ifndef INT_LIST_H
#define INT_LIST_H

#include <stdint.h>

enum { INT_LIST_SIZE = 64 };

struct int_list {
    int64_t count;
    int64_t value[INT_LIST_SIZE];
};

#endif
