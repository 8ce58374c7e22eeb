/* The picture of a sweep: accuracy by value of each key. */
#ifndef SWEEP_FACTORS_H
#define SWEEP_FACTORS_H

#include "sweep/sweep_results.h"

/* Draws base.png and base.svg from the trials of the first rung, which all trained equally long: a panel per key with 2
 * to 12 values. Lists that are more than that are grouped by their number of entries. Where no key has a panel, nothing
 * is drawn. */
bool sweep_factors_draw(const struct sweep *sweep, const struct sweep_results *results, const char *base,
                        struct status *status);

#endif
