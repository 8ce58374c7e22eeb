/* Reads pictures in their own size, and scales them. */
#ifndef TESTS_IMAGE_SUPPORT_H
#define TESTS_IMAGE_SUPPORT_H

#include "io/image.h"
#include "util/memory.h"

/* Reads a picture on white, in the size that its header tells. Free with image_free; after an error the image is
 * empty. A picture whose header is refused must be refused by the reader too, whose message is given. */
static inline bool picture_read(struct image *image, const char *path, int64_t channels, struct status *status)
{
    struct image_header header;
    bool known = image_probe(&header, path, status);
    if (!known) header.height = header.width = 1;
    struct image_format format = {channels, header.height, header.width, IMAGE_FIT_STRETCH, {255, 255, 255}};
    *image = (struct image){channels, header.height, header.width, NULL};
    image->pixels = memory_alloc((size_t)(header.height * header.width), (size_t)channels);
    if (image_read_fitted(image->pixels, path, &format, status) && known) return true;
    image_free(image);
    return false;
}

/* Scales an image by way of a PNG file in the current folder. */
static inline bool picture_stretch(struct image *image, int64_t height, int64_t width, struct status *status)
{
    const char *path = "stretched.png";
    struct image_format format = {image->channels, height, width, IMAGE_FIT_STRETCH, {0}};
    struct image stretched = {image->channels, height, width, NULL};
    if (!image_write_png(image, path, status)) return false;
    stretched.pixels = memory_alloc((size_t)(height * width), (size_t)image->channels);
    image_free(image);
    *image = stretched;
    return image_read_fitted(image->pixels, path, &format, status);
}

#endif
