/* Reads a picture's file, finds its kind, and sorts the pixels into planes. The decoders are in image_png.c and
 * image_jpeg.c. */
#include "trainer/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/image_private.h"
#include "trainer/check.h"
#include "trainer/memory.h"
#include "util/file_regular.h"

bool image_fail(const struct image_source *source, struct status *status, const char *format, ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_fail(status, STATUS_RUNTIME, "%s: %s", source->path, message);
}

/* --- the file --- */

static bool read_bytes(struct image_source *source, FILE *file, int64_t size, struct status *status)
{
    if (size > IMAGE_MAX_FILE)
        return image_fail(source, status, "%" PRId64 " bytes, expected at most %" PRId64, size, IMAGE_MAX_FILE);
    source->bytes = memory_alloc((size_t)size + 1, 1);
    errno = 0;
    source->size = fread(source->bytes, 1, (size_t)size, file);
    if (ferror(file)) return image_fail(source, status, "cannot read: %s", strerror(errno));
    return true;
}

static bool read_file(struct image_source *source, struct status *status)
{
    int64_t size;
    FILE *file = file_regular_stream(source->path, &size, status);
    if (!file) return false;
    bool good = read_bytes(source, file, size, status);
    fclose(file);
    return good;
}

bool image_take_size(const struct image_source *source, struct image_rgb *rgb, int64_t height, int64_t width, int bytes,
                     struct status *status)
{
    if (height < 1 || width < 1) return image_fail(source, status, "not a good picture file: it has no pixels");
    if (height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE || height * width > IMAGE_MAX_PIXELS)
        return image_fail(source, status,
                          "a picture of %" PRId64 "x%" PRId64 " pixels, expected at most %d on a side and %" PRId64
                          " in all",
                          width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    rgb->height = height, rgb->width = width;
    rgb->pixels = memory_alloc((size_t)(height * width), (size_t)bytes);
    return true;
}

/* --- what kind of file it is --- */

struct magic {
    size_t offset;
    const char *bytes;
    size_t size;
    const char *name;
};

#define MAGIC(offset, bytes, name)                                                                                     \
    {                                                                                                                  \
        offset, bytes, sizeof bytes - 1, name                                                                          \
    }

static const struct magic png = MAGIC(0, "\x89PNG", "PNG"), jpeg = MAGIC(0, "\xFF\xD8\xFF", "JPEG");

/* Kinds of files that are common among pictures and that the program does not read. */
static const struct magic others[] = {
    MAGIC(0, "BM", "a BMP picture"),
    MAGIC(0, "GIF8", "a GIF picture"),
    MAGIC(8, "WEBP", "a WebP picture"),
    MAGIC(0, "II*\0", "a TIFF picture"),
    MAGIC(0, "MM\0*", "a TIFF picture"),
    MAGIC(4, "ftyphei", "a HEIC picture"),
    MAGIC(4, "ftypmif1", "a HEIC picture"),
    MAGIC(4, "ftypavif", "an AVIF picture"),
    MAGIC(4, "jP  ", "a JPEG 2000 picture"),
    MAGIC(0, "\xFF\x0A", "a JPEG XL picture"),
    MAGIC(4, "JXL ", "a JPEG XL picture"),
    MAGIC(0, "8BPS", "a Photoshop file"),
    MAGIC(0, "%PDF", "a PDF file"),
    MAGIC(0, "<svg", "an SVG picture"),
    MAGIC(0, "<!DOCTYPE", "a web page"),
    MAGIC(0, "<!doctype", "a web page"),
    MAGIC(0, "<html", "a web page"),
    MAGIC(0, "\x93NUMPY", "a NumPy array"),
    MAGIC(0, "\x1F\x8B", "a gzip file"),
    MAGIC(0, "PK\3\4", "a zip file"),
    MAGIC(0, "version https://git-lfs", "a pointer of Git LFS to the file, not the file"),
};

static bool is_kind(const struct image_source *source, const struct magic *magic)
{
    return source->size >= magic->offset + magic->size &&
           memcmp(source->bytes + magic->offset, magic->bytes, magic->size) == 0;
}

static bool fail_kind(const struct image_source *source, struct status *status)
{
    if (source->size == 0) return image_fail(source, status, "expected a PNG or JPEG file, found an empty one");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_kind(source, &others[i]))
            return image_fail(source, status, "expected a PNG or JPEG file, found %s", others[i].name);
    return image_fail(source, status, "neither a PNG nor a JPEG file");
}

static bool decode(const struct image_source *source, struct image_rgb *rgb, struct status *status)
{
    bool good = is_kind(source, &png)    ? image_decode_png(source, rgb, status)
                : is_kind(source, &jpeg) ? image_decode_jpeg(source, rgb, status)
                                         : fail_kind(source, status);
    if (good) image_orientation_apply(rgb);
    return good;
}

/* --- planes --- */

/* Returns 0.299 R + 0.587 G + 0.114 B in steps of 1/65536, as Pillow computes it. */
static uint8_t luminance(const uint8_t *pixel)
{
    return (uint8_t)((19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 0x8000) >> 16);
}

static void split_planes(struct image *image, const struct image_rgb *rgb)
{
    int64_t plane = image->height * image->width;
    for (int64_t i = 0; i < plane; i++) {
        const uint8_t *pixel = rgb->pixels + 3 * i;
        for (int64_t c = 0; c < image->channels; c++)
            image->pixels[c * plane + i] = image->channels == 1 ? luminance(pixel) : pixel[c];
    }
}

bool image_read(struct image *image, const char *path, int64_t channels, struct status *status)
{
    struct image_source source = {.path = path};
    struct image_rgb rgb = {.orientation = 1};
    CHECK(channels == 1 || channels == 3);
    bool good = read_file(&source, status) && decode(&source, &rgb, status);
    *image = (struct image){0};
    if (good) {
        *image = (struct image){channels, rgb.height, rgb.width, NULL};
        image->pixels = memory_alloc((size_t)(rgb.height * rgb.width), (size_t)channels);
        split_planes(image, &rgb);
    }
    free(rgb.pixels);
    free(source.bytes);
    return good;
}

void image_free(struct image *image)
{
    free(image->pixels);
    *image = (struct image){0};
}
