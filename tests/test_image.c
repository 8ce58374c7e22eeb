/* Tests pictures from files: the reader takes those that libpng and libjpeg-turbo wrote, and refuses damaged and too
 * large ones. */
#include <criterion/criterion.h>
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#include "config_support.h"
#include "image_support.h"
#include "io/image.h"
#include "jpeg_support.h"
#include "util/rng.h"

TestSuite(image, .init = enter_folder, .fini = leave_folder);

static void write_png(const char *path, int width, int height, png_uint_32 format, const void *pixels)
{
    png_image png = {
        .version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height, .format = format};
    cr_assert(png_image_write_to_file(&png, path, 0, pixels, 0, NULL), "%s", png.message);
}

static struct image read_good(const char *path, int64_t channels)
{
    struct image image;
    struct status status = {0};
    cr_assert(picture_read(&image, path, channels, &status), "%s", status.message);
    return image;
}

static void expect_refused(const char *path, const char *part)
{
    struct image image;
    struct status status = {0};
    cr_assert_not(picture_read(&image, path, 3, &status), "%s was read", path);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect(strncmp(status.message, path, strlen(path)) == 0 && strstr(status.message, part), "\"%s\" lacks \"%s\"",
              status.message, part);
    cr_expect_null(image.pixels);
}

static void expect_pixels(const struct image *image, const uint8_t *expected, int tolerance)
{
    for (int64_t i = 0; i < image->channels * image->height * image->width; i++)
        cr_expect(abs(image->pixels[i] - expected[i]) <= tolerance, "%d: %d, not %d", (int)i, image->pixels[i],
                  expected[i]);
}

/* --- PNG --- */

static const uint8_t two_by_three[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 255, 255, 255};

Test(image, reads_png_as_planes)
{
    write_png("a.png", 2, 3, PNG_FORMAT_RGB, two_by_three);
    struct image image = read_good("a.png", 3);
    cr_assert(image.channels == 3 && image.height == 3 && image.width == 2);
    const uint8_t expected[] = {255, 0, 0, 10, 200, 255, 0, 255, 0, 20, 100, 255, 0, 0, 255, 30, 50, 255};
    expect_pixels(&image, expected, 0);
    image_free(&image);
    image = read_good("a.png", 1);
    const uint8_t grey[] = {76, 150, 29, 18, 124, 255};
    expect_pixels(&image, grey, 0);
    image_free(&image);
}

Test(image, reads_grey_palette_transparent_and_deep_png)
{
    const uint8_t grey[] = {0, 100, 255}, transparent[] = {0, 0, 0, 0, 255, 0, 0, 255};
    write_png("grey.png", 3, 1, PNG_FORMAT_GRAY, grey);
    struct image image = read_good("grey.png", 3);
    const uint8_t grey_planes[] = {0, 100, 255, 0, 100, 255, 0, 100, 255};
    expect_pixels(&image, grey_planes, 0);
    image_free(&image);
    write_png("alpha.png", 2, 1, PNG_FORMAT_RGBA, transparent);
    image = read_good("alpha.png", 3);
    const uint8_t on_white[] = {255, 255, 255, 0, 255, 0};
    expect_pixels(&image, on_white, 0);
    image_free(&image);
    const uint16_t linear[] = {0, 65535, 0, 65535, 0, 0};
    write_png("deep.png", 2, 1, PNG_FORMAT_LINEAR_RGB, linear);
    image = read_good("deep.png", 3);
    const uint8_t deep[] = {0, 255, 255, 0, 0, 0};
    expect_pixels(&image, deep, 0);
    image_free(&image);
}

/* --- JPEG --- */

