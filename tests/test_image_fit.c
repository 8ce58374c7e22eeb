/* Tests pictures fitted to a size, and their headers. fixtures/fitted/fitted.txt lists what Pillow makes of pictures of
 * every kind; the rest is what a folder of pictures brings: bombs, threads, odd files by the thousand. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "config_support.h"
#include "image_support.h"
#include "io/image.h"
#include "jpeg_support.h"
#include "util/sha256.h"
#include "util/warning.h"

TestSuite(image_fit, .init = enter_folder, .fini = leave_folder);

static const char fixtures[] = TEST_FOLDER "/fixtures";
static const uint8_t white[3] = {255, 255, 255};

static struct image_format format_of(int64_t channels, int64_t height, int64_t width, enum image_fit fit)
{
    return (struct image_format){channels, height, width, fit, {white[0], white[1], white[2]}};
}

static uint8_t *read_good(const char *path, const struct image_format *format)
{
    struct status status = {0};
    uint8_t *pixels = memory_alloc((size_t)(format->height * format->width), (size_t)format->channels);
    cr_assert(image_read_fitted(pixels, path, format, &status), "%s", status.message);
    return pixels;
}

/* --- Pillow's pixels --- */

/* A line of the list. */
struct entry {
    char name[64], fit[8], digest[SHA256_DIGITS + 1];
    struct image_format format;
};

static bool next_entry(FILE *list, struct entry *entry)
{
    struct image_format *format = &entry->format;
    uint8_t *background = format->background;
    if (fscanf(list, "%63s %" SCNd64 " %" SCNd64 " %" SCNd64 " %7s %" SCNu8 " %" SCNu8 " %" SCNu8 " %64s", entry->name,
               &format->channels, &format->height, &format->width, entry->fit, background, background + 1,
               background + 2, entry->digest) != 9)
        return false;
    format->fit = strcmp(entry->fit, "crop") == 0  ? IMAGE_FIT_CROP
                  : strcmp(entry->fit, "pad") == 0 ? IMAGE_FIT_PAD
                                                   : IMAGE_FIT_STRETCH;
    return true;
}

/* Tells whether the pixels of an entry are those of the list. It runs in threads, where Criterion must not. */
static bool is_as_listed(const struct entry *entry)
{
    struct status status;
    char digits[SHA256_DIGITS + 1] = "", *path = memory_format("%s/%s", fixtures, entry->name);
    size_t count = (size_t)(entry->format.channels * entry->format.height * entry->format.width);
    uint8_t *pixels = memory_alloc(count, 1);
    struct sha256 hash = sha256_start();
    bool good = image_read_fitted(pixels, path, &entry->format, &status);
    sha256_add(&hash, pixels, count);
    good = sha256_finish(&hash, digits, &status) && good;
    free(pixels), free(path);
    return good && strcmp(digits, entry->digest) == 0;
}

static FILE *open_list(void)
{
    FILE *list = fopen(TEST_FOLDER "/fixtures/fitted/fitted.txt", "r");
    cr_assert(list);
    return list;
}

/* tests/interop/test_fitted.py shows which pixels differ. */
Test(image_fit, pixels_are_those_of_pillow)
{
    int count = 0;
    struct entry entry;
    FILE *list = open_list();
    for (warning_collect(); next_entry(list, &entry); count++)
        cr_expect(is_as_listed(&entry), "%s: %s to %dx%d, %d channels", entry.name, entry.fit, (int)entry.format.width,
                  (int)entry.format.height, (int)entry.format.channels);
    free(warning_take());
    fclose(list);
    cr_expect_eq(count, 26 * 3 * 3 * 2 + 6 * 5 * 3 * 2);
}

/* Returns the number of wrong pictures. */
static void *read_list(void *wrong)
{
    struct entry entry;
    FILE *list = fopen(TEST_FOLDER "/fixtures/fitted/fitted.txt", "r");
    warning_collect();
    while (list && next_entry(list, &entry)) *(int *)wrong += !is_as_listed(&entry);
    free(warning_take());
    if (list) fclose(list);
    return NULL;
}

