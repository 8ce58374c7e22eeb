/* A picture. Input: a byte (its lowest bit: grey or colours; the others: what it is scaled to), and the file. */
#include <string.h>

#include "fuzz.h"
#include "trainer/check.h"
#include "trainer/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct fuzz_bytes bytes = {data, size};
    struct image image;
    struct status status;
    uint8_t flags = fuzz_take_byte(&bytes);
    int64_t channels = flags & 1 ? 1 : 3, side = 1 + (flags >> 1) % 32;
    if (!*file.path) fuzz_file_create(&file);
    fuzz_file_set(&file, bytes.data, bytes.size);
    if (!image_read(&image, file.path, channels, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        return 0;
    }
    CHECK(image.channels == channels && image.height >= 1 && image.width >= 1);
    if (image.height * image.width <= 1 << 16) { /* larger ones only take time */
        image_resize(&image, side, side + 1);
        CHECK(image.channels == channels && image.height == side && image.width == side + 1);
        unsigned sum = 0;
        for (int64_t i = 0; i < channels * side * (side + 1); i++) sum += image.pixels[i];
        CHECK(sum <= 255u * (unsigned)(channels * side * (side + 1)));
    }
    image_free(&image);
    return 0;
}
