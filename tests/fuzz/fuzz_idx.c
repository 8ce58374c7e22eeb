/* The four IDX files of a data set. Input: a byte of flags, the lengths of the first three files (two bytes each), and
 * the files. Flags: bit i, file i is called .gz; bit 4 + i, its bytes are wrapped in a whole gzip member, so that the
 * fuzzer reaches the code behind the unpacking without guessing a checksum. */
#include <string.h>
#include <stdio.h>
#include <zlib.h>

#include "data/dataset.h"
#include "fuzz.h"
#include "util/check.h"

enum { FILES = 4, CONTENT_MAX = 8192, HEADER = 10, BLOCK = 5, TRAILER = 8 };

static const char *const names[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte"};

static size_t put_number(uint8_t *to, uint32_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> (8 * i));
    return (size_t)bytes;
}

/* A gzip member with the content in one stored block. */
static size_t wrap(uint8_t *to, struct fuzz_bytes content)
{
    static const uint8_t header[HEADER] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    uint32_t size = (uint32_t)content.size;
    size_t used = HEADER;
    memcpy(to, header, HEADER);
    to[used++] = 1; /* the last block, stored */
    used += put_number(to + used, size, 2);
    used += put_number(to + used, ~size, 2);
    if (size > 0) memcpy(to + used, content.data, size);
    used += size;
    used += put_number(to + used, (uint32_t)crc32(0, content.data, size), 4);
    return used + put_number(to + used, size, 4);
}

/* A reader takes the plain file where there is one, so it is moved away for the reader to find the packed one. */
static void set_file(int index, bool packed, bool wrapped, struct fuzz_bytes content)
{
    static struct fuzz_file plain[FILES], zipped[FILES];
    static bool is_packed[FILES];
    static uint8_t buffer[HEADER + BLOCK + CONTENT_MAX + TRAILER];
    char name[32];
    if (!*plain[index].path) {
        fuzz_folder_file(&plain[index], names[index]);
        snprintf(name, sizeof name, "%s.gz", names[index]);
        fuzz_folder_file(&zipped[index], name);
    }
    if (packed != is_packed[index]) {
        char away[96];
        snprintf(away, sizeof away, "%s.away", plain[index].path);
        CHECK(rename(packed ? plain[index].path : away, packed ? away : plain[index].path) == 0);
        is_packed[index] = packed;
    }
    size_t size = content.size;
    if (wrapped)
        size = wrap(buffer, content);
    else if (size > 0)
        memcpy(buffer, content.data, size);
    fuzz_file_set(packed ? &zipped[index] : &plain[index], buffer, size);
}

static void check_set(const struct dataset *dataset, const struct image_set *set)
{
    unsigned sum = 0;
    int64_t pixels = set->count * dataset->channels * dataset->height * dataset->width;
    CHECK(set->count >= 1);
    for (int64_t i = 0; i < set->count; i++) CHECK(set->labels[i] < dataset->classes);
    for (int64_t i = 0; i < pixels; i++) sum += set->pixels[i];
    CHECK(sum <= 255u * (uint64_t)pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    size_t length[FILES];
    struct dataset dataset;
    struct status status;
    const struct dataset_source source = {.path = fuzz_folder()};
    uint8_t flags = fuzz_take_byte(&bytes);
    for (int i = 0; i < FILES - 1; i++) {
        length[i] = fuzz_take_byte(&bytes);
        length[i] |= (size_t)fuzz_take_byte(&bytes) << 8;
    }
    length[FILES - 1] = bytes.size;
    for (int i = 0; i < FILES; i++) {
        struct fuzz_bytes content = fuzz_take(&bytes, length[i] < CONTENT_MAX ? length[i] : CONTENT_MAX);
        set_file(i, flags >> i & 1, flags >> (4 + i) & 1, content);
    }
    if (!idx_load(&dataset, &source, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        return 0;
    }
    check_set(&dataset, &dataset.train);
    check_set(&dataset, &dataset.test);
    dataset_free(&dataset);
    return 0;
}