Test(image_fit, threads_do_not_disturb_one_another)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int wrong[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) cr_assert_eq(pthread_create(&threads[i], NULL, read_list, &wrong[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(wrong[i], 0, "thread %d: %d pictures", i, wrong[i]);
    }
}

Test(image_fit, bytes_give_the_pixels_of_the_file)
{
    size_t size;
    struct status status;
    struct image_format format = format_of(3, 20, 30, IMAGE_FIT_CROP);
    char *bytes = support_file_read(TEST_FOLDER "/fixtures/fitted/photo_444_turned.jpg", &size);
    uint8_t *expected = read_good(TEST_FOLDER "/fixtures/fitted/photo_444_turned.jpg", &format), pixels[3 * 20 * 30];
    cr_assert(image_read_fitted_bytes(pixels, "name", (const uint8_t *)bytes, size, &format, &status));
    cr_expect_eq(memcmp(pixels, expected, sizeof pixels), 0);
    cr_expect_not(image_read_fitted_bytes(pixels, "name", (const uint8_t *)bytes, size / 2, &format, &status));
    cr_expect(strncmp(status.message, "name: not a good JPEG file: ", 28) == 0, "%s", status.message);
    free(expected), free(bytes);
}

/* A picture that is read whole and then stretched is the same, unless it is decoded reduced: here from 203x151, whose
 * 1/2 is less than twice the 54x40. */
Test(image_fit, reading_and_resizing_is_stretching)
{
    struct image_format format = format_of(3, 40, 54, IMAGE_FIT_STRETCH);
    for (int smaller = 0; smaller < 2; smaller++, format.width = 50, format.height = 37) {
        struct image image;
        struct status status;
        const char *path = TEST_FOLDER "/fixtures/fitted/photo_420.jpg";
        uint8_t *fitted = read_good(path, &format);
        cr_assert(picture_read(&image, path, 3, &status));
        cr_assert(picture_stretch(&image, format.height, format.width, &status), "%s", status.message);
        bool same = memcmp(image.pixels, fitted, (size_t)(3 * format.height * format.width)) == 0;
        cr_expect(smaller ? !same : same, "%d", smaller);
        image_free(&image);
        free(fitted);
    }
}

/* Pillow would leave nothing of the picture. */
Test(image_fit, a_padded_picture_is_a_pixel_thick)
{
    uint8_t pixels[600 * 8 * 3];
    struct image_format format = format_of(3, 5, 6, IMAGE_FIT_PAD);
    memset(pixels, 0, sizeof pixels);
    jpeg_write("a.jpg", 600, 8, JPEG_444, pixels);
    uint8_t *fitted = read_good("a.jpg", &format);
    for (int i = 0; i < 3 * 5 * 6; i++) cr_expect_eq(fitted[i], i % 30 / 6 == 2 ? 0 : 255, "%d: %d", i, fitted[i]);
    free(fitted);
}

/* The border of a grey picture has the luminance of the background: 0.299 100 + 0.587 200 + 0.114 50 = 153. */
Test(image_fit, borders_of_grey_pictures_are_grey)
{
    uint8_t pixels[16 * 8 * 3] = {0};
    struct image_format format = {1, 4, 4, IMAGE_FIT_PAD, {100, 200, 50}};
    jpeg_write("a.jpg", 16, 8, JPEG_GREY, pixels);
    uint8_t *fitted = read_good("a.jpg", &format);
    for (int i = 0; i < 16; i++) cr_expect_eq(fitted[i], i / 4 == 1 || i / 4 == 2 ? 0 : 153, "%d: %d", i, fitted[i]);
    free(fitted);
}

/* --- headers --- */

static void expect_header(const char *path, int64_t height, int64_t width, bool colour)
{
    struct image_header header;
    struct status status = {0};
    cr_assert(image_probe(&header, path, &status), "%s", status.message);
    cr_expect(header.height == height && header.width == width && header.colour == colour,
              "%s: %dx%d, colour %d; not %dx%d, colour %d", path, (int)header.width, (int)header.height, header.colour,
              (int)width, (int)height, colour);
}

/* The header tells the size that the reader finds. */
Test(image_fit, headers_tell_the_size)
{
    struct entry entry;
    char last[64] = "";
    FILE *list = open_list();
    for (warning_collect(); next_entry(list, &entry); memcpy(last, entry.name, sizeof last)) {
        struct image image;
        struct status status = {0};
        if (strcmp(entry.name, last) == 0) continue;
        char *path = memory_format("%s/%s", fixtures, entry.name);
        cr_assert(picture_read(&image, path, 3, &status), "%s", status.message);
        expect_header(path, image.height, image.width, !strstr(path, "grey"));
        image_free(&image);
        free(path);
    }
    free(warning_take());
    fclose(list);
}

/* --- PNG, chunk by chunk --- */

struct png_file {
    uint8_t bytes[2048];
    size_t size;
};

static void put_number(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(number >> (24 - 8 * i));
}

static void add_chunk(struct png_file *file, const char *kind, const void *data, uint32_t size)
{
    uint8_t *start = file->bytes + file->size;
    put_number(start, size);
    memcpy(start + 4, kind, 4);
    if (size > 0) memcpy(start + 8, data, size);
    put_number(start + 8 + size, (uint32_t)crc32(0, start + 4, size + 4));
    file->size += 12 + size;
}

static struct png_file begin_png(uint32_t width, uint32_t height, uint8_t kind)
{
    struct png_file file = {"\x89PNG\r\n\x1a\n", 8};
    uint8_t header[13] = {[8] = 8, [9] = kind};
    put_number(header, width), put_number(header + 4, height);
    add_chunk(&file, "IHDR", header, sizeof header);
    return file;
}

static void write_png(struct png_file *file, const char *path)
{
    add_chunk(file, "IEND", NULL, 0);
    support_file_write(path, file->bytes, file->size);
}

/* A probe reads no pixels: this file's are no good. Its EXIF stands behind them. The first block is damaged, and of the
 * others the first counts. */
Test(image_fit, headers_of_png_are_read_to_the_end)
{
    static const uint8_t upright[26] = "II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0\1",
                         turned[26] = "II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0\6";
    struct png_file file = begin_png(30, 20, 2);
    add_chunk(&file, "IDAT", "no pixels", 9);
    add_chunk(&file, "eXIf", upright, sizeof upright);
    file.bytes[file.size - 1] ^= 1;
    add_chunk(&file, "eXIf", turned, sizeof turned);
    add_chunk(&file, "eXIf", upright, sizeof upright);
    write_png(&file, "a.png");
    expect_header("a.png", 30, 20, true);
}

Test(image_fit, a_palette_of_greys_is_grey)
{
    const uint8_t greys[6] = {0, 0, 0, 200, 200, 200}, colours[6] = {0, 0, 0, 200, 200, 201};
    const struct {
        const uint8_t *palette;
        uint8_t kind;
        bool colour;
    } cases[] = {{greys, 3, false}, {colours, 3, true}, {greys, 2, true}, {NULL, 0, false}, {NULL, 4, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct png_file file = begin_png(3, 2, cases[i].kind);
        if (cases[i].palette) add_chunk(&file, "PLTE", cases[i].palette, 6);
        write_png(&file, "a.png");
        expect_header("a.png", 2, 3, cases[i].colour);
    }
}

/* --- what is refused --- */

/* Expects a message that begins with the path and has `part` in it, from the header alone and from the whole file. */
static void expect_refused(const char *path, const char *part)
{
    struct image_header header;
    struct image_format format = format_of(3, 8, 8, IMAGE_FIT_CROP);
    uint8_t pixels[3 * 8 * 8];
    for (int whole = 0; whole < 2; whole++) {
        struct status status = {0};
        cr_expect_not(whole ? image_read_fitted(pixels, path, &format, &status) : image_probe(&header, path, &status),
                      "%s was read", path);
        cr_expect_eq(status.code, STATUS_RUNTIME);
        cr_expect(strncmp(status.message, path, strlen(path)) == 0 && strstr(status.message, part),
                  "\"%s\" lacks \"%s\"", status.message, part);
    }
}

/* Small files that announce 268 million pixels, a long side, and more than a billion. Each is refused before memory is taken. */
Test(image_fit, bombs_are_refused)
{
    struct png_file file = begin_png(16384, 16384, 6);
    add_chunk(&file, "IDAT", "no pixels", 9);
    write_png(&file, "bomb.png");
    expect_refused("bomb.png", "a picture of 16384x16384 pixels, expected at most 16384 on a side and 67108864 in all");
    file = begin_png(1, 16385, 0);
    add_chunk(&file, "IDAT", "no pixels", 9);
    write_png(&file, "long.png");
    expect_refused("long.png", "a picture of 1x16385 pixels, expected at most 16384");
    size_t size;
    uint8_t small[8 * 8 * 3] = {0};
    jpeg_write("a.jpg", 8, 8, JPEG_444, small);
    char *bytes = support_file_read("a.jpg", &size);
    for (size_t i = 0; i + 9 < size; i++)
        if ((uint8_t)bytes[i] == 0xFF && (uint8_t)bytes[i + 1] == 0xC0) memcpy(bytes + i + 5, "\x7F\xFF\x7F\xFF", 4);
    support_file_write("bomb.jpg", bytes, size);
    free(bytes);
    expect_refused("bomb.jpg", "a picture of 32767x32767 pixels, expected at most 16384");
}

Test(image_fit, what_is_no_picture_is_refused, .timeout = 10)
{
    support_file_write("text.png", "no picture", 10);
    support_file_write("empty.png", "", 0);
    support_file_write("start.png", "\x89PNG\r\n\x1a\n", 8);
    support_file_write("start.jpg", "\xFF\xD8\xFF\xE0", 4);
    cr_assert_eq(mkfifo("pipe.png", 0600), 0);
    expect_refused("text.png", "neither a PNG nor a JPEG file");
    expect_refused("empty.png", "expected a PNG or JPEG file, found an empty one");
    expect_refused("start.png", "not a good PNG file: ");
    expect_refused("start.jpg", "not a good JPEG file: ");
    expect_refused("pipe.png", "not a regular file, expected a file");
    expect_refused("nothing.png", "cannot open: No such file");
}

/* --- odd files by the thousand --- */

Test(image_fit, warnings_can_be_collected)
{
    struct image_format format = format_of(1, 8, 8, IMAGE_FIT_STRETCH);
    char *odd = memory_format("%s/pictures/jpeg_extraneous.jpg", fixtures), *lines;
    int kept = dup(STDERR_FILENO), file = open("stderr.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    cr_assert(kept >= 0 && file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    warning_collect();
    free(read_good(odd, &format)), free(read_good(odd, &format));
    lines = warning_take();
    free(read_good(odd, &format));
    dup2(kept, STDERR_FILENO);
    close(kept), close(file);
    char *printed = support_file_read("stderr.txt", NULL), *second = lines ? strchr(lines, '\n') : NULL;
    cr_assert(second, "%s", lines);
    cr_expect(strncmp(lines, odd, strlen(odd)) == 0 && strstr(lines, "read in spite of") < second, "%s", lines);
    cr_expect(strncmp(second + 1, odd, strlen(odd)) == 0 && !strchr(second + 1, '\n'), "%s", lines);
    cr_expect(strncmp(printed, "trainer: ", 9) == 0 && strncmp(printed + 9, second + 1, strlen(second + 1)) == 0, "%s",
              printed);
    warning_collect();
    cr_expect_null(warning_take());
    free(printed), free(lines), free(odd);
}