Test(image, reads_jpeg)
{
    uint8_t pixels[16 * 24 * 3], expected[16 * 24 * 3];
    for (int i = 0; i < 16 * 24; i++) {
        const uint8_t color[3] = {200, 60, 100};
        for (int c = 0; c < 3; c++) pixels[3 * i + c] = expected[c * 16 * 24 + i] = color[c];
    }
    jpeg_write("a.jpg", 24, 16, JPEG_420, pixels);
    struct image image = read_good("a.jpg", 3);
    cr_assert(image.height == 16 && image.width == 24);
    expect_pixels(&image, expected, 2);
    image_free(&image);
    jpeg_write("grey.jpeg", 24, 16, JPEG_GREY, pixels);
    image = read_good("grey.jpeg", 1);
    memset(expected, 106, sizeof expected); /* 0.299*200 + 0.587*60 + 0.114*100 */
    expect_pixels(&image, expected, 2);
    image_free(&image);
}

Test(image, the_name_does_not_matter)
{
    write_png("a.jpg", 2, 3, PNG_FORMAT_RGB, two_by_three);
    struct image image = read_good("a.jpg", 3);
    cr_expect_eq(image.width, 2);
    image_free(&image);
}

/* --- refused files --- */

Test(image, refuses_what_is_no_picture)
{
    support_file_write("text.png", "no picture", 10);
    support_file_write("empty.png", "", 0);
    expect_refused("text.png", "neither a PNG nor a JPEG file");
    expect_refused("empty.png", "expected a PNG or JPEG file, found an empty one");
    expect_refused("nothing.png", "cannot open: No such file");
    expect_refused(".", ": is a folder, expected a file");
}

/* Nothing writes to this pipe, so a reader that waited for it would never end. */
Test(image, refuses_pipes_and_devices, .timeout = 10)
{
    cr_assert_eq(mkfifo("pipe.png", 0600), 0);
    expect_refused("pipe.png", ": not a regular file, expected a file");
    expect_refused("/dev/zero", ": not a regular file, expected a file");
}

Test(image, refuses_files_that_end_too_early)
{
    uint8_t pixels[32 * 32 * 3];
    struct rng rng = rng_create(1, RNG_STREAM_SEARCH, 0);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)rng_below(&rng, 256);
    write_png("a.png", 32, 32, PNG_FORMAT_RGB, pixels);
    jpeg_write("a.jpg", 32, 32, JPEG_444, pixels);
    const char *const names[] = {"a.png", "a.jpg"};
    for (int k = 0; k < 2; k++) {
        size_t size;
        char *whole = support_file_read(names[k], &size);
        for (size_t part = 4; part < size; part += size / 16) {
            support_file_write("part", whole, part);
            expect_refused("part", "not a good ");
        }
        free(whole);
    }
}

/* A JPEG file may hold tables for other files, and no picture. */
Test(image, refuses_tables_alone)
{
    const uint8_t tables[] = {0xFF, 0xD8, 0xFF, 0xD9};
    support_file_write("tables.jpg", tables, sizeof tables);
    expect_refused("tables.jpg", "not a good JPEG file: JPEG datastream contains no image");
}

/* Any bytes give a picture or a message. */
Test(image, survives_damage)
{
    uint8_t pixels[16 * 16 * 3] = {0};
    write_png("a.png", 16, 16, PNG_FORMAT_RGB, pixels);
    jpeg_write("a.jpg", 16, 16, JPEG_420, pixels);
    struct rng rng = rng_create(2, RNG_STREAM_SEARCH, 0);
    for (int trial = 0; trial < 600; trial++) {
        size_t size;
        char *bytes = support_file_read(trial % 2 ? "a.png" : "a.jpg", &size);
        for (int i = 0; i < 4; i++) bytes[rng_below(&rng, (uint32_t)size)] = (char)rng_below(&rng, 256);
        support_file_write("damaged", bytes, size);
        struct image image;
        struct status status = {0};
        if (picture_read(&image, "damaged", 3, &status))
            image_free(&image);
        else
            cr_expect(strncmp(status.message, "damaged: ", 9) == 0 && !strchr(status.message, '\n'), "%s",
                      status.message);
        free(bytes);
    }
}

