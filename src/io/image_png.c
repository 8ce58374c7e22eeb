/* Reads PNG files by libpng and gives Pillow's pixels. The chunks gAMA, sRGB and iCCP change no number, 16 bits become
 * the upper 8, and transparent pixels are laid on white in the stored numbers. */
#include "io/image_private.h"

#ifdef TRAINER_PNG
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/memory.h"

/* libpng leaves by longjmp, so everything that must outlive the jump is in here. */
struct reader {
    const struct image_source *source;
    struct image_rgb *rgb;
    struct status *status;
    size_t offset; /* bytes of the file that libpng took so far */
    png_structp png;
    png_infop info;
    png_bytep *rows;
    char message[256];
    jmp_buf jump;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct reader *reader = png_get_error_ptr(png);
    strncpy(reader->message, message, sizeof reader->message - 1);
    longjmp(reader->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png, (void)message; /* the warnings concern chunks that the pixels do not depend on */
}

static void read_data(png_structp png, png_bytep to, size_t size)
{
    struct reader *reader = png_get_io_ptr(png);
    if (size > reader->source->size - reader->offset) png_error(png, "it ends too early");
    memcpy(to, reader->source->bytes + reader->offset, size);
    reader->offset += size;
}

/* Makes libpng turn every kind of PNG into rows of red, green, blue and alpha, 8 bits each. */
static void ask_for_rgba(png_structp png)
{
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
    png_set_interlace_handling(png);
}

/* Returns round((a s + (255 - a) 255) / 255) in whole numbers, for the alpha a and the sample s. */
static uint8_t on_white(uint8_t sample, uint8_t alpha)
{
    uint32_t sum = (uint32_t)alpha * sample + (255U - alpha) * 255 + 0x80;
    return (uint8_t)((sum + (sum >> 8)) >> 8);
}

static void drop_alpha(struct image_rgb *rgb)
{
    const uint8_t *from = rgb->pixels;
    uint8_t *to = rgb->pixels;
    for (int64_t i = 0; i < rgb->height * rgb->width; i++, from += 4)
        for (int c = 0; c < 3; c++) *to++ = on_white(from[c], from[3]);
}

/* Reads the EXIF block. In a PNG it lacks the six bytes that begin it in a JPEG. */
static void find_orientation(struct reader *reader)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 size = 0;
    png_bytep bytes = NULL;
    if (!png_get_eXIf_1(reader->png, reader->info, &size, &bytes)) return;
    uint8_t *block = memory_alloc((size_t)size + 6, 1);
    memcpy(block, "Exif\0", 6);
    memcpy(block + 6, bytes, size);
    reader->rgb->orientation = image_orientation_find(reader->source, block, (size_t)size + 6);
    free(block);
#else
    (void)reader;
#endif
}

static bool read_pixels(struct reader *reader)
{
    png_structp png = reader->png;
    struct image_rgb *rgb = reader->rgb;
    if (setjmp(reader->jump))
        return image_fail(reader->source, reader->status, "not a good PNG file: %s", reader->message);
    png_read_info(png, reader->info);
    if (!image_take_size(reader->source, rgb, png_get_image_height(png, reader->info),
                         png_get_image_width(png, reader->info), 4, reader->status))
        return false;
    reader->rows = memory_alloc((size_t)rgb->height, sizeof *reader->rows);
    for (int64_t h = 0; h < rgb->height; h++) reader->rows[h] = rgb->pixels + 4 * h * rgb->width;
    ask_for_rgba(png);
    png_read_image(png, reader->rows);
    png_read_end(png, reader->info);
    find_orientation(reader);
    return true;
}

bool image_decode_png(const struct image_source *source, struct image_rgb *rgb, struct status *status)
{
    struct reader *reader = memory_alloc(1, sizeof *reader);
    *reader = (struct reader){.source = source, .rgb = rgb, .status = status};
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
    if (reader->png) reader->info = png_create_info_struct(reader->png);
    bool good = reader->info || image_fail(source, status, "cannot decode: libpng does not start");
    if (good) {
        png_set_read_fn(reader->png, reader, read_data);
        good = read_pixels(reader);
    }
    if (good) drop_alpha(rgb);
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader->rows);
    free(reader);
    return good;
}
#else
bool image_decode_png(const struct image_source *source, struct image_rgb *rgb, struct status *status)
{
    (void)rgb;
    return image_fail(source, status, "a PNG file, and this build has no libpng (Debian: libpng-dev)");
}
#endif
