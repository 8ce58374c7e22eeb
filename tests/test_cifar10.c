/* Tests the reader of CIFAR-10's binary version on the real sample in fixtures/cifar10 and on damaged copies of it. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset.h"
#include "support.h"
#include "util/memory.h"

enum { RECORD = 3073, PIXELS = 3072, TRAIN_RECORDS = 64, FILES = 6 };

static const char fixture[] = TEST_FOLDER "/fixtures/cifar10";
static const char *const batches[FILES] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                           "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

static void copy_file(const char *name, const char *to_folder)
{
    size_t size;
    char *from = support_path(fixture, name), *to = support_path(to_folder, name);
    char *bytes = support_file_read(from, &size);
    cr_assert(bytes != NULL);
    support_file_write(to, bytes, size);
    free(bytes), free(from), free(to);
}

/* Makes a new folder with a copy of the fixture. */
static char *copy_fixture(void)
{
    char *folder = support_folder();
    for (int i = 0; i < FILES; i++) copy_file(batches[i], folder);
    copy_file("batches.meta.txt", folder);
    return folder;
}

/* Checks that the folder cannot be loaded, with exactly the message `where`, ": " and `what`. */
static void expect_error(const char *folder, const char *where, const char *what)
{
    struct dataset dataset, empty = {0};
    struct status status = {0};
    cr_assert_not(cifar10_load(&dataset, &(struct dataset_source){.path = folder}, &status));
    char *expected = memory_format("%s: %s", where, what);
    cr_expect_str_eq(status.message, expected);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0, "after an error the dataset is empty");
    free(expected);
}

static void expect_file_error(char *folder, const char *name, const char *what)
{
    char *path = support_path(folder, name);
    expect_error(folder, path, what);
    free(path);
    support_folder_remove(folder);
}

static struct dataset load(const char *folder)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert(cifar10_load(&dataset, &(struct dataset_source){.path = folder}, &status), "%s", status.message);
    return dataset;
}

static void expect_fixture(const struct dataset *dataset)
{
    static const uint16_t labels[] = {6, 9, 9, 4, 1, 1, 2, 7, 8, 3}, test_labels[] = {3, 8, 8, 0, 6, 6, 1, 6, 3, 1};
    const uint8_t *first = dataset->train.pixels, *last = &dataset->test.pixels[99 * PIXELS];
    cr_expect(dataset->channels == 3 && dataset->height == 32 && dataset->width == 32 && dataset->classes == 10);
    cr_assert(dataset->train.count == 320 && dataset->test.count == 100 && dataset->validation.count == 0);
    cr_expect_eq(memcmp(dataset->train.labels, labels, sizeof labels), 0);
    cr_expect_eq(memcmp(dataset->test.labels, test_labels, sizeof test_labels), 0);
    /* The first row of red, and the first pixels of green and blue. */
    cr_expect(first[0] == 59 && first[1] == 43 && first[31] == 148 && first[32] == 16);
    cr_expect(first[1024] == 62 && first[2048] == 63 && first[3071] == 72);
    cr_expect(dataset->train.labels[319] == 9 && dataset->train.pixels[320 * PIXELS - 1] == 192);
    cr_expect(dataset->test.labels[99] == 7 && last[0] == 234 && last[3071] == 127);
}

Test(cifar10, loads_the_fixture)
{
    struct dataset dataset = load(fixture);
    expect_fixture(&dataset);
    cr_assert(dataset.class_names != NULL);
    cr_expect_str_eq(dataset.class_names[0], "airplane");
    cr_expect_str_eq(dataset.class_names[9], "truck");
    dataset_free(&dataset);
    dataset_free(&dataset); /* an empty one is allowed */
}

