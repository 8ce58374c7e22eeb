/* Pictures from files, as a network takes them. Letters: C channels, H height, W width. */
#ifndef TRAINER_IMAGE_H
#define TRAINER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/status.h"

/* Limits of a picture. Its header is checked before memory is taken for its pixels. */
#define IMAGE_MAX_FILE (INT64_C(256) << 20) /* bytes */
enum { IMAGE_MAX_SIDE = 16384 };
#define IMAGE_MAX_PIXELS (INT64_C(1) << 26)

struct image {
    int64_t channels, height, width;
    uint8_t *pixels; /* (C,H,W); owned */
};

/* Reads a PNG or JPEG file, whatever its name, with 3 channels (red, green, blue) or 1 (0.299 R + 0.587 G + 0.114 B,
 * rounded). The pixels are those of Pillow's ImageOps.exif_transpose, then alpha_composite on white, then convert:
 * upright by the EXIF orientation of a JPEG or PNG; transparent pixels lie on white; the upper 8 of 16 bits; no gamma
 * and no colour profile is applied; CMYK is taken for Adobe's, which is inverted. docs/using-a-model.md says where
 * Pillow differs. Bytes in a JPEG that belong to nothing are named on the standard error, and the picture is read.
 * Errors (STATUS_RUNTIME) name the file and the cause, also of a file that is damaged or ends too early, of a kind of
 * picture that is not read, and of a pipe or device, which is not waited for. Free with image_free. */
bool image_read(struct image *image, const char *path, int64_t channels, struct status *status);

/* Scales to height x width; the shape of the picture is not kept. Each output pixel is the mean of the input pixels
 * around its centre with triangular weights, which reach max(1, input size / output size) pixels to each side: bilinear
 * interpolation where it enlarges, and without aliasing where it reduces (Pillow's BILINEAR). */
void image_resize(struct image *image, int64_t height, int64_t width);

/* Writes a PNG file of 1 or 3 channels that appears whole or not at all. Errors name the file and the cause. */
bool image_write_png(const struct image *image, const char *path, struct status *status);

void image_free(struct image *image); /* leaves it empty; an empty one is allowed */

#endif
