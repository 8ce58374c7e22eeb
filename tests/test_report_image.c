/* Tests images in the page about runs: PNG files in data URIs, which libpng reads back. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "../src/report/report_json.h"
#include "util/memory.h"

/* Returns the pixels (H,W,3) of a PNG in a data URI. */
static uint8_t *decode(const char *uri, int64_t height, int64_t width)
{
    static const char head[] = "data:image/png;base64,";
    cr_assert_eq(strncmp(uri, head, sizeof head - 1), 0, "%s", uri);
    const char *text = uri + sizeof head - 1;
    uint8_t *file = memory_alloc(strlen(text), 1), *pixels = memory_alloc((size_t)(height * width), 3);
    /* The size may count up to two zeros too many. */
    int size = EVP_DecodeBlock(file, (const unsigned char *)text, (int)strlen(text));
    png_image image = {.version = PNG_IMAGE_VERSION};
    cr_assert(size > 0 && png_image_begin_read_from_memory(&image, file, (size_t)size), "%s", image.message);
    cr_assert(image.width == width && image.height == height && !(image.format & PNG_FORMAT_FLAG_ALPHA));
    image.format = PNG_FORMAT_RGB;
    cr_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL), "%s", image.message);
    free(file);
    return pixels;
}

/* Expects colour for three channels and more, else the first channel in grey. */
static void expect_image(int64_t channels, int64_t height, int64_t width)
{
    int64_t plane = height * width;
    uint8_t *pixels = memory_alloc((size_t)(channels * plane), 1);
    for (int64_t i = 0; i < channels * plane; i++) pixels[i] = (uint8_t)(31 * i + i / 7);
    json_t *uri = report_image_json(pixels, channels, height, width);
    uint8_t *shown = decode(json_string_value(uri), height, width);
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < 3; c++) cr_assert_eq(shown[3 * i + c], pixels[(channels >= 3 ? c : 0) * plane + i]);
    free(shown);
    free(pixels);
    json_decref(uri);
}

Test(report_image, every_pixel_comes_back)
{
    for (int64_t channels = 1; channels <= 4; channels++)
        for (int64_t width = 1; width <= 5; width++) expect_image(channels, 2, width); /* base64 pads in threes */
    expect_image(3, 32, 32);
    expect_image(1, 256, 253);
}
