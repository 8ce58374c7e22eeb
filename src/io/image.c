/* PNG by libpng, JPEG by libjpeg-turbo; both decode to rows of red, green, blue, which become planes here. */
#include "trainer/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef TRAINER_PNG
#include <png.h>
#endif
#ifdef TRAINER_JPEG
#include <turbojpeg.h>
#endif

#include "trainer/check.h"
#include "trainer/memory.h"
#include "util/file_regular.h"

struct source {
    const char *path;
    uint8_t *bytes;
    size_t size;
};

/* Rows of interleaved red, green, blue. */
struct rgb {
    int64_t height, width;
    uint8_t *pixels;
};

#define FAIL(source, ...) fail((source)->path, status, __VA_ARGS__)

static bool __attribute__((format(printf, 3, 4))) fail(const char *path, struct status *status, const char *format, ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_fail(status, STATUS_RUNTIME, "%s: %s", path, message);
}

/* --- the file --- */

static bool read_bytes(struct source *source, FILE *file, int64_t size, struct status *status)
{
    if (size > IMAGE_MAX_FILE)
        return FAIL(source, "%" PRId64 " bytes, expected at most %" PRId64, size, IMAGE_MAX_FILE);
    source->bytes = memory_alloc((size_t)size + 1, 1);
    errno = 0;
    source->size = fread(source->bytes, 1, (size_t)size, file);
    if (ferror(file)) return FAIL(source, "cannot read: %s", strerror(errno));
    return true;
}

static bool read_file(struct source *source, struct status *status)
{
    int64_t size;
    FILE *file = file_regular_stream(source->path, &size, status);
    if (!file) return false;
    bool good = read_bytes(source, file, size, status);
    fclose(file);
    return good;
}

/* Takes memory for the pixels of a picture that is not too large. */
static bool take_size(const struct source *source, struct rgb *rgb, int64_t height, int64_t width,
                      struct status *status)
{
    if (height < 1 || width < 1) return FAIL(source, "not a good picture file: it ends too early");
    if (height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE || height * width > IMAGE_MAX_PIXELS)
        return FAIL(source,
                    "a picture of %" PRId64 "x%" PRId64 " pixels, expected at most %d on a side and %" PRId64 " in all",
                    width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    *rgb = (struct rgb){height, width, memory_alloc((size_t)(height * width), 3)};
    return true;
}

/* --- formats --- */

#ifdef TRAINER_PNG
static bool decode_png(const struct source *source, struct rgb *rgb, struct status *status)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(&png, source->bytes, source->size))
        return FAIL(source, "not a good PNG file: %s", png.message);
    png.format = PNG_FORMAT_RGB;
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* 16 bits without a gamma are no different from 8 */
    const png_color white = {255, 255, 255};
    if (!take_size(source, rgb, png.height, png.width, status)) return png_image_free(&png), false;
    if (png_image_finish_read(&png, &white, rgb->pixels, 0, NULL)) return true;
    return FAIL(source, "not a good PNG file: %s", png.message);
}
#else
static bool decode_png(const struct source *source, struct rgb *rgb, struct status *status)
{
    (void)rgb;
    return FAIL(source, "a PNG file, and this build has no libpng (Debian: libpng-dev)");
}
#endif

#ifdef TRAINER_JPEG
static bool decompress_jpeg(const struct source *source, tjhandle jpeg, struct rgb *rgb, struct status *status)
{
    int width = 0, height = 0, sampling, colors = -1; /* which a file with tables alone leaves as they are */
    int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
    if (tjDecompressHeader3(jpeg, source->bytes, source->size, &width, &height, &sampling, &colors) != 0)
        return FAIL(source, "not a good JPEG file: %s", tjGetErrorStr2(jpeg));
    if (colors == TJCS_CMYK || colors == TJCS_YCCK)
        return FAIL(source, "a JPEG file in CMYK, expected grey or colours for screens");
    if (!take_size(source, rgb, height, width, status)) return false;
    if (tjDecompress2(jpeg, source->bytes, source->size, rgb->pixels, width, 0, height, TJPF_RGB, flags) != 0)
        return FAIL(source, "not a good JPEG file: %s", tjGetErrorStr2(jpeg));
    return true;
}

static bool decode_jpeg(const struct source *source, struct rgb *rgb, struct status *status)
{
    tjhandle jpeg = tjInitDecompress();
    if (!jpeg) return FAIL(source, "cannot decode: %s", tjGetErrorStr());
    bool good = decompress_jpeg(source, jpeg, rgb, status);
    tjDestroy(jpeg);
    return good;
}
#else
static bool decode_jpeg(const struct source *source, struct rgb *rgb, struct status *status)
{
    (void)rgb;
    return FAIL(source, "a JPEG file, and this build has no libjpeg-turbo (Debian: libturbojpeg0-dev)");
}
#endif

static bool decode(const struct source *source, struct rgb *rgb, struct status *status)
{
    const uint8_t png[] = {0x89, 'P', 'N', 'G'}, jpeg[] = {0xFF, 0xD8, 0xFF};
    if (source->size >= sizeof png && memcmp(source->bytes, png, sizeof png) == 0)
        return decode_png(source, rgb, status);
    if (source->size >= sizeof jpeg && memcmp(source->bytes, jpeg, sizeof jpeg) == 0)
        return decode_jpeg(source, rgb, status);
    return FAIL(source, "neither a PNG nor a JPEG file");
}

/* --- planes --- */

static uint8_t luminance(const uint8_t *pixel)
{
    return (uint8_t)((299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2] + 500) / 1000);
}

static void split_planes(struct image *image, const struct rgb *rgb)
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
    struct source source = {.path = path};
    struct rgb rgb = {0};
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
