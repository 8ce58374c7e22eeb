/* A picture, PNG or JPEG. Input: a byte whose lowest bit asks for grey, and the file. Pictures that announce many
 * pixels are left out, because decoding them only takes long: IMAGE_MAX_PIXELS has its test elsewhere. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "trainer/check.h"
#include "trainer/image.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct image image;
    struct status status;
    if (size < 1 || announces_many_pixels(data + 1, size - 1)) return -1;
    if (!*file.path) {
        fuzz_file_create(&file);
        stderr = fopen("/dev/null", "w"); /* lines about odd pictures, by the thousand */
        CHECK(stderr);
    }
    fuzz_file_set(&file, data + 1, size - 1);
    int64_t channels = data[0] & 1 ? 1 : 3;
    if (!image_read(&image, file.path, channels, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        CHECK(image.pixels == NULL);
        return 0;
    }
    CHECK(image.channels == channels && image.height >= 1 && image.width >= 1);
    image_resize(&image, 7, 5);
    CHECK(image.height == 7 && image.width == 5);
    image_free(&image);
    return 0;
}
