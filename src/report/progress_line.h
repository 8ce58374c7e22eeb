/* Rewrites the line at the bottom of a terminal. */
#ifndef REPORT_PROGRESS_LINE_H
#define REPORT_PROGRESS_LINE_H

#include "report/progress.h"

/* One figure of the line. A larger rank is left out earlier where the terminal is narrow; rank 0 always stays. */
struct progress_field {
    const char *text; /* ASCII; "": no field */
    int rank;
};

/* Finds out if the terminal and the environment allow rewriting, colour and line-drawing characters. */
void progress_line_prepare(struct progress *progress);

/* Returns the terminal's present width in columns. */
int progress_line_columns(const struct progress *progress);

/* Shows the fields, two spaces apart, behind a bar (share: 0..1) where there is room for one. */
void progress_line_show(struct progress *progress, double share, const struct progress_field *fields, int count);

void progress_line_erase(struct progress *progress);

#endif
