/* The parts that the readers of pictures share. A picture goes from bytes to struct image_stored (a decoder), is seen
 * upright (struct image_view), and is read row by row (struct image_rows) while it is scaled. */
#ifndef IO_IMAGE_PRIVATE_H
#define IO_IMAGE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "io/image.h"

/* --- decoding --- */

/* A picture's file in memory, and what it is decoded for. */
struct image_source {
    const char *path; /* for messages */
    const uint8_t *bytes;
    size_t size;
    const struct image_format *format; /* NULL: the picture keeps its size */
};

/* A picture as its file stores it. */
struct image_stored {
    int64_t height, width;
    int samples;     /* of a pixel, side by side: 1 grey; 3 red, green, blue; 4 with alpha behind them */
    int orientation; /* EXIF's tag: 1 is upright, 2 to 8 are mirrored or turned (image_orientation.c) */
    uint8_t *pixels; /* rows from the top; owned */
};

/* Fills `status` with the path and a message. */
bool image_fail(const struct image_source *source, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks the size that a header announces. */
bool image_check_size(const struct image_source *source, int64_t height, int64_t width, struct status *status);

/* Decode a file. `stored` comes with the orientation 1. The caller frees stored->pixels, after an error too. */
bool image_decode_png(const struct image_source *source, struct image_stored *stored, struct status *status);
bool image_decode_jpeg(const struct image_source *source, struct image_stored *stored, struct status *status);

/* Read a header from the start of `file`: the size as it is stored, and the colour. `source` has the path. They set the
 * orientation where the file has one. */
bool image_probe_png(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                     struct status *status);
bool image_probe_jpeg(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                      struct status *status);

/* --- standing upright --- */

/* Returns the orientation in a block of EXIF that begins with "Exif\0\0", or 1 where the block has no valid one. A
 * build without libexif warns that the block was not read. */
int image_orientation_find(const struct image_source *source, const uint8_t *block, size_t size);

/* Tells whether the upright picture is as high as the stored one is wide. */
bool image_orientation_is_sideways(int orientation);

/* A picture seen upright: the pixel at (h,w) is at first + h down + w right. */
struct image_view {
    int64_t height, width;
    int samples;
    const uint8_t *first;
    ptrdiff_t down, right; /* bytes */
};

struct image_view image_orientation_view(const struct image_stored *stored);

/* --- rows --- */

/* The rows of an upright picture as pixels of 1 or 3 channels. */
struct image_rows {
    struct image_view view;
    int64_t channels;
    const uint8_t *background; /* red, green, blue; lies under transparent pixels */
};

/* Writes the pixels (h,first) to (h,first+count-1) with their channels side by side. */
void image_rows_read(const struct image_rows *rows, int64_t h, int64_t first, int64_t count, uint8_t *to);

/* Returns 0.299 R + 0.587 G + 0.114 B in steps of 1/65536, rounded, as Pillow computes it. */
uint8_t image_luminance(const uint8_t rgb[3]);

/* --- fitting and scaling --- */

/* A part of a picture, in pixels from its upper left corner. Single precision is Pillow's. */
struct image_box {
    float left, top, right, bottom;
};

/* The memory that a scaled picture goes to. */
struct image_target {
    uint8_t *pixels; /* the upper left pixel's first channel */
    int64_t height, width;
    int64_t row, plane; /* bytes from a row to the next, from a channel to the next */
};

/* Scales the box to the target. enum image_fit in io/image.h has the formula. */
void image_resample(const struct image_rows *rows, const struct image_box *box, const struct image_target *to);

/* Returns by how much a picture of this stored size may be reduced while it is decoded: 1, 2, 4 or 8. */
int image_fit_reduction(const struct image_format *format, int64_t height, int64_t width, int orientation);

/* Fits a decoded picture into (C,H,W) of the format. */
void image_fit(const struct image_stored *stored, const struct image_format *format, uint8_t *pixels);

#endif
