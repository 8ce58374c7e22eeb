/* Runs gnuplot on a script. */
#ifndef REPORT_GNUPLOT_H
#define REPORT_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "trainer/status.h"

/* Draws the same picture twice, as base.png and base.svg. `write_body(body, script)` writes the script for a terminal and
 * an output file that are set already. Sizes are in pixels. */
bool gnuplot_draw(const char *base, int width, int height, void (*write_body)(const void *body, FILE *script),
                  const void *body, struct status *status);

/* A string literal of gnuplot's: quoted, without any escape that it would interpret; newlines become blanks. */
void gnuplot_write_string(FILE *script, const char *text);

#endif
