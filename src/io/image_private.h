/* The parts that the decoders of pictures share. */
#ifndef IO_IMAGE_PRIVATE_H
#define IO_IMAGE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/image.h"

/* A picture's file in memory. */
struct image_source {
    const char *path; /* for messages */
    uint8_t *bytes;
    size_t size;
};

/* A picture in rows of interleaved red, green and blue. */
struct image_rgb {
    int64_t height, width;
    uint8_t *pixels;
    int orientation; /* EXIF's tag: 1 is upright, 2 to 8 are mirrored or turned (image_orientation.c) */
};

/* Fills `status` with the path and a message. */
bool image_fail(const struct image_source *source, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks the size that a header announces, and takes memory for `bytes` bytes per pixel: 3, or more for a decoder that
 * needs them. */
bool image_take_size(const struct image_source *source, struct image_rgb *rgb, int64_t height, int64_t width, int bytes,
                     struct status *status);

/* Decode a file. The caller frees rgb->pixels, after an error too. */
bool image_decode_png(const struct image_source *source, struct image_rgb *rgb, struct status *status);
bool image_decode_jpeg(const struct image_source *source, struct image_rgb *rgb, struct status *status);

/* Returns the orientation in a block of EXIF that begins with "Exif\0\0", or 1 where the block has no valid one. A
 * build without libexif says on the standard error that the block was not read. */
int image_orientation_find(const struct image_source *source, const uint8_t *block, size_t size);

/* Turns and mirrors the pixels until they are upright. */
void image_orientation_apply(struct image_rgb *rgb);

#endif
