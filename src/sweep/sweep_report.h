/* Reports the results of a sweep. */
#ifndef SWEEP_REPORT_H
#define SWEEP_REPORT_H

#include "sweep/sweep_results.h"

/* Writes ranking.md, factors.png and factors.svg in the folder, and the best trials to `out` (or NULL). A picture that
 * cannot be drawn gives a line on stderr and is no failure. */
bool sweep_report(const struct sweep *sweep, const struct sweep_results *results, const char *folder, FILE *out,
                  struct status *status);

#endif
