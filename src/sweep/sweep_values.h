/* The alternatives of a key. */
#ifndef SWEEP_VALUES_H
#define SWEEP_VALUES_H

#include "config/experiment_keys.h"
#include "util/status.h"

struct sweep_values {
    char **text; /* (count) as experiment_value_format writes them; all different */
    int count;
};

/* Reads "A | B | C". An alternative of a list may be a product "(A | B)^N" or "(A | B)^N..M": every list of N (to M)
 * entries, shorter lists first, the last entry changing fastest. The key's row in the table checks every value. The
 * problem reads "alternative 2: expected ..., found ...". Free with sweep_values_free, also after a failure. */
bool sweep_values_parse(struct sweep_values *values, const struct experiment_key *key, const char *text,
                        struct status *problem);
void sweep_values_free(struct sweep_values *values);

#endif
