/* NPZ archives. Input: a byte of flags. Bit 0: what follows is the archive. Else the archive is made of what follows:
 * arrays, each of a byte with its name (low four bits), whether it is deflated (bit 4) and whether its header is
 * written here (bit 5: the dtype and up to four sides are bytes), and two bytes with its length. So the fuzzer needs to
 * guess neither checksums nor offsets. Bit 1: labels begin at 1. Bit 2: the number of classes is 7. */
#include <string.h>
#include <unistd.h>

#include "../npz_support.h"
#include "data/dataset.h"
#include "fuzz.h"
#include "util/check.h"
#include "util/warning.h"

#ifdef TRAINER_ZIP
#include <zip.h>
#endif

enum { NAMES = 16, ARRAYS_MAX = 8, CONTENT_MAX = 4096 };

static const char *const names[NAMES] = {
    "x_train.npy",      "y_train.npy",      "x_test.npy", "y_test.npy",   "x_val.npy", "y_val.npy",
    "train_images.npy", "train_labels.npy", "test_x.npy", "LABELS_valid", "X.npy",     "y.npy",
    "class_names.npy",  "../a\nb",          "",           ".npy"};
static const char *const dtypes[] = {"|u1", "<i8", ">u2", "<f4", ">f8", "<f2", "|b1", "|i1", "|O", "<U2"};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static struct fuzz_bytes archive_bytes; /* of the file */

#ifdef TRAINER_ZIP
zip_t *__wrap_zip_fdopen(int file, int flags, int *code);

/* Stands before libzip's function (CMakeLists.txt): libzip reads the archive from memory, which takes a tenth of the
 * calls of the kernel. */
zip_t *__wrap_zip_fdopen(int file, int flags, int *code)
{
    zip_error_t error;
    CHECK(flags == 0);
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(archive_bytes.data, archive_bytes.size, 0, &error);
    CHECK(source);
    zip_t *archive = zip_open_from_source(source, ZIP_RDONLY, &error);
    *code = zip_error_code_zip(&error);
    zip_error_fini(&error);
    if (!archive) zip_source_free(source);
    if (archive) close(file);
    return archive;
}
#endif

static void set_archive(const struct fuzz_file *file, const void *bytes, size_t size)
{
    archive_bytes = (struct fuzz_bytes){bytes, size};
    fuzz_file_set(file, bytes, size);
}

/* Returns a shape of up to four sides in a new string; a side of 255 ends it. */
static char *take_shape(struct fuzz_bytes *bytes)
{
    char *shape = memory_alloc(32, 1);
    strcpy(shape, "(");
    for (int i = 0; i < 4; i++) {
        uint8_t side = fuzz_take_byte(bytes);
        if (side == 255) break;
        sprintf(strchr(shape, '\0'), "%d,", side);
    }
    return strcat(shape, ")");
}

/* Returns the bytes of an entry in new memory. */
static uint8_t *take_content(struct fuzz_bytes *bytes, size_t length, bool with_header, size_t *size)
{
    uint8_t dtype = with_header ? fuzz_take_byte(bytes) : 0, *made = NULL;
    char *shape = with_header ? take_shape(bytes) : NULL;
    struct fuzz_bytes content = fuzz_take(bytes, length < CONTENT_MAX ? length : CONTENT_MAX);
    *size = 0;
    if (with_header)
        made = npy_make(dtypes[dtype % DTYPES], dtype >> 7, shape, content.data, content.size, size);
    else
        archive_put(&made, size, content.data, content.size);
    free(shape);
    return made;
}

/* Adds an entry as one block of deflate that is stored: a compressor would take most of the time. */
static void add_deflated(struct archive *archive, const char *name, const uint8_t *content, size_t size)
{
    uint8_t *packed = NULL;
    size_t used = 0;
    archive_number(&packed, &used, 1, 1);
    archive_number(&packed, &used, (uint32_t)size, 2), archive_number(&packed, &used, ~(uint32_t)size, 2);
    archive_put(&packed, &used, content, size);
    const struct archive_entry entry = {name,          8, 0, (uint32_t)crc32(0, content, (uInt)size), (uint32_t)used,
                                        (uint32_t)size};
    archive_add_raw(archive, &entry, packed, used);
    free(packed);
}

static void add_array(struct archive *archive, struct fuzz_bytes *bytes)
{
    uint8_t form = fuzz_take_byte(bytes);
    size_t length = fuzz_take_byte(bytes), size;
    length |= (size_t)fuzz_take_byte(bytes) << 8;
    uint8_t *content = take_content(bytes, length, form >> 5 & 1, &size);
    if (form >> 4 & 1)
        add_deflated(archive, names[form % NAMES], content, size);
    else
        archive_add(archive, names[form % NAMES], content, size);
    free(content);
}

static void check_set(const struct dataset *dataset, const struct image_set *set)
{
    uint64_t sum = 0;
    int64_t pixels = set->count * dataset->channels * dataset->height * dataset->width;
    for (int64_t i = 0; i < set->count; i++) CHECK(set->labels[i] < dataset->classes);
    for (int64_t i = 0; i < pixels; i++) sum += set->pixels[i];
    CHECK(sum <= 255u * (uint64_t)pixels);
}

/* The labels alone must give what loading gives. Pixels that are refused show in loading alone. */
static void check_both(struct dataset_source source)
{
    struct dataset dataset, labels;
    struct status status, of_labels;
    bool loaded = npz_load(&dataset, &source, &status);
    source.labels_only = true;
    bool described = npz_load(&labels, &source, &of_labels);
    if (!loaded) fuzz_check_refusal(&status, STATUS_RUNTIME);
    if (!described) CHECK(!loaded);
    if (loaded && described) {
        CHECK(labels.channels == dataset.channels && labels.classes == dataset.classes);
        CHECK(labels.height == dataset.height && labels.width == dataset.width && dataset.train.count >= 1);
        check_set(&dataset, &dataset.train);
        check_set(&dataset, &dataset.validation);
        check_set(&dataset, &dataset.test);
    }
    if (loaded) dataset_free(&dataset);
    if (described) dataset_free(&labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct fuzz_bytes bytes = {data, size};
    struct archive archive = {0};
    if (!*file.path) fuzz_folder_file(&file, "x.npz");
    uint8_t flags = fuzz_take_byte(&bytes);
    if (flags & 1) {
        set_archive(&file, bytes.data, bytes.size);
    } else {
        for (int i = 0; i < ARRAYS_MAX && bytes.size > 0; i++) add_array(&archive, &bytes);
        archive_end(&archive);
        set_archive(&file, archive.bytes, archive.size);
    }
    warning_collect();
    check_both(
        (struct dataset_source){.path = file.path, .first_label = flags >> 1 & 1, .classes = flags >> 2 & 1 ? 7 : 0});
    free(warning_take());
    archive_free(&archive);
    return 0;
}
