/* Reads PNG files by libpng and gives Pillow's pixels. The chunks gAMA, sRGB and iCCP change no number, and 16 bits become
 * the upper 8. */
#include "io/image_private.h"

#ifdef TRAINER_PNG
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "util/memory.h"

/* libpng leaves by longjmp, so everything that must outlive the jump is in here. */
struct reader {
    const struct image_source *source;
    struct image_stored *stored;
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

/* Makes libpng turn every kind of PNG into rows of 8 bits: grey, or red, green and blue, with alpha where the file has
 * transparent pixels. Grey with alpha becomes a colour. */
static void ask_for_bytes(struct reader *reader)
{
    png_structp png = reader->png;
    png_set_expand(png);
    png_set_strip_16(png);
    if (png_get_color_type(png, reader->info) == PNG_COLOR_TYPE_GRAY_ALPHA ||
        png_get_valid(png, reader->info, PNG_INFO_tRNS))
        png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
}

static void take_pixels(struct reader *reader)
{
    struct image_stored *stored = reader->stored;
    stored->samples = png_get_channels(reader->png, reader->info);
    int64_t row = stored->width * stored->samples;
    stored->pixels = memory_alloc((size_t)stored->height, (size_t)row);
    reader->rows = memory_alloc((size_t)stored->height, sizeof *reader->rows);
    for (int64_t h = 0; h < stored->height; h++) reader->rows[h] = stored->pixels + h * row;
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
    reader->stored->orientation = image_orientation_find(reader->source, block, (size_t)size + 6);
    free(block);
#else
    (void)reader;
#endif
}

static bool read_pixels(struct reader *reader)
{
    png_structp png = reader->png;
    if (setjmp(reader->jump))
        return image_fail(reader->source, reader->status, "not a good PNG file: %s", reader->message);
    png_read_info(png, reader->info);
    reader->stored->height = png_get_image_height(png, reader->info);
    reader->stored->width = png_get_image_width(png, reader->info);
    if (!image_check_size(reader->source, reader->stored->height, reader->stored->width, reader->status)) return false;
    ask_for_bytes(reader);
    take_pixels(reader);
    png_read_image(png, reader->rows);
    png_read_end(png, reader->info);
    find_orientation(reader);
    return true;
}

bool image_decode_png(const struct image_source *source, struct image_stored *stored, struct status *status)
{
    struct reader *reader = memory_alloc(1, sizeof *reader);
    *reader = (struct reader){.source = source, .stored = stored, .status = status};
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
    if (reader->png) reader->info = png_create_info_struct(reader->png);
    bool good = reader->info || image_fail(source, status, "cannot decode: libpng does not start");
    if (good) {
        png_set_read_fn(reader->png, reader, read_data);
        good = read_pixels(reader);
    }
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader->rows);
    free(reader);
    return good;
}

/* --- the header alone --- */

enum {
    EXIF_MAX = 8000000,   /* libpng takes no larger chunk */
    CHUNKS_MAX = 1 << 20, /* files with more are made to take long */
};

/* libpng finds what lies behind the pixels only by decoding them. So the chunks are walked here: of IHDR, PLTE and eXIf
 * the content counts, and the others are stepped over. */
struct walk {
    const struct image_source *source;
    int file;
    off_t place;
    struct image_header *header;
    int *orientation;
};

static uint32_t number_of(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool walk_read(const struct walk *walk, int64_t offset, uint8_t *to, size_t size)
{
    return pread(walk->file, to, size, walk->place + offset) == (ssize_t)size;
}

/* A palette counts as colour if one of its entries is not grey. */
static void see_palette(const struct walk *walk, uint32_t size)
{
    uint8_t entries[3 * 256] = {0};
    if (size > sizeof entries || !walk_read(walk, 8, entries, size)) return;
    walk->header->colour = false;
    for (uint32_t i = 0; i + 3 <= size; i += 3)
        if (entries[i] != entries[i + 1] || entries[i] != entries[i + 2]) walk->header->colour = true;
}

/* Reads the orientation in a block of EXIF. Returns false where libpng would not take the block: its checksum is wrong,
 * or it does not begin with the order of its bytes. */
static bool see_exif(const struct walk *walk, uint32_t size)
{
    enum { BEFORE = 6, BEHIND = 4 }; /* "Exif\0\0" in place of the kind, and the checksum */
    if (size < 2 || size > EXIF_MAX) return false;
    uint8_t *block = memory_alloc((size_t)size + BEFORE + BEHIND, 1), *content = block + BEFORE;
    bool good = walk_read(walk, 4, content - 4, (size_t)size + 4 + BEHIND) &&
                crc32(0, content - 4, size + 4) == number_of(content + size) && content[0] == content[1] &&
                (content[0] == 'I' || content[0] == 'M');
    memcpy(block, "Exif\0", BEFORE);
    if (good) *walk->orientation = image_orientation_find(walk->source, block, (size_t)size + BEFORE);
    free(block);
    return good;
}

/* Returns the kind of colour, as libpng names it, or -1 where the file does not begin with its header. */
static int see_header(struct walk *walk)
{
    uint8_t bytes[8 + 13];
    if (!walk_read(walk, 0, bytes, sizeof bytes) || memcmp(bytes + 4, "IHDR", 4) != 0) return -1;
    *walk->header =
        (struct image_header){number_of(bytes + 12), number_of(bytes + 8), bytes[17] & PNG_COLOR_MASK_COLOR};
    return bytes[17];
}

/* Goes through the chunks up to the last one, or to where the file is cut off. */
static void walk_chunks(struct walk *walk, int kind)
{
    uint8_t head[8];
    bool found = false; /* the first good eXIf counts */
    for (int i = 0; i < CHUNKS_MAX && walk_read(walk, 0, head, 8) && memcmp(head + 4, "IEND", 4) != 0; i++) {
        uint32_t size = number_of(head);
        if (memcmp(head + 4, "eXIf", 4) == 0 && !found) found = see_exif(walk, size);
        if (memcmp(head + 4, "PLTE", 4) == 0 && kind == PNG_COLOR_TYPE_PALETTE) see_palette(walk, size);
        walk->place += 12 + (off_t)size;
    }
}

bool image_probe_png(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                     struct status *status)
{
    struct walk walk = {source, fileno(file), 8, header, orientation};
    int kind = see_header(&walk);
    if (kind < 0) return image_fail(source, status, "not a good PNG file: it does not begin with its header");
    walk_chunks(&walk, kind);
    return true;
}
#else
bool image_probe_png(const struct image_source *source, FILE *file, struct image_header *header, int *orientation,
                     struct status *status)
{
    (void)file, (void)header, (void)orientation;
    return image_decode_png(source, NULL, status);
}

bool image_decode_png(const struct image_source *source, struct image_stored *stored, struct status *status)
{
    (void)stored;
    return image_fail(source, status, "a PNG file, and this build has no libpng (Debian: libpng-dev)");
}
#endif
