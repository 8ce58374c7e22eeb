/* Pictures in files, read into the form that a network takes. Letters: C channels, H height, W width.
 *
 * All functions may run in several threads at once. What is odd and harmless about a file is a line of warning_print,
 * which names the file: bytes in a JPEG that belong to nothing, an EXIF block that this build cannot read. A caller
 * with many files collects such lines in place of printing them (warning_collect of util/warning.h). */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/choice.h"
#include "util/status.h"

/* Limits of a picture. The reader checks the header before it takes memory for the pixels. */
#define IMAGE_MAX_FILE (INT64_C(256) << 20) /* bytes */
enum { IMAGE_MAX_SIDE = 16384 };
#define IMAGE_MAX_PIXELS (INT64_C(1) << 26)

/* --- pictures of one size --- */

/* How a picture becomes height x width, where it has another ratio of its sides:
 *   crop      it is scaled until it covers height x width, and the middle of it stays: Pillow's ImageOps.fit
 *   pad       it is scaled until height x width holds all of it, and stands in the middle: Pillow's ImageOps.pad. A
 *             picture that would become thinner than a pixel is one pixel thick
 *   stretch   both directions are scaled, each by a factor of its own: Pillow's resize
 * Each is done in Pillow's arithmetic, to the bit (Pillow 13, BILINEAR). A pixel of the result is the mean of the pixels
 * around its centre with triangular weights, which reach max(1, size before / size after) pixels to each side. That is
 * bilinear interpolation for a larger result and avoids aliasing for a smaller one. One direction is scaled after the
 * other, each with weights in steps of 2^-22 and a result rounded to 8 bits. Rows are scaled along their length first,
 * unless the picture loses rows, and more than twice as many as columns. (Pillow before version 13 has no such exception,
 * so its pixels may then differ by 1.) */
#define IMAGE_FIT_CHOICES(X) X(IMAGE_FIT_CROP, "crop") X(IMAGE_FIT_PAD, "pad") X(IMAGE_FIT_STRETCH, "stretch")
enum image_fit { IMAGE_FIT_CHOICES(CHOICE_ENUMERATOR) };

/* What a picture is made into. */
struct image_format {
    int64_t channels, height, width; /* channels: 1 or 3; sides: 1 to IMAGE_MAX_SIDE */
    enum image_fit fit;
    uint8_t background[3]; /* red, green, blue; under transparent pixels and around a padded picture */
};

/* What a picture's header tells. */
struct image_header {
    int64_t height, width; /* of the upright picture */
    bool colour;           /* false: the file stores grey, with or without alpha, or a palette of greys */
};

/* Reads the header of a PNG or JPEG file and none of its pixels. Of a JPEG the bytes before the first pixel are read,
 * of a PNG a few bytes of each chunk. The file may still be damaged behind its header. Errors are those of
 * image_read_fitted; too large a picture is one of them. */
bool image_probe(struct image_header *header, const char *path, struct status *status);

/* Reads a PNG or JPEG file of any name and fits it, with 3 channels (red, green, blue) or 1 (0.299 R + 0.587 G + 0.114 B,
 * rounded, made before the picture is scaled). The pixels are those of Pillow's ImageOps.exif_transpose, then
 * alpha_composite on the background, then convert, then the fit:
 *   - The EXIF orientation of a JPEG or PNG turns the picture upright.
 *   - Transparent pixels lie on the background.
 *   - Of 16 bits the upper 8 count. No gamma and no colour profile is applied.
 *   - CMYK is taken for Adobe's, which is inverted.
 * docs/using-a-model.md says where Pillow differs. A JPEG with bytes that belong to nothing is read, with a warning.
 * `pixels` is the caller's memory for (C,H,W) of the format; after an error its content is undefined. Errors
 * (STATUS_RUNTIME) name the file and the cause. Damaged and cut-off files, other kinds of pictures, pipes and devices are
 * errors; the reader does not wait for a pipe.
 *
 * A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which libjpeg-turbo does many times faster than the whole. The
 * reduction is the largest s of 8, 4, 2 and 1 with
 *
 *   s <= floor(width / 2w)  and  s <= floor(height / 2h)
 *
 * where w x h is the size that the picture is fitted to: the format's, or for IMAGE_FIT_PAD the part of it that the
 * picture fills. So what is scaled still has at least twice the pixels of the result in both directions, and a picture
 * that is smaller than 4w or 4h is decoded whole. That is Pillow's draft(None, (2w, 2h)), and thumbnail's reducing_gap of
 * 2. The decoded picture, ceil(width / s) x ceil(height / s), takes the place of the whole in the fit. */
bool image_read_fitted(uint8_t *pixels, const char *path, const struct image_format *format, struct status *status);

/* The same of a file's bytes in memory; `path` is for messages. */
bool image_read_fitted_bytes(uint8_t *pixels, const char *path, const uint8_t *bytes, size_t size,
                             const struct image_format *format, struct status *status);

/* --- pictures in memory --- */

struct image {
    int64_t channels, height, width;
    uint8_t *pixels; /* (C,H,W); owned */
};

/* Writes an image of 1 or 3 channels as a PNG file, which appears whole or not at all. Errors name the file and the
 * cause. */
bool image_write_png(const struct image *image, const char *path, struct status *status);

void image_free(struct image *image); /* leaves it empty; an empty one is allowed */

#endif
