/* Pictures in files, read into the form that a network takes. Letters: C channels, H height, W width. */
#ifndef TRAINER_IMAGE_H
#define TRAINER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/status.h"

/* Limits of a picture. The reader checks the header before it takes memory for the pixels. */
#define IMAGE_MAX_FILE (INT64_C(256) << 20) /* bytes */
enum { IMAGE_MAX_SIDE = 16384 };
#define IMAGE_MAX_PIXELS (INT64_C(1) << 26)

struct image {
    int64_t channels, height, width;
    uint8_t *pixels; /* (C,H,W); owned */
};

/* Reads a PNG or JPEG file of any name with 3 channels (red, green, blue) or 1 (0.299 R + 0.587 G + 0.114 B,
 * rounded). The pixels are those of Pillow's ImageOps.exif_transpose, then alpha_composite on white, then convert:
 *   - The EXIF orientation of a JPEG or PNG turns the picture upright.
 *   - Transparent pixels lie on white.
 *   - Of 16 bits the upper 8 count. No gamma and no colour profile is applied.
 *   - CMYK is taken for Adobe's, which is inverted.
 * docs/using-a-model.md says where Pillow differs. A JPEG with bytes that belong to nothing is read, and a line on the
 * standard error names them. Errors (STATUS_RUNTIME) name the file and the cause. Damaged and cut-off files, other
 * kinds of pictures, pipes and devices are errors; the reader does not wait for a pipe. Free with image_free. */
bool image_read(struct image *image, const char *path, int64_t channels, struct status *status);

/* Scales to height x width without keeping the ratio of the sides. Each output pixel is the mean of the input pixels
 * around its centre with triangular weights, which reach max(1, input size / output size) pixels to each side. That is
 * bilinear interpolation for a larger output and avoids aliasing for a smaller one (Pillow's BILINEAR). */
void image_resize(struct image *image, int64_t height, int64_t width);

/* Writes an image of 1 or 3 channels as a PNG file, which appears whole or not at all. Errors name the file and the
 * cause. */
bool image_write_png(const struct image *image, const char *path, struct status *status);

void image_free(struct image *image); /* leaves it empty; an empty one is allowed */

#endif
