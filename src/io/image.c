/* Reads a picture's file, finds its kind, and has it decoded and fitted. The decoders are in image_png.c and
 * image_jpeg.c. */
#include "io/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/image_private.h"
#include "util/check.h"
#include "util/file_regular.h"
#include "util/memory.h"

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

static bool read_bytes(struct image_source *source, FILE *file, int64_t size, uint8_t **bytes, struct status *status)
{
    *bytes = memory_alloc((size_t)size + 1, 1);
    errno = 0;
    source->size = fread(*bytes, 1, (size_t)size, file);
    source->bytes = *bytes;
    if (ferror(file)) return image_fail(source, status, "cannot read: %s", strerror(errno));
    return true;
}

/* Opens the file at source->path. NULL after an error. */
static FILE *open_file(const struct image_source *source, int64_t *size, struct status *status)
{
    FILE *file = file_regular_stream(source->path, size, status);
    if (!file || *size <= IMAGE_MAX_FILE) return file;
    fclose(file);
    image_fail(source, status, "%" PRId64 " bytes, expected at most %" PRId64, *size, IMAGE_MAX_FILE);
    return NULL;
}

/* Reads the whole file. *bytes is the caller's, after an error too. */
static bool read_file(struct image_source *source, uint8_t **bytes, struct status *status)
{
    int64_t size;
    FILE *file = open_file(source, &size, status);
    *bytes = NULL;
    if (!file) return false;
    bool good = read_bytes(source, file, size, bytes, status);
    fclose(file);
    return good;
}

bool image_check_size(const struct image_source *source, int64_t height, int64_t width, struct status *status)
{
    if (height < 1 || width < 1) return image_fail(source, status, "not a good picture file: it has no pixels");
    if (height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE || height * width > IMAGE_MAX_PIXELS)
        return image_fail(source, status,
                          "a picture of %" PRId64 "x%" PRId64 " pixels, expected at most %d on a side and %" PRId64
                          " in all",
                          width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
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

static bool decode(const struct image_source *source, struct image_stored *stored, struct status *status)
{
    *stored = (struct image_stored){.orientation = 1};
    return is_kind(source, &png)    ? image_decode_png(source, stored, status)
           : is_kind(source, &jpeg) ? image_decode_jpeg(source, stored, status)
                                    : fail_kind(source, status);
}

/* --- reading --- */

static bool probe_file(struct image_source *source, FILE *file, struct image_header *header, struct status *status)
{
    uint8_t start[64];
    int orientation = 1;
    source->bytes = start, source->size = fread(start, 1, sizeof start, file);
    rewind(file);
    bool good = is_kind(source, &png)    ? image_probe_png(source, file, header, &orientation, status)
                : is_kind(source, &jpeg) ? image_probe_jpeg(source, file, header, &orientation, status)
                                         : fail_kind(source, status);
    if (good && image_orientation_is_sideways(orientation))
        *header = (struct image_header){header->width, header->height, header->colour};
    return good && image_check_size(source, header->height, header->width, status);
}

bool image_probe(struct image_header *header, const char *path, struct status *status)
{
    int64_t size;
    struct image_source source = {.path = path};
    FILE *file = open_file(&source, &size, status);
    if (!file) return false;
    bool good = probe_file(&source, file, header, status);
    fclose(file);
    return good;
}

static void check_format(const struct image_format *format)
{
    CHECK(format->channels == 1 || format->channels == 3);
    CHECK(format->height >= 1 && format->height <= IMAGE_MAX_SIDE);
    CHECK(format->width >= 1 && format->width <= IMAGE_MAX_SIDE);
}

bool image_read_fitted_bytes(uint8_t *pixels, const char *path, const uint8_t *bytes, size_t size,
                             const struct image_format *format, struct status *status)
{
    struct image_source source = {path, bytes, size, format};
    struct image_stored stored;
    check_format(format);
    bool good = decode(&source, &stored, status);
    if (good) image_fit(&stored, format, pixels);
    free(stored.pixels);
    return good;
}

bool image_read_fitted(uint8_t *pixels, const char *path, const struct image_format *format, struct status *status)
{
    struct image_source source = {.path = path};
    uint8_t *bytes;
    bool good =
        read_file(&source, &bytes, status) && image_read_fitted_bytes(pixels, path, bytes, source.size, format, status);
    free(bytes);
    return good;
}

void image_free(struct image *image)
{
    free(image->pixels);
    *image = (struct image){0};
}
