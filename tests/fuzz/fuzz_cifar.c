/* The folder of CIFAR-10: six files of records and one of class names; or that of CIFAR-100 with one file for training.
 * Input: for each of the six files a byte with the number of records (its low two bits) and of bytes too many (the
 * rest); a byte whose remainder by 3 is 0 for CIFAR-10, 1 for CIFAR-100 and 2 for its coarse labels; then, for each of
 * the seven files, the bytes that repeat in it: a length byte and so many bytes. CIFAR-100 takes the first file, the
 * sixth and the last. Records are large, inputs stay small. */
#include <string.h>

#include "data/dataset.h"
#include "fuzz.h"
#include "util/check.h"

enum { FILES = 7, PIXELS = 3072, RECORD_MAX = PIXELS + 2, SIZE_MAX_OF_FILE = 3 * RECORD_MAX + 63, KINDS = 3 };

/* NULL: the data set has no such file. */
static const char *const names[KINDS][FILES] = {
    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
     "test_batch.bin", "batches.meta.txt"},
    {"train.bin", NULL, NULL, NULL, NULL, "test.bin", "fine_label_names.txt"},
    {"train.bin", NULL, NULL, NULL, NULL, "test.bin", "coarse_label_names.txt"}};
static struct fuzz_file files[KINDS][FILES];

static void create_files(void)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < FILES; i++)
            if (names[kind][i]) fuzz_folder_file(&files[kind][i], names[kind][i]);
}

static void set_file(int kind, int index, uint8_t form, struct fuzz_bytes content)
{
    static uint8_t bytes[SIZE_MAX_OF_FILE];
    bool text = index == FILES - 1;
    size_t record = kind == 0 ? PIXELS + 1 : PIXELS + 2, size = (size_t)(form & 3) * record + (form >> 2);
    if (!names[kind][index]) return;
    if (text) size = content.size;
    memset(bytes, 0, size);
    for (size_t i = 0; i < size && content.size > 0; i += record)
        memcpy(bytes + i, content.data, content.size < size - i ? content.size : size - i);
    fuzz_file_set(&files[kind][index], bytes, size);
}

static void check_set(const struct image_set *set, int64_t classes)
{
    unsigned sum = 0;
    CHECK(set->count >= 1);
    for (int64_t i = 0; i < set->count; i++) CHECK(set->labels[i] < classes);
    for (int64_t i = 0; i < set->count * PIXELS; i++) sum += set->pixels[i];
    CHECK(sum <= 255u * (unsigned)set->count * PIXELS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    uint8_t form[FILES];
    struct dataset dataset;
    struct status status;
    if (!*files[0][0].path) create_files();
    for (int i = 0; i < FILES; i++) form[i] = fuzz_take_byte(&bytes);
    int kind = form[FILES - 1] % KINDS;
    for (int i = 0; i < FILES; i++) {
        size_t length = fuzz_take_byte(&bytes);
        set_file(kind, i, form[i], fuzz_take(&bytes, length));
    }
    const struct dataset_source source = {.path = fuzz_folder(), .coarse_labels = kind == 2};
    if (!(kind == 0 ? cifar10_load : cifar100_load)(&dataset, &source, &status)) {
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
