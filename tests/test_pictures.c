/* Compares the pixels of pictures with Pillow's for the files of fixtures/pictures, upright. A file that is odd and
 * still readable must give a line about that. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <png.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "config_support.h"
#include "image_support.h"
#include "io/image.h"
#include "jpeg_support.h"

TestSuite(pictures, .init = enter_folder, .fini = leave_folder);

static const char fixtures[] = TEST_FOLDER "/fixtures/pictures";

static struct image read_good(const char *path, int64_t channels)
{
    struct image image;
    struct status status = {0};
    cr_assert(picture_read(&image, path, channels, &status), "%s", status.message);
    return image;
}

static void expect_refusal(const char *path, const char *expected)
{
    struct image image;
    struct status status = {0};
    char *message = memory_format("%s: %s", path, expected);
    cr_expect_not(picture_read(&image, path, 3, &status), "%s was read", path);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    free(message);
}

/* --- Pillow's pixels --- */

/* Expects the planes of the file beside the picture: "3 HEIGHT WIDTH\n" and the planes. */
static void expect_planes(const char *name)
{
    size_t size;
    char header[64];
    char *picture = memory_format("%s/%s", fixtures, name);
    char *path = memory_format("%s/%.*s.planes", fixtures, (int)strlen(name) - 4, name);
    char *planes = support_file_read(path, &size);
    struct image image = read_good(picture, 3);
    int length = snprintf(header, sizeof header, "3 %" PRId64 " %" PRId64 "\n", image.height, image.width);
    size_t count = (size_t)(3 * image.height * image.width), start = (size_t)length;
    cr_assert_eq(size, start + count, "%s: %zu bytes, not %zu", name, size, start + count);
    cr_expect_eq(memcmp(planes, header, start), 0, "%s: %s", name, header);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq((uint8_t)planes[start + i], image.pixels[i], "%s: %zu: %d, not %d", name, i, image.pixels[i],
                     (uint8_t)planes[start + i]);
    image_free(&image);
    free(planes), free(path), free(picture);
}

Test(pictures, have_the_pixels_of_pillow)
{
    int count = 0;
    DIR *entries = opendir(fixtures);
    cr_assert(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || (strcmp(dot, ".png") != 0 && strcmp(dot, ".jpg") != 0)) continue;
        expect_planes(entry->d_name);
        count++;
    }
    closedir(entries);
    cr_expect_eq(count, 26);
}

/* A grey pixel has the same grey in one channel: 19595 + 38470 + 7471 = 65536. */
Test(pictures, grey_stays_grey)
{
    char *path = memory_format("%s/jpeg_grey.jpg", fixtures);
    struct image grey = read_good(path, 1), colours = read_good(path, 3);
    for (int64_t i = 0; i < grey.height * grey.width; i++) cr_expect_eq(grey.pixels[i], colours.pixels[i]);
    image_free(&grey), image_free(&colours);
    free(path);
}

/* --- kinds of PNG that Pillow turns into something else --- */

static void add_chunk(uint8_t **to, const char *kind, const uint8_t *data, uint32_t size)
{
    uint8_t *start = *to;
    const uint32_t sizes[2] = {size, 0};
    for (int i = 0; i < 4; i++) start[i] = (uint8_t)(sizes[0] >> (24 - 8 * i));
    memcpy(start + 4, kind, 4);
    if (size > 0) memcpy(start + 8, data, size);
    uint32_t sum = (uint32_t)crc32(0, start + 4, size + 4);
    for (uint32_t i = 0; i < 4; i++) start[8 + size + i] = (uint8_t)(sum >> (24 - 8 * i));
    *to = start + 12 + size;
}

/* Writes a PNG of `width` x 1 pixels of a kind and depth, with `row` as its bytes and a tRNS chunk where key_size >
 * 0. */
static void write_row(const char *path, int width, int depth, int kind, const uint8_t *row, uint32_t row_size,
                      const uint8_t *key, uint32_t key_size)
{
    uint8_t file[512] = "\x89PNG\r\n\x1a\n", *to = file + 8, data[128], line[64] = {0};
    const uint8_t header[13] = {0, 0, 0, (uint8_t)width, 0, 0, 0, 1, (uint8_t)depth, (uint8_t)kind, 0, 0, 0};
    uLongf size = sizeof data;
    memcpy(line + 1, row, row_size);
    cr_assert_eq(compress(data, &size, line, row_size + 1), Z_OK);
    add_chunk(&to, "IHDR", header, sizeof header);
    if (key_size > 0) add_chunk(&to, "tRNS", key, key_size);
    add_chunk(&to, "IDAT", data, (uint32_t)size);
    add_chunk(&to, "IEND", NULL, 0);
    support_file_write(path, file, (size_t)(to - file));
}

