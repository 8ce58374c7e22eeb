/* Images for the page: PNG in the text of a data URI (RFC 2397). */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_json.h"
#include "util/check.h"
#include "util/memory.h"

#ifdef TRAINER_PNG
#include <png.h>

/* Turns (C,H,W) into pixel after pixel: the first three channels in colour, or the first one in grey. */
static uint8_t *interleave(const uint8_t *pixels, int64_t plane, int64_t shown)
{
    uint8_t *bytes = memory_alloc((size_t)(plane * shown), 1);
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < shown; c++) bytes[i * shown + c] = pixels[c * plane + i];
    return bytes;
}

static json_t *data_uri(const uint8_t *bytes, size_t size)
{
    static const char head[] = "data:image/png;base64,";
    char *text = memory_alloc(sizeof head + (size + 2) / 3 * 4 + 1, 1);
    strcpy(text, head);
    EVP_EncodeBlock((unsigned char *)text + sizeof head - 1, bytes, (int)size);
    json_t *json = json_string(text);
    free(text);
    return json;
}

json_t *report_image_json(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width)
{
    int64_t shown = channels >= 3 ? 3 : 1;
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height};
    image.format = shown == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    uint8_t *bytes = interleave(pixels, height * width, shown);
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *file = memory_alloc(size, 1);
    CHECK(png_image_write_to_memory(&image, file, &size, 0, bytes, 0, NULL));
    json_t *json = data_uri(file, size);
    free(file);
    free(bytes);
    return json;
}

#else

json_t *report_image_json(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width)
{
    (void)pixels, (void)channels, (void)height, (void)width;
    return json_null();
}

#endif
