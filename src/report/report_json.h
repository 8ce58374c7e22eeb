/* Describes a run in the form that the page's JavaScript takes (page/page.js). */
#ifndef REPORT_REPORT_JSON_H
#define REPORT_REPORT_JSON_H

#include <jansson.h>

#include "report/report.h"

/* Returns a new reference to a run's object. */
json_t *report_run_json(const struct report_run *run);

/* Returns a PNG of one image (C,H,W) as a data URI; null in a build without libpng. */
json_t *report_image_json(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width);

#endif