static void expect_grey_row(const char *path, int count, const uint8_t *expected)
{
    struct image image = read_good(path, 1);
    cr_assert_eq(image.width, count);
    for (int i = 0; i < count; i++) cr_expect_eq(image.pixels[i], expected[i], "%s: %d: %d", path, i, image.pixels[i]);
    image_free(&image);
}

/* The transparent colour has the depth of the file: 2 of 0 to 3; 0x1234, which differs from 0x1235. */
Test(pictures, a_transparent_colour_has_the_depth_of_the_file)
{
    const uint8_t two_bits[1] = {0x1B}, two[2] = {0, 2}; /* 0 1 2 3 */
    write_row("two.png", 4, 2, 0, two_bits, 1, two, 2);
    expect_grey_row("two.png", 4, (const uint8_t[]){0, 85, 255, 255});
    const uint8_t deep[6] = {0x12, 0x34, 0x12, 0x35, 0xFF, 0xFE}, key[2] = {0x12, 0x34};
    write_row("deep.png", 3, 16, 0, deep, 6, key, 2);
    expect_grey_row("deep.png", 3, (const uint8_t[]){255, 0x12, 0xFF});
}

Test(pictures, deep_grey_is_its_upper_half)
{
    const uint8_t deep[6] = {0x00, 0xFF, 0x80, 0x00, 0xFF, 0x00};
    write_row("deep.png", 3, 16, 0, deep, 6, NULL, 0);
    expect_grey_row("deep.png", 3, (const uint8_t[]){0, 0x80, 0xFF});
}

/* --- how the camera was held --- */

enum { EXIF_SIZE = 32 };

/* Makes a block of EXIF that holds only the tag Orientation, in Intel's or Motorola's byte order. */
static void make_exif(uint8_t block[EXIF_SIZE], int orientation, bool intel)
{
    static const uint8_t little[EXIF_SIZE] = "Exif\0\0II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0";
    static const uint8_t big[EXIF_SIZE] = "Exif\0\0MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1";
    memcpy(block, intel ? little : big, EXIF_SIZE);
    block[intel ? 24 : 25] = (uint8_t)orientation;
}

/* The letters of a picture of 3x2 as a viewer must see them, by the orientation of the camera. */
static const char *const seen[10] = {"ABC DEF",  "ABC DEF",  "CBA FED",  "FED CBA",  "DEF ABC",
                                     "AD BE CF", "DA EB FC", "FC EB DA", "CF BE AD", "ABC DEF"};

/* Each letter is a square of `side` pixels, whose grey is 40 for an A, 80 for a B, and so on. */
static void expect_seen(const struct image *image, int side, int orientation)
{
    const char *expected = seen[orientation];
    for (int64_t h = side / 2; h < image->height; h += side) {
        for (int64_t w = side / 2; w < image->width; w += side, expected++)
            cr_expect_eq((image->pixels[h * image->width + w] + 20) / 40, *expected - 'A' + 1, "%d: %c", orientation,
                         *expected);
        cr_expect(*expected == ' ' || *expected == '\0', "%d", orientation);
        expected += *expected == ' ';
    }
    cr_expect_eq(*expected, '\0', "%d", orientation);
}

static void write_turned_png(const char *path, const uint8_t *pixels, const uint8_t *block)
{
    uint8_t file[512] = "\x89PNG\r\n\x1a\n", *to = file + 8, data[64], rows[8] = {0};
    const uint8_t header[13] = {0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 0};
    uLongf size = sizeof data;
    memcpy(rows + 1, pixels, 3), memcpy(rows + 5, pixels + 3, 3);
    cr_assert_eq(compress(data, &size, rows, sizeof rows), Z_OK);
    add_chunk(&to, "IHDR", header, sizeof header);
    add_chunk(&to, "IDAT", data, (uint32_t)size);
    add_chunk(&to, "eXIf", block + 6, EXIF_SIZE - 6);
    add_chunk(&to, "IEND", NULL, 0);
    support_file_write(path, file, (size_t)(to - file));
}

