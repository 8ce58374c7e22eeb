/* Seconds for people: 754 as "12:34", 7654 as "2:07:34". */
#ifndef UTIL_DURATION_H
#define UTIL_DURATION_H

struct duration {
    char text[32];
};

struct duration duration_format(double seconds);

#endif