/* The reader refuses a small file whose header announces a large picture, before it takes memory for the pixels. */
Test(image, refuses_bombs)
{
    const uint8_t pixel[3] = {0};
    write_png("a.png", 1, 1, PNG_FORMAT_RGB, pixel);
    size_t size;
    char *bytes = support_file_read("a.png", &size);
    const uint8_t sizes[][8] = {{0, 0, 0xFF, 0xFF, 0, 0, 0, 1}, {0, 0, 0x3F, 0xFF, 0, 0, 0x3F, 0xFF}};
    for (int i = 0; i < 2; i++) {
        memcpy(bytes + 16, sizes[i], 8);
        uLong sum = crc32(0, (const uint8_t *)bytes + 12, 17);
        for (int k = 0; k < 4; k++) bytes[29 + k] = (char)(sum >> (24 - 8 * k));
        support_file_write("bomb.png", bytes, size);
        expect_refused("bomb.png", "expected at most 16384 on a side and 67108864 in all");
    }
    free(bytes);
    uint8_t small[8 * 8 * 3] = {0};
    jpeg_write("a.jpg", 8, 8, JPEG_444, small);
    bytes = support_file_read("a.jpg", &size);
    for (size_t i = 0; i + 9 < size; i++)
        if ((uint8_t)bytes[i] == 0xFF && (uint8_t)bytes[i + 1] == 0xC0) memcpy(bytes + i + 5, "\x7F\xFF\x7F\xFF", 4);
    support_file_write("bomb.jpg", bytes, size);
    expect_refused("bomb.jpg", "32767x32767 pixels, expected at most 16384");
    free(bytes);
}

/* --- resizing --- */

static void stretch(struct image *image, int64_t height, int64_t width)
{
    struct status status = {0};
    cr_assert(picture_stretch(image, height, width, &status), "%s", status.message);
}

static struct image ramp(int64_t height, int64_t width)
{
    struct image image = {1, height, width, memory_alloc((size_t)(height * width), 1)};
    for (int64_t h = 0; h < height; h++)
        for (int64_t w = 0; w < width; w++) image.pixels[h * width + w] = (uint8_t)(4 * w + 2 * h);
    return image;
}

/* A plane that rises evenly keeps its slope and its height, away from the borders. */
Test(image, resizing_keeps_a_ramp)
{
    const int64_t sizes[][2] = {{7, 9}, {64, 64}, {13, 31}, {5, 40}};
    for (int i = 0; i < 4; i++) {
        struct image image = ramp(32, 40);
        int64_t height = sizes[i][0], width = sizes[i][1];
        stretch(&image, height, width);
        cr_assert(image.height == height && image.width == width);
        double down = 32.0 / (double)height, right = 40.0 / (double)width;
        for (int64_t h = height / 4; h < height - height / 4; h++)
            for (int64_t w = width / 4; w < width - width / 4; w++) {
                double expected = 4 * (((double)w + 0.5) * right - 0.5) + 2 * (((double)h + 0.5) * down - 0.5);
                /* rounding adds 0.5; the sampled weights are not quite symmetric */
                cr_expect_lt(fabs(image.pixels[h * width + w] - expected), 1, "%d,%d", (int)h, (int)w);
            }
        image_free(&image);
    }
}

/* An image with every second pixel black becomes grey at half its size, not black or white. */
Test(image, resizing_does_not_alias)
{
    struct image image = {1, 64, 64, memory_alloc(64 * 64, 1)};
    for (int i = 0; i < 64 * 64; i++) image.pixels[i] = (i + i / 64) % 2 ? 255 : 0;
    stretch(&image, 16, 16);
    for (int i = 0; i < 16 * 16; i++) cr_expect(abs(image.pixels[i] - 128) <= 4, "%d", image.pixels[i]);
    image_free(&image);
}

Test(image, resizing_to_the_same_size_or_one_pixel)
{
    struct image image = ramp(6, 5), same = ramp(6, 5);
    stretch(&image, 6, 5);
    expect_pixels(&image, same.pixels, 0);
    stretch(&image, 1, 1);
    cr_expect(abs(image.pixels[0] - 13) <= 1, "%d", image.pixels[0]); /* the mean: 4*2 + 2*2.5 */
    stretch(&image, 3, 3);
    for (int i = 0; i < 9; i++) cr_expect_eq(image.pixels[i], image.pixels[0]);
    image_free(&image);
    image_free(&same);
}