Test(cifar10, keeps_the_order_of_the_files)
{
    struct dataset dataset = load(fixture);
    for (int i = 0; i < FILES - 1; i++) {
        size_t size;
        char *path = support_path(fixture, batches[i]), *bytes = support_file_read(path, &size);
        cr_assert_eq(size, TRAIN_RECORDS * RECORD);
        for (int n = 0; n < TRAIN_RECORDS; n++) {
            int64_t sample = i * TRAIN_RECORDS + n;
            cr_assert_eq(dataset.train.labels[sample], (uint8_t)bytes[n * RECORD]);
            cr_assert_eq(memcmp(&dataset.train.pixels[sample * PIXELS], &bytes[n * RECORD + 1], PIXELS), 0);
        }
        free(bytes), free(path);
    }
    dataset_free(&dataset);
}

Test(cifar10, finds_the_folder_below_and_takes_a_slash_at_the_end)
{
    char *parent = support_folder(), *below = support_path(parent, "cifar-10-batches-bin");
    cr_assert_eq(symlink(fixture, below), 0);
    struct dataset dataset = load(parent);
    expect_fixture(&dataset);
    dataset_free(&dataset);
    char *slash = memory_format("%s/", below);
    dataset = load(slash);
    expect_fixture(&dataset);
    dataset_free(&dataset);
    free(slash), free(below);
    support_folder_remove(parent);
}

Test(cifar10, class_names_are_optional)
{
    char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
    cr_assert_eq(unlink(meta), 0);
    struct dataset dataset = load(folder);
    expect_fixture(&dataset);
    cr_expect_null(dataset.class_names);
    dataset_free(&dataset);
    free(meta);
    support_folder_remove(folder);
}

Test(cifar10, class_names_may_have_windows_line_ends)
{
    static const char names[] = "a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nthe tenth\r\n\r\n";
    char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
    support_file_write(meta, names, strlen(names));
    struct dataset dataset = load(folder);
    cr_expect_str_eq(dataset.class_names[0], "a");
    cr_expect_str_eq(dataset.class_names[9], "the tenth");
    dataset_free(&dataset);
    free(meta);
    support_folder_remove(folder);
}

/* --- missing files --- */

static const char way_out[] =
    "run scripts/fetch-cifar10 to download it, or point data.path (--set data.path=...) at an "
    "existing copy of cifar-10-batches-bin";

static void expect_way_out(const char *folder, const char *what)
{
    bool ends_so = strcmp(what + strlen(what) - 2, "or") == 0;
    char *message = memory_format("%s%s %s", what, ends_so ? "" : ":", way_out);
    expect_error(folder, folder, message);
    free(message);
}

Test(cifar10, nothing_there_says_how_to_get_it)
{
    char *folder = support_folder(), *missing = support_path(folder, "nowhere");
    expect_way_out(folder, "no CIFAR-10 found, expected data_batch_1.bin to data_batch_5.bin and test_batch.bin");
    expect_way_out(missing, "no such folder, expected CIFAR-10 there");
    expect_error(TEST_FOLDER "/test_cifar10.c", TEST_FOLDER "/test_cifar10.c",
                 "is a file, expected the folder that holds CIFAR-10");
    free(missing);
    support_folder_remove(folder);
}

Test(cifar10, python_version_is_named)
{
    static const char message[] = "this is the Python version of CIFAR-10, expected the binary version: "
                                  "scripts/from-torchvision makes an NPZ archive of it; or";
    char *parent = support_folder(), *folder = support_path(parent, "cifar-10-batches-py");
    cr_assert_eq(mkdir(folder, 0700), 0);
    expect_way_out(parent, message);
    expect_way_out(folder, message); /* even without files in it */
    char *batch = support_path(folder, "data_batch_1");
    support_file_write(batch, "pickled", 7);
    expect_way_out(folder, message);
    free(batch), free(folder);
    support_folder_remove(parent);
}

Test(cifar10, each_missing_file_is_named)
{
    for (int i = 0; i < FILES - 1; i++) {
        char *folder = copy_fixture(), *path = support_path(folder, batches[i]);
        cr_assert_eq(unlink(path), 0);
        free(path);
        expect_file_error(folder, batches[i], "cannot open: No such file or directory");
    }
}

