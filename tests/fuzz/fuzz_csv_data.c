/* Tables of data.dataset = csv, in a folder with the pictures 1.png and 2.jpg, which are the same tiny PNG. Input: a
 * byte of flags, and the table. Flags: bit 0, data.label_column is 1; bit 1, it is "label"; bit 2, data.image_column is
 * 2; bit 3, data.class_names are a, b and c; bit 4, data.classes is 3; bit 5, data.image_size is 4x4; bit 6, the
 * pictures are not decoded, as decoding takes most of the time and has a target of its own. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data_private.h"
#include "data/dataset.h"
#include "fuzz.h"
#include "io/image.h"
#include "util/check.h"
#include "util/machine.h"
#include "util/warning.h"

enum { FILES = 3 };
static const char *const names[FILES] = {"1.png", "2.jpg", "t.csv"};

/* --- what stands before the functions of the same name (CMakeLists.txt) --- */

int __wrap_stat(const char *path, struct stat *info);
int __real_stat(const char *path, struct stat *info);
struct machine __wrap_machine_read(const char *root);

/* Tells whether a path leads into the folder, to a name that is not there. */
static bool is_absent(const char *path)
{
    const char *folder = fuzz_folder(), *name = path + strlen(folder) + 1;
    if (strncmp(path, folder, strlen(folder)) != 0 || name[-1] != '/' || strlen(path) >= PATH_MAX) return false;
    size_t size = strcspn(name, "/");
    if (size == 0 || size > NAME_MAX || *name == '.') return false;
    for (int i = 0; i < FILES; i++)
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) return false;
    return true;
}

/* Most tables name pictures that are not there, and the kernel took most of the time to find that out. */
int __wrap_stat(const char *path, struct stat *info)
{
    if (!is_absent(path)) return __real_stat(path, info);
    errno = ENOENT;
    return -1;
}

/* One core: no threads are started for two pictures. */
struct machine __wrap_machine_read(const char *root)
{
    (void)root;
    return (struct machine){1, INT64_MAX, INT64_MAX};
}

/* --- the target --- */

static void write_pictures(void)
{
    static uint8_t pixels[4] = {1, 2, 3, 4};
    const struct image image = {1, 2, 2, pixels};
    struct status status;
    char path[96];
    for (int i = 0; i < 2; i++) {
        struct fuzz_file file; /* so that the folder is removed with what is in it */
        fuzz_folder_file(&file, names[i]);
        memcpy(path, file.path, sizeof file.path);
        CHECK(image_write_png(&image, path, &status));
    }
}

static void check_set(const struct dataset *dataset, const struct image_set *set)
{
    uint64_t sum = 0;
    int64_t size = dataset->channels * dataset->height * dataset->width;
    for (int64_t i = 0; i < set->count; i++) {
        CHECK(set->labels[i] < dataset->classes);
        for (int64_t k = 0; k < size; k++) sum += image_set_pixels(set, i, size)[k];
    }
    CHECK(sum <= 255u * (uint64_t)(set->count * size));
}

static void check_refusal(const struct status *status)
{
    bool usage = status->code == STATUS_USAGE;
    fuzz_check_refusal(status, usage ? STATUS_USAGE : STATUS_RUNTIME);
    CHECK(!usage || strncmp(status->message, "data.", 5) == 0);
}

static void load(const struct dataset_source *source)
{
    struct dataset dataset;
    struct status status;
    if (!csv_load(&dataset, source, &status)) {
        check_refusal(&status);
        return;
    }
    CHECK(dataset.classes >= 2 && dataset.train.count >= 1);
    for (int64_t i = 0; i < dataset.classes; i++) fuzz_check_name(dataset.class_names[i]);
    check_set(&dataset, &dataset.train);
    check_set(&dataset, &dataset.validation);
    check_set(&dataset, &dataset.test);
    dataset_free(&dataset);
}

static void describe(const struct dataset_source *source)
{
    struct dataset_description description;
    struct status status;
    if (!csv_describe(&description, source, &status))
        check_refusal(&status);
    else
        CHECK(description.classes >= 2 && description.height >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct fuzz_bytes bytes = {data, size};
    if (!*file.path) {
        fuzz_folder_file(&file, "t.csv");
        write_pictures();
    }
    uint8_t flags = fuzz_take_byte(&bytes);
    struct dataset_source source = {.path = file.path, .classes = flags >> 4 & 1 ? 3 : 0};
    source.pictures.label_column = flags & 1 ? "1" : flags >> 1 & 1 ? "label" : "auto";
    source.pictures.image_column = flags >> 2 & 1 ? "2" : NULL;
    source.class_names = flags >> 3 & 1 ? "a, b, c" : NULL;
    source.pictures.channels = 1;
    source.pictures.max_skipped = 1;
    bool only_described = flags >> 6 & 1;
    if (flags >> 5 & 1) source.pictures.height = source.pictures.width = 4;
    if (only_described && source.pictures.height == 0) source.pictures.height = source.pictures.width = 2;
    fuzz_file_set(&file, bytes.data, bytes.size);
    warning_collect();
    if (only_described)
        describe(&source);
    else
        load(&source);
    free(warning_take());
    return 0;
}
