/* A picture, PNG or JPEG. Input: a byte that says what the picture is made into, and the file. Pictures that announce
 * many pixels are left out, because decoding them only takes long: IMAGE_MAX_PIXELS has its test elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../image_support.h"
#include "fuzz.h"
#include "io/image.h"
#include "util/check.h"
#include "util/memory.h"

enum { PIXELS_TRIED = 1 << 16 };

static uint32_t big_endian(const uint8_t *from, int bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++) number = number << 8 | from[i];
    return number;
}

static bool is_large(uint64_t height, uint64_t width)
{
    return height * width > PIXELS_TRIED && height <= IMAGE_MAX_SIDE && width <= IMAGE_MAX_SIDE;
}

/* A PNG has its size in its first chunk; a JPEG in any segment from C0 to CF, wherever that may begin. */
static bool announces_many_pixels(const uint8_t *file, size_t size)
{
    if (size >= 24 && file[0] == 0x89) return is_large(big_endian(file + 16, 4), big_endian(file + 20, 4));
    for (size_t i = 0; i + 9 <= size; i++)
        if (file[i] == 0xFF && (file[i + 1] & 0xF0) == 0xC0 &&
            is_large(big_endian(file + i + 5, 2), big_endian(file + i + 7, 2)))
            return true;
    return false;
}

/* From the lowest bit: grey (1 bit), fit (2), height and width (2 each), a black background (1). */
static struct image_format format_of(uint8_t byte)
{
    static const int64_t sides[4] = {1, 5, 16, 67};
    struct image_format format = {.channels = byte & 1 ? 1 : 3, .fit = (enum image_fit)((byte >> 1 & 3) % 3)};
    format.height = sides[byte >> 3 & 3], format.width = sides[byte >> 5 & 3];
    memset(format.background, byte >> 7 ? 0 : 255, 3);
    return format;
}

static void check_grey(const struct image *image)
{
    size_t plane = (size_t)(image->height * image->width);
    for (int64_t c = 1; c < image->channels; c++)
        CHECK(memcmp(image->pixels, image->pixels + (size_t)c * plane, plane) == 0);
}

/* Reads a picture in the size that its header tells. */
static void read_whole(const char *path, int64_t channels)
{
    struct image image;
    struct image_header header;
    struct status status;
    if (!picture_read(&image, path, channels, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        return;
    }
    CHECK(image_probe(&header, path, &status) && header.height == image.height && header.width == image.width);
    if (!header.colour) check_grey(&image);
    image_free(&image);
}

static void read_fitted(const char *path, const struct image_format *format)
{
    struct image_header header;
    struct status status;
    uint8_t *pixels = memory_alloc((size_t)(format->height * format->width), (size_t)format->channels);
    if (!image_read_fitted(pixels, path, format, &status)) fuzz_check_refusal(&status, STATUS_RUNTIME);
    if (!image_probe(&header, path, &status)) fuzz_check_refusal(&status, STATUS_RUNTIME);
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    if (size < 1 || announces_many_pixels(data + 1, size - 1)) return -1;
    if (!*file.path) {
        fuzz_file_create(&file);
        stderr = fopen("/dev/null", "w"); /* lines about odd pictures, by the thousand */
        CHECK(stderr);
    }
    fuzz_file_set(&file, data + 1, size - 1);
    struct image_format format = format_of(data[0]);
    read_whole(file.path, format.channels);
    read_fitted(file.path, &format);
    return 0;
}
