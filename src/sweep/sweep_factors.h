/* Draws the picture of a sweep: accuracy by value of each key. */
#ifndef SWEEP_FACTORS_H
#define SWEEP_FACTORS_H

#include "sweep/sweep_results.h"

/* Draws base.png and base.svg from the trials of the first rung, which all trained equally long. Each key with 2 to 12
 * values has a panel. Where a key has more values and they are lists, they are grouped by their number of entries.
 * Where no key has a panel, nothing is drawn. */
bool sweep_factors_draw(const struct sweep *sweep, const struct sweep_results *results, const char *base,
                        struct status *status);

#endif