Test(cifar10, without_a_test_file_the_test_set_is_empty)
{
    char *folder = copy_fixture(), *path = support_path(folder, batches[FILES - 1]);
    cr_assert_eq(unlink(path), 0);
    struct dataset dataset = load(folder);
    cr_expect(dataset.train.count == 320 && dataset.classes == 10);
    cr_expect(dataset.test.count == 0 && dataset.test.pixels == NULL && dataset.test.labels == NULL);
    dataset_free(&dataset);
    free(path);
    support_folder_remove(folder);
}

Test(cifar10, folder_in_place_of_a_file)
{
    char *folder = copy_fixture(), *path = support_path(folder, batches[3]);
    cr_assert_eq(unlink(path) | mkdir(path, 0700), 0);
    free(path);
    expect_file_error(folder, batches[3], "is a folder, expected a file");
}

Test(cifar10, pipe_in_place_of_a_file, .timeout = 10)
{
    char *folder = copy_fixture(), *path = support_path(folder, batches[3]);
    cr_assert_eq(unlink(path) | mkfifo(path, 0600), 0);
    free(path);
    expect_file_error(folder, batches[3], "not a regular file, expected a file");
}

Test(cifar10, link_to_itself)
{
    char *folder = copy_fixture(), *path = support_path(folder, batches[5]);
    cr_assert_eq(unlink(path) | symlink(batches[5], path), 0);
    free(path);
    expect_file_error(folder, batches[5], "cannot open: Too many levels of symbolic links");
}

Test(cifar10, unreadable_file)
{
    enum { NOBODY = 65534 };
    char *folder = copy_fixture(), *path = support_path(folder, batches[1]);
    for (int i = 0; i < FILES; i++) {
        char *other = support_path(folder, batches[i]);
        cr_assert_eq(chmod(other, i == 1 ? 0 : 0644), 0);
        free(other);
    }
    cr_assert_eq(chmod(folder, 0755), 0);
    bool root = geteuid() == 0; /* root may read everything, so the test changes its user for a moment */
    if (root) cr_assert_eq(seteuid(NOBODY), 0);
    expect_error(folder, path, "cannot open: Permission denied");
    if (root) cr_assert_eq(seteuid(0), 0);
    free(path);
    support_folder_remove(folder);
}

/* --- damaged files --- */

/* Copies the fixture and changes the size of one file; added bytes are zero. */
static char *copy_resized(const char *name, int64_t size)
{
    char *folder = copy_fixture(), *path = support_path(folder, name);
    cr_assert_eq(truncate(path, size), 0);
    free(path);
    return folder;
}

Test(cifar10, truncated_by_a_byte)
{
    expect_file_error(copy_resized(batches[2], 64 * RECORD - 1), batches[2],
                      "byte 193599: the last record has 3072 bytes, expected a whole number of records of 3073 bytes");
    expect_file_error(copy_resized(batches[5], 1), batches[5],
                      "byte 0: the last record has 1 bytes, expected a whole number of records of 3073 bytes");
}

Test(cifar10, one_byte_too_many)
{
    expect_file_error(copy_resized(batches[0], 64 * RECORD + 1), batches[0],
                      "byte 196672: the last record has 1 bytes, expected a whole number of records of 3073 bytes");
}

Test(cifar10, empty_file)
{
    expect_file_error(copy_resized(batches[4], 0), batches[4], "empty file, expected 1 to 10000 records of 3073 bytes");
    expect_file_error(copy_resized(batches[5], 0), batches[5], "empty file, expected 1 to 10000 records of 3073 bytes");
}

Test(cifar10, too_many_records)
{
    expect_file_error(copy_resized(batches[0], 10001 * RECORD), batches[0],
                      "30733073 bytes, expected at most 30730000: 10000 records of 3073 bytes");
    /* The reader must refuse a sparse file by its size, before it takes memory. */
    expect_file_error(copy_resized(batches[5], (int64_t)1 << 40), batches[5],
                      "1099511627776 bytes, expected at most 30730000: 10000 records of 3073 bytes");
}

