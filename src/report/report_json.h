/* A run as the page's JavaScript takes it (page/page.js). */
#ifndef REPORT_REPORT_JSON_H
#define REPORT_REPORT_JSON_H

#include <jansson.h>

#include "trainer/report.h"

/* A new reference: an object per run. */
json_t *report_run_json(const struct report_run *run);

/* A PNG as a data URI of one image (C,H,W); null in a build without libpng. */
json_t *report_image_json(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width);

#endif
