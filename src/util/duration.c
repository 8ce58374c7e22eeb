/* Writes durations for people (duration.h). */
#include "util/duration.h"

#include <inttypes.h>
#include <stdio.h>

struct duration duration_format(double seconds)
{
    struct duration duration;
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(duration.text, sizeof duration.text, "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600, s / 60 % 60,
                 s % 60);
    else
        snprintf(duration.text, sizeof duration.text, "%" PRId64 ":%02" PRId64, s / 60, s % 60);
    return duration;
}
