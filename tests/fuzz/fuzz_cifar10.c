/* The folder of CIFAR-10: six files of records and one of class names. Input: for each of the seven files a byte with
 * the number of records (its low two bits) and of bytes too many (the rest); then, for each file, the bytes that repeat
 * in it: a length byte and so many bytes. Records are large, inputs stay small. */
#include <string.h>

#include "fuzz.h"
#include "trainer/check.h"
#include "trainer/dataset.h"

enum { FILES = 7, RECORD = 3073, SIZE_MAX_OF_FILE = 3 * RECORD + 63 };

static const char *const names[FILES] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                         "data_batch_5.bin", "test_batch.bin",   "batches.meta.txt"};
static struct fuzz_file files[FILES];

static void set_file(int index, uint8_t form, struct fuzz_bytes content)
{
    static uint8_t bytes[SIZE_MAX_OF_FILE];
    bool text = index == FILES - 1;
    size_t size = (size_t)(form & 3) * RECORD + (form >> 2);
    if (text) size = content.size;
    memset(bytes, 0, size);
    for (size_t i = 0; i < size && content.size > 0; i += RECORD)
        memcpy(bytes + i, content.data, content.size < size - i ? content.size : size - i);
    fuzz_file_set(&files[index], bytes, size);
}

static void check_set(const struct image_set *set, int64_t classes)
{
    unsigned sum = 0;
    CHECK(set->count >= 1);
    for (int64_t i = 0; i < set->count; i++) CHECK(set->labels[i] < classes);
    for (int64_t i = 0; i < set->count * (RECORD - 1); i++) sum += set->pixels[i];
    CHECK(sum <= 255u * (unsigned)set->count * (RECORD - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    uint8_t form[FILES];
    struct dataset dataset;
    struct status status;
    const struct dataset_source source = {.path = fuzz_folder()};
    if (!*files[0].path)
        for (int i = 0; i < FILES; i++) fuzz_folder_file(&files[i], names[i]);
    for (int i = 0; i < FILES; i++) form[i] = fuzz_take_byte(&bytes);
    for (int i = 0; i < FILES; i++) {
        size_t length = fuzz_take_byte(&bytes);
        set_file(i, form[i], fuzz_take(&bytes, length));
    }
    if (!cifar10_load(&dataset, &source, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        return 0;
    }
    CHECK(dataset.classes >= 1 && dataset.classes <= 256);
    check_set(&dataset.train, dataset.classes);
    check_set(&dataset.test, dataset.classes);
    for (int64_t i = 0; dataset.class_names && i < dataset.classes; i++) fuzz_check_name(dataset.class_names[i]);
    dataset_free(&dataset);
    return 0;
}
