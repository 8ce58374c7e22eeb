/* What the decoders of pictures share. */
#ifndef IO_IMAGE_PRIVATE_H
#define IO_IMAGE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/image.h"

/* A file in memory. */
struct image_source {
    const char *path; /* for messages */
    uint8_t *bytes;
    size_t size;
};

/* Rows of interleaved red, green, blue. */
struct image_rgb {
    int64_t height, width;
    uint8_t *pixels;
    int orientation; /* EXIF's: 1 is upright, 2 to 8 are mirrored or turned; see image_orientation.c */
};

/* Fills `status` with the path and a message. */
bool image_fail(const struct image_source *source, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks the size that a header announces, and takes memory for `bytes` a pixel: 3, or as many as the decoder needs. */
bool image_take_size(const struct image_source *source, struct image_rgb *rgb, int64_t height, int64_t width, int bytes,
                     struct status *status);

/* Both leave rgb->pixels to be freed by the caller, after an error too. */
bool image_decode_png(const struct image_source *source, struct image_rgb *rgb, struct status *status);
bool image_decode_jpeg(const struct image_source *source, struct image_rgb *rgb, struct status *status);

/* The orientation in a block of EXIF that begins with "Exif\0\0"; 1 where it has none, or none that there is. A build
 * without libexif says on the standard error that the block was not read. */
int image_orientation_find(const struct image_source *source, const uint8_t *block, size_t size);

/* Turns and mirrors the pixels until they are upright. */
void image_orientation_apply(struct image_rgb *rgb);

#endif
