/* A packed file. Input: a byte of flags, the header's fields, and the bytes that follow the header. Flags: bit 0, the digest
 * of header and tables is put right; bit 1, the digests of the rows are too, so that the fuzzer reaches the code behind
 * them. */
#include <string.h>

#include "data/pack.h"
#include "data/pack_dataset.h"
#include "fuzz.h"
#include "util/check.h"
#include "util/sha256.h"

enum { BODY_MAX = 8192, FIELDS = 128, SIGNED = 1, ROWS_SIGNED = 2 };

static uint8_t file[PACK_HEADER + BODY_MAX];

static uint64_t number_at(int place)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number |= (uint64_t)file[place + i] << (8 * i);
    return number;
}

static void digest(uint8_t *to, const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size)
{
    struct status status;
    struct sha256 hash = sha256_start();
    sha256_add(&hash, first, first_size);
    sha256_add(&hash, second, second_size);
    CHECK(sha256_finish_bytes(&hash, to, &status));
}

/* Puts right digests where the counts leave room for pixels and tables. */
static void sign(uint8_t flags, size_t size)
{
    uint64_t rows = number_at(48), sample = 1;
    for (int i = 0; i < 3; i++) {
        if (number_at(16 + 8 * i) > BODY_MAX) return;
        sample *= number_at(16 + 8 * i);
    }
    if (rows > BODY_MAX || sample > BODY_MAX || rows * (sample + PACK_SHA256) > size) return;
    uint8_t *pixels = file + PACK_HEADER, *tables = pixels + rows * sample;
    for (uint64_t i = 0; (flags & ROWS_SIGNED) && i < rows; i++)
        digest(tables + i * PACK_SHA256, pixels + i * sample, (size_t)sample, NULL, 0);
    if (!(flags & SIGNED)) return;
    memset(file + PACK_DIGEST_PLACE, 0, PACK_SHA256);
    digest(file + PACK_DIGEST_PLACE, file, PACK_HEADER, tables, size - (size_t)(rows * sample));
}

static unsigned check_set(const struct dataset *dataset, const struct image_set *set)
{
    unsigned sum = 0;
    int64_t sample = dataset->channels * dataset->height * dataset->width;
    for (int64_t i = 0; i < set->count; i++) {
        CHECK(set->labels[i] < dataset->classes);
        CHECK(i == 0 || set->rows[i] > set->rows[i - 1]);
        const char *name = image_set_name(set, i);
        sum += name ? (unsigned)strlen(name) : 0;
        for (int64_t p = 0; p < sample; p++) sum += image_set_pixels(set, i, sample)[p];
        if (set->row_digests) sum += set->row_digests[image_set_row(set, i)][PACK_SHA256 - 1];
    }
    return sum;
}

static void check_dataset(const struct dataset *dataset)
{
    unsigned sum = check_set(dataset, &dataset->train);
    CHECK(dataset->train.count >= 1 && dataset->classes >= 1);
    sum += check_set(dataset, &dataset->validation) + check_set(dataset, &dataset->test);
    for (int64_t c = 0; dataset->class_names && c < dataset->classes; c++) fuzz_check_name(dataset->class_names[c]);
    for (int64_t i = 0; i < dataset->skipped_count; i++)
        sum += (unsigned)(strlen(dataset->skipped[i].path) + strlen(dataset->skipped[i].reason));
    CHECK(sum < UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file packed;
    struct fuzz_bytes bytes = {data, size};
    struct dataset dataset;
    struct status status;
    if (!*packed.path) fuzz_file_create(&packed);
    uint8_t flags = fuzz_take_byte(&bytes);
    struct fuzz_bytes fields = fuzz_take(&bytes, FIELDS), body = fuzz_take(&bytes, BODY_MAX);
    memset(file, 0, PACK_HEADER);
    if (fields.size > 0) memcpy(file, fields.data, fields.size);
    if (body.size > 0) memcpy(file + PACK_HEADER, body.data, body.size);
    if (fields.size == FIELDS) sign(flags, body.size);
    fuzz_file_set(&packed, file, fields.size < FIELDS ? fields.size : PACK_HEADER + body.size);
    const struct dataset_source source = {.path = packed.path, .pictures = {.background = {255, 255, 255}}};
    if (pack_load(&dataset, &source, &status)) {
        check_dataset(&dataset);
        dataset_free(&dataset);
    } else {
        /* Other settings than the source's are the config's error. */
        fuzz_check_refusal(&status, status.code == STATUS_USAGE ? STATUS_USAGE : STATUS_RUNTIME);
    }
    return 0;
}