/* 0 and 9 are no orientations. In the JPEG a letter is a block of 8x8, which keeps its grey. */
Test(pictures, stand_upright)
{
    const uint8_t letters[6] = {40, 80, 120, 160, 200, 240};
    for (int orientation = 0; orientation < 10; orientation++)
        for (int intel = 0; intel < 2; intel++) {
            uint8_t block[EXIF_SIZE], pixels[16 * 24 * 3];
            make_exif(block, orientation, intel);
            write_turned_png("a.png", letters, block);
            struct image image = read_good("a.png", 1);
            expect_seen(&image, 1, orientation);
            image_free(&image);
            for (int i = 0; i < 16 * 24 * 3; i++) pixels[i] = letters[i / 3 / 24 / 8 * 3 + i / 3 % 24 / 8];
            jpeg_write_with("a.jpg", 24, 16, JPEG_444, pixels, block, EXIF_SIZE);
            image = read_good("a.jpg", 1);
            expect_seen(&image, 8, orientation);
            image_free(&image);
        }
}

/* A damaged block of EXIF is no reason to refuse the picture. */
Test(pictures, damaged_exif_is_no_harm)
{
    const uint8_t pixels[8 * 8 * 3] = {0};
    uint8_t block[EXIF_SIZE];
    for (int i = 6; i < EXIF_SIZE; i++) {
        make_exif(block, 6, true);
        block[i] ^= 0xFF;
        jpeg_write_with("a.jpg", 8, 8, JPEG_444, pixels, block, EXIF_SIZE);
        struct image image = read_good("a.jpg", 3);
        image_free(&image);
    }
    jpeg_write_with("a.jpg", 8, 8, JPEG_444, pixels, block, 6);
    struct image image = read_good("a.jpg", 3);
    image_free(&image);
}

/* --- odd pictures, and files that are no pictures --- */

/* Returns the text that goes to the standard error while a picture is read. */
static char *line_about(const char *path)
{
    int kept = dup(STDERR_FILENO), file = open("stderr.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    cr_assert(kept >= 0 && file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    struct image image = read_good(path, 3);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept), close(file);
    image_free(&image);
    return support_file_read("stderr.txt", NULL);
}

Test(pictures, bytes_that_belong_to_nothing_are_told)
{
    char *from = memory_format("%s/jpeg_extraneous.jpg", fixtures), *bytes;
    size_t size;
    bytes = support_file_read(from, &size);
    support_file_write("odd\n.jpg", bytes, size);
    char *line = line_about("odd\n.jpg");
    const char *start = "trainer: odd?.jpg: read in spite of: Corrupt JPEG data: ", *end = strchr(line, '\n');
    cr_expect(strncmp(line, start, strlen(start)) == 0 && strstr(line, "extraneous bytes before marker 0xd9"), "%s",
              line);
    cr_expect(end && end[1] == '\0', "one line: %s", line);
    free(line), free(bytes), free(from);
    from = memory_format("%s/jpeg_420.jpg", fixtures);
    line = line_about(from);
    cr_expect_str_eq(line, "");
    free(line), free(from);
}

/* A file must be refused also where the odd bytes come first, and where only the end marker is missing. */
Test(pictures, files_that_end_early_are_refused)
{
    const char *const names[] = {"jpeg_extraneous.jpg", "jpeg_420_progressive.jpg", "jpeg_grey.jpg"};
    for (int i = 0; i < 3; i++) {
        size_t size;
        char *from = memory_format("%s/%s", fixtures, names[i]), *bytes = support_file_read(from, &size);
        for (size_t part = size - 1; part > 300; part -= 7) {
            struct image image;
            struct status status = {0};
            support_file_write("part.jpg", bytes, part);
            cr_expect_not(picture_read(&image, "part.jpg", 3, &status), "%s: %zu of %zu bytes", names[i], part, size);
            cr_expect(strncmp(status.message, "part.jpg: not a good JPEG file: ", 32) == 0, "%s", status.message);
        }
        free(bytes), free(from);
    }
}

Test(pictures, other_kinds_are_refused_by_name)
{
    const struct {
        const char *bytes, *name;
        size_t size;
    } cases[] = {{"BM\0\0\0\0", "a BMP picture", 6},
                 {"GIF89a", "a GIF picture", 6},
                 {"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture", 16},
                 {"II*\0\10\0\0\0", "a TIFF picture", 8},
                 {"MM\0*\0\0\0\10", "a TIFF picture", 8},
                 {"\0\0\0\30ftypheic", "a HEIC picture", 12},
                 {"\0\0\0\40ftypavif", "an AVIF picture", 12},
                 {"<!DOCTYPE html>", "a web page", 15},
                 {"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS to the file, not the file", 42}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *expected = memory_format("expected a PNG or JPEG file, found %s", cases[i].name);
        support_file_write("x.jpg", cases[i].bytes, cases[i].size);
        expect_refusal("x.jpg", expected);
        free(expected);
    }
}