Test(cifar10, one_record_is_enough)
{
    char *folder = copy_resized(batches[0], RECORD);
    struct dataset dataset = load(folder);
    cr_expect_eq(dataset.train.count, 257);
    cr_expect_eq(dataset.train.pixels[0], 59);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

static void expect_label_error(const char *name, int64_t offset, uint8_t label, const char *message)
{
    char *folder = copy_fixture(), *path = support_path(folder, name);
    FILE *file = fopen(path, "r+b");
    cr_assert(file != NULL && fseek(file, (long)offset, SEEK_SET) == 0 && fputc(label, file) == label);
    cr_assert_eq(fclose(file), 0);
    free(path);
    expect_file_error(folder, name, message);
}

Test(cifar10, label_out_of_range)
{
    expect_label_error(batches[0], 0, 10, "byte 0: label 10, expected 0 to 9, as many as there are class names");
    expect_label_error(batches[1], 10 * RECORD, 10,
                       "byte 30730: label 10, expected 0 to 9, as many as there are class names");
    expect_label_error(batches[4], 63 * RECORD, 255,
                       "byte 193599: label 255, expected 0 to 9, as many as there are class names");
    expect_label_error(batches[5], 99 * RECORD, 100,
                       "byte 304227: label 100, expected 0 to 9, as many as there are class names");
}

static void expect_meta_error(const void *text, size_t size, const char *message)
{
    char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
    support_file_write(meta, text, size);
    free(meta);
    expect_file_error(folder, "batches.meta.txt", message);
}

Test(cifar10, class_names_are_different_lines_of_text)
{
    enum { LONGER = (1 << 22) + 1 };
    char *longer = memory_alloc(LONGER, 1);
    memset(longer, 'a', LONGER);
    expect_meta_error("", 0, "0 class names, expected 2 to 65536");
    expect_meta_error("\n\n", 2, "0 class names, expected 2 to 65536");
    expect_meta_error("cat\n", 4, "1 class names, expected 2 to 65536");
    expect_meta_error(longer, LONGER, "more than 4194304 bytes, expected a class name per line");
    free(longer);
}

/* U+009B, a control character of 8 bits, begins the same sequences as the escape. */
Test(cifar10, class_names_hold_nothing_that_a_terminal_obeys)
{
    const struct {
        const char *text;
        size_t size;
        int line;
        const char *what;
    } cases[] = {{"a\nb\n\033[2J", 8, 3, "control character (byte 0x1b) in column 1"},
                 {"a\nb\0c\n", 6, 2, "NUL character (byte 0x00) in column 2"},
                 {"a\r\nb\rc\n", 7, 2, "control character (byte 0x0d) in column 2"},
                 {"one\ttwo", 7, 1, "control character (byte 0x09) in column 4"},
                 {"\177", 1, 1, "control character (byte 0x7f) in column 1"},
                 {"a\nc\nd\nb\302\2332J\n", 11, 4, "control character (byte 0xc2) in column 2"},
                 {"a\n \nb\n", 6, 2, "nothing"},
                 {"a\n\2332J\n", 6, 2, "invalid UTF-8 (byte 0x9b) in column 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
        char *where = memory_format("%s:%d", meta, cases[i].line);
        char *what = memory_format("%s, expected a class name", cases[i].what);
        support_file_write(meta, cases[i].text, cases[i].size);
        expect_error(folder, where, what);
        free(meta), free(where), free(what);
        support_folder_remove(folder);
    }
}

Test(cifar10, class_names_may_be_in_any_language)
{
    const char *names = "avi\303\263n\nb\nc\nd\ne\nf\ng\nh\ni\n\344\272\272\n";
    struct dataset dataset;
    char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
    support_file_write(meta, names, strlen(names));
    dataset = load(folder);
    cr_expect_str_eq(dataset.class_names[0], "avi\303\263n");
    cr_expect_str_eq(dataset.class_names[9], "\344\272\272");
    dataset_free(&dataset);
    free(meta);
    support_folder_remove(folder);
}

/* --- fewer and more classes than ten --- */

/* Copies the fixture with each label replaced by label % modulus + first, and with these names; NULL: no file of
 * names. */
static char *relabelled_fixture(int modulus, int first, const char *names)
{
    char *folder = copy_fixture(), *meta = support_path(folder, "batches.meta.txt");
    for (int i = 0; i < FILES; i++) {
        size_t size;
        char *path = support_path(folder, batches[i]), *bytes = support_file_read(path, &size);
        for (size_t at = 0; at < size; at += RECORD) bytes[at] = (char)((unsigned char)bytes[at] % modulus + first);
        support_file_write(path, bytes, size);
        free(bytes), free(path);
    }
    if (names)
        support_file_write(meta, names, strlen(names));
    else
        cr_assert_eq(unlink(meta), 0);
    free(meta);
    return folder;
}

Test(cifar10, fewer_classes_by_names_or_by_labels)
{
    static const char *const names[] = {"cat\ndog\nbird\n", NULL};
    for (int i = 0; i < 2; i++) {
        char *folder = relabelled_fixture(3, 0, names[i]);
        struct dataset dataset = load(folder);
        cr_expect_eq(dataset.classes, 3);
        cr_expect(i == 0 ? strcmp(dataset.class_names[2], "bird") == 0 : dataset.class_names == NULL);
        dataset_free(&dataset);
        support_folder_remove(folder);
    }
}

Test(cifar10, label_beyond_the_names)
{
    char *folder = relabelled_fixture(3, 0, "cat\ndog\n");
    expect_file_error(folder, batches[0], "byte 18438: label 2, expected 0 to 1, as many as there are class names");
}

Test(cifar10, labels_from_one_and_damaged_ones)
{
    struct dataset dataset;
    struct status status;
    char *folder = relabelled_fixture(10, 1, NULL), *path = support_path(folder, batches[0]);
    const struct dataset_source from_one = {.path = folder, .first_label = 1};
    cr_assert(cifar10_load(&dataset, &from_one, &status), "%s", status.message);
    cr_expect(dataset.classes == 10 && dataset.train.labels[0] == 6);
    dataset_free(&dataset);
    expect_error(folder, path,
                 "byte 89117: label 1 is the smallest of the training set, expected 0: set data.first_label = 1 if "
                 "labels begin there, or data.classes (or data.class_names) if some classes have no image");
    free(path);
    support_folder_remove(folder);
    folder = relabelled_fixture(10, 0, NULL);
    path = support_path(folder, batches[4]);
    FILE *file = fopen(path, "r+b");
    cr_assert(file && fseek(file, 63 * RECORD, SEEK_SET) == 0 && fputc(200, file) == 200 && fclose(file) == 0);
    free(path);
    expect_file_error(folder, batches[4],
                      "byte 193599: label 200, but no training image has label 10: expected labels without a gap; the "
                      "byte may be damaged; set data.classes (or data.class_names) if some classes have no image");
}

Test(cifar10, another_kind_of_file_is_named)
{
    static const struct {
        const char *bytes, *words;
    } cases[] = {
        {"<!DOCTYPE html><html>", "an HTML or XML page"},
        {"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer (git lfs pull fetches the file itself)"},
        {"PK\003\004....", "a ZIP archive (or .npz)"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = copy_fixture(), *path = support_path(folder, batches[1]);
        char *what = memory_format("this is %s, expected 1 to 10000 records of 3073 bytes", cases[i].words);
        support_file_write(path, cases[i].bytes, strlen(cases[i].bytes));
        free(path);
        expect_file_error(folder, batches[1], what);
        free(what);
    }
}

/* --- the whole set --- */

Test(cifar10, loads_the_whole_set)
{
    const char *folder = getenv("TRAINER_CIFAR10");
    if (folder == NULL) cr_skip_test("set TRAINER_CIFAR10 to the folder of the whole CIFAR-10 to test it");
    struct dataset dataset = load(folder);
    int64_t train[10] = {0}, test[10] = {0};
    cr_assert(dataset.train.count == 50000 && dataset.test.count == 10000);
    for (int64_t i = 0; i < 50000; i++) train[dataset.train.labels[i]]++;
    for (int64_t i = 0; i < 10000; i++) test[dataset.test.labels[i]]++;
    for (int c = 0; c < 10; c++) cr_expect(train[c] == 5000 && test[c] == 1000);
    dataset_free(&dataset);
}
