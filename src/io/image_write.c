/* Writes a picture as PNG by libpng. */
#include "io/image.h"

#include <stdlib.h>

#include "util/check.h"
#include "util/file_atomic.h"
#include "util/memory.h"

#ifdef TRAINER_PNG
#include <png.h>

/* Returns the picture with the channels of a pixel side by side, in new memory. */
static uint8_t *interleave(const struct image *image)
{
    int64_t plane = image->height * image->width;
    uint8_t *bytes = memory_alloc((size_t)plane, (size_t)image->channels), *to = bytes;
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < image->channels; c++) *to++ = image->pixels[c * plane + i];
    return bytes;
}

static bool write_file(const void *bytes, size_t size, const char *path, struct status *status)
{
    struct file_atomic file;
    return file_atomic_open(&file, path, status) && file_atomic_write(&file, bytes, size, status) &&
           file_atomic_commit(&file, status);
}

bool image_write_png(const struct image *image, const char *path, struct status *status)
{
    CHECK(image->channels == 1 || image->channels == 3);
    CHECK(image->height <= IMAGE_MAX_SIDE && image->width <= IMAGE_MAX_SIDE);
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = image->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *pixels = interleave(image), *bytes = memory_alloc(size, 1);
    bool good = png_image_write_to_memory(&png, bytes, &size, 0, pixels, 0, NULL);
    if (good)
        good = write_file(bytes, size, path, status);
    else
        status_fail(status, STATUS_RUNTIME, "%s: libpng: %s", path, png.message);
    free(pixels), free(bytes);
    return good;
}
#else
bool image_write_png(const struct image *image, const char *path, struct status *status)
{
    (void)image;
    return status_fail(status, STATUS_RUNTIME, "%s: this trainer was built without libpng (Debian: libpng-dev)", path);
}
#endif
