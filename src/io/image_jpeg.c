/* Reads JPEG files by libjpeg-turbo and gives Pillow's pixels: the accurate transform, interpolated colours, and CMYK
 * in Adobe's way. */
#include "io/image_private.h"

#ifdef TRAINER_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "util/memory.h"
#include "util/warning.h"

enum { SCANS_MAX = 500 }; /* progressive files with more scans are made to take long */

/* libjpeg leaves by longjmp, so everything that must outlive the jump is in here. */
struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    const struct image_source *source;
    struct image_stored *stored;
    struct status *status;
    uint8_t *row;                   /* one row of CMYK pixels */
    char message[JMSG_LENGTH_MAX];  /* the error that ends the reading */
    char harmless[JMSG_LENGTH_MAX]; /* the first harmless warning, or "" */
    jmp_buf jump;
};

static void on_error(j_common_ptr common)
{
    struct reader *reader = common->client_data;
    common->err->format_message(common, reader->message);
    longjmp(reader->jump, 1);
}

/* Tells whether the pixels are whole in spite of the warning. Many files of cameras and of public data sets have bytes
 * before a marker that belong to nothing. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM ||
           code == JWRN_BOGUS_ICC || code == JWRN_NOT_SEQUENTIAL;
}

/* A level below 0 is a warning. It ends the reading unless it is harmless. */
static void on_message(j_common_ptr common, int level)
{
    struct reader *reader = common->client_data;
    if (level >= 0) return;
    if (!is_harmless(common->err->msg_code)) on_error(common);
    if (!*reader->harmless) common->err->format_message(common, reader->harmless);
}

static void check_scans(j_common_ptr common)
{
    struct reader *reader = common->client_data;
    if (((j_decompress_ptr)common)->input_scan_number <= SCANS_MAX) return;
    snprintf(reader->message, sizeof reader->message, "more than %d scans", SCANS_MAX);
    longjmp(reader->jump, 1);
}

static int find_orientation(const struct reader *reader)
{
    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker; marker = marker->next)
        if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0", 6) == 0)
            return image_orientation_find(reader->source, marker->data, marker->data_length);
    return 1;
}

/* Returns round(a b / 255). */
static uint8_t scale(uint32_t a, uint32_t b)
{
    uint32_t product = a * b + 0x80;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* Adobe's CMYK counts downwards: 255 is no ink. So a colour is the product of its own value and black's, over 255. */
static void write_cmyk_row(const uint8_t *cmyk, uint8_t *rgb, int64_t width)
{
    for (int64_t w = 0; w < width; w++)
        for (int c = 0; c < 3; c++)
            rgb[3 * w + c] = (uint8_t)(cmyk[4 * w + 3] - scale(255U - cmyk[4 * w + c], cmyk[4 * w + 3]));
}

static void take_pixels(struct reader *reader)
{
    struct image_stored *stored = reader->stored;
    stored->height = reader->jpeg.output_height, stored->width = reader->jpeg.output_width;
    stored->samples = reader->jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3;
    stored->pixels = memory_alloc((size_t)(stored->height * stored->width), (size_t)stored->samples);
}

static void read_rows(struct reader *reader)
{
    const struct image_stored *stored = reader->stored;
    bool cmyk = reader->jpeg.out_color_space == JCS_CMYK;
    if (cmyk) reader->row = memory_alloc((size_t)stored->width, 4);
    while (reader->jpeg.output_scanline < reader->jpeg.output_height) {
        uint8_t *to = stored->pixels + stored->samples * (int64_t)reader->jpeg.output_scanline * stored->width;
        JSAMPROW row = cmyk ? reader->row : to;
        jpeg_read_scanlines(&reader->jpeg, &row, 1);
        if (cmyk) write_cmyk_row(reader->row, to, stored->width);
    }
}

/* Chooses the colours and the size that libjpeg gives: those of the file, or a part of the size. */
static void choose_output(struct reader *reader)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    int components = jpeg->num_components;
    jpeg->out_color_space = components == 4 ? JCS_CMYK : components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    if (!reader->source->format) return;
    jpeg->scale_num = 1;
    jpeg->scale_denom = (unsigned)image_fit_reduction(reader->source->format, jpeg->image_height, jpeg->image_width,
                                                      reader->stored->orientation);
}

/* Reads up to the first pixel. Errors leave by longjmp, too large a picture by false. */
static bool read_header(struct reader *reader)
{
    jpeg_save_markers(&reader->jpeg, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&reader->jpeg, TRUE);
    return image_check_size(reader->source, reader->jpeg.image_height, reader->jpeg.image_width, reader->status);
}

static bool read_picture(struct reader *reader)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (setjmp(reader->jump))
        return image_fail(reader->source, reader->status, "not a good JPEG file: %s", reader->message);
    jpeg_create_decompress(jpeg);
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, reader->source->bytes, reader->source->size);
    if (!read_header(reader)) return false;
    reader->stored->orientation = find_orientation(reader);
    choose_output(reader);
    jpeg_start_decompress(jpeg);
    take_pixels(reader);
    read_rows(reader);
    jpeg_finish_decompress(jpeg);
    return true;
}

static struct reader *reader_create(const struct image_source *source, struct status *status)
{
    struct reader *reader = memory_alloc(1, sizeof *reader);
    reader->source = source, reader->status = status;
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->jpeg.client_data = reader;
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->progress.progress_monitor = check_scans;
    return reader;
}

static void reader_free(struct reader *reader)
{
    jpeg_destroy_decompress(&reader->jpeg);
    free(reader->row);
    free(reader);
}

bool image_decode_jpeg(const struct image_source *source, struct image_stored *stored, struct status *status)
{
    struct reader *reader = reader_create(source, status);
    reader->stored = stored;
    bool good = read_picture(reader);
    if (good && *reader->harmless) warning_print("%s: read in spite of: %s", source->path, reader->harmless);
    reader_free(reader);
    return good;
}

/* --- the header alone --- */

static bool probe_picture(struct reader *reader, FILE *file, struct image_header *header, int *orientation)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (setjmp(reader->jump))
        return image_fail(reader->source, reader->status, "not a good JPEG file: %s", reader->message);
    jpeg_create_decompress(jpeg);
    jpeg_stdio_src(jpeg, file);
    if (!read_header(reader)) return false;
    *header = (struct image_header){jpeg->image_height, jpeg->image_width, jpeg->num_components != 1};
    *orientation = find_orientation(reader);
    return true;
}

bool image_probe_jpeg(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                      struct status *status)
{
    struct reader *reader = reader_create(source, status);
    bool good = probe_picture(reader, file, header, orientation);
    reader_free(reader);
    return good;
}
#else
bool image_decode_jpeg(const struct image_source *source, struct image_stored *stored, struct status *status)
{
    (void)stored;
    return image_fail(source, status, "a JPEG file, and this build has no libjpeg-turbo (Debian: libjpeg-dev)");
}

bool image_probe_jpeg(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                      struct status *status)
{
    (void)file, (void)header, (void)orientation;
    return image_decode_jpeg(source, NULL, status);
}
#endif
