/* JPEG files for tests. Include after criterion. */
#ifndef TESTS_JPEG_SUPPORT_H
#define TESTS_JPEG_SUPPORT_H

#include <stdio.h>

#include <jpeglib.h>

enum jpeg_kind { JPEG_444, JPEG_420, JPEG_GREY };

/* Writes rows of red, green and blue pixels. `block` is a block of EXIF of `block_size` bytes for the file's start, or
 * NULL. */
static inline void jpeg_write_with(const char *path, int width, int height, enum jpeg_kind kind, const uint8_t *pixels,
                                   const uint8_t *block, unsigned block_size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)width, jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 3, jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (kind == JPEG_GREY) jpeg_set_colorspace(&jpeg, JCS_GRAYSCALE);
    jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = kind == JPEG_420 ? 2 : 1;
    jpeg_start_compress(&jpeg, TRUE);
    if (block) jpeg_write_marker(&jpeg, JPEG_APP0 + 1, block, block_size);
    for (int h = 0; h < height; h++) {
        JSAMPROW row = (JSAMPROW)pixels + 3 * h * width;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

static inline void jpeg_write(const char *path, int width, int height, enum jpeg_kind kind, const uint8_t *pixels)
{
    jpeg_write_with(path, width, height, kind, pixels, NULL, 0);
}

#endif
