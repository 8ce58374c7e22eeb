/* Rows of results.csv as text. */
#ifndef SWEEP_ROW_H
#define SWEEP_ROW_H

#include <stdio.h>

#include "sweep/sweep_results.h"

/* Writes the line of a result, or the header (NULL). */
void sweep_row_write(const struct sweep *sweep, const struct sweep_result *result, FILE *out);

/* Returns that line in a new string. */
char *sweep_row_format(const struct sweep *sweep, const struct sweep_result *result);

/* Reads a line without its newline, and cuts it up. Returns false where it is no row of the sweep. */
bool sweep_row_parse(const struct sweep *sweep, char *line, struct sweep_result *result);

/* Returns where two results of a trial differ but for their seconds, as "test_loss is 2 here, 3 there", in a new string;
 * NULL: nowhere. */
char *sweep_row_difference(const struct sweep *sweep, const struct sweep_result *here,
                           const struct sweep_result *there);

/* Rounds the figures to the digits that a row has, so that a result ranks the same before it is written and after it was
 * read. */
void sweep_row_round(struct sweep_result *result);

#endif
