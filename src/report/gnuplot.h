/* Runs gnuplot on a script. */
#ifndef REPORT_GNUPLOT_H
#define REPORT_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "util/status.h"

/* Draws the same picture twice, as base.png and base.svg. `write_body(body, script)` writes the script for a terminal
 * that is set already; a font without a name in it (',14') is the terminal's in that size. Sizes are in pixels. A new
 * picture replaces the old one only when it is complete. */
bool gnuplot_draw(const char *base, int width, int height, void (*write_body)(const void *body, FILE *script),
                  const void *body, struct status *status);

/* Writes a string literal of gnuplot's that stands for exactly this text. Bytes that are no text (control characters,
 * invalid UTF-8) become '?'. */
void gnuplot_write_string(FILE *script, const char *text);

#endif
