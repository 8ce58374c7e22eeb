/* Tests the reader of IDX files on a tiny set, plain and packed, on damaged copies of it, and on Fashion-MNIST. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "idx_support.h"

enum { HEIGHT = 3, WIDTH = 2, TRAIN = 4, TEST = 2 };

static const char train_images[] = "train-images-idx3-ubyte", train_labels[] = "train-labels-idx1-ubyte";
static const char test_images[] = "t10k-images-idx3-ubyte", test_labels[] = "t10k-labels-idx1-ubyte";
static const uint8_t labels_of_train[TRAIN] = {0, 1, 2, 1}, labels_of_test[TEST] = {2, 0};

/* Makes a new folder with a good set in plain files. */
static char *write_set(void)
{
    char *folder = support_folder();
    write_and_free(folder, train_images, make_images(TRAIN, HEIGHT, WIDTH, 5));
    write_and_free(folder, train_labels, make_labels(TRAIN, labels_of_train));
    write_and_free(folder, test_images, make_images(TEST, HEIGHT, WIDTH, 9));
    write_and_free(folder, test_labels, make_labels(TEST, labels_of_test));
    return folder;
}

static struct dataset load(const char *folder)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert(idx_load(&dataset, &(struct dataset_source){.path = folder}, &status), "%s", status.message);
    return dataset;
}

/* Checks that the folder cannot be loaded, with exactly the message folder/name, ": " and `what`; removes the
 * folder. */
static void expect_error(char *folder, const char *name, const char *what)
{
    struct dataset dataset, empty = {0};
    struct status status = {0};
    cr_assert_not(idx_load(&dataset, &(struct dataset_source){.path = folder}, &status), "expected: %s: %s", name,
                  what);
    char *expected = *name ? memory_format("%s/%s: %s", folder, name, what) : memory_format("%s: %s", folder, what);
    cr_expect_str_eq(status.message, expected);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0, "after an error the dataset is empty");
    free(expected);
    support_folder_remove(folder);
}

static void expect_set(struct dataset dataset)
{
    cr_expect(dataset.channels == 1 && dataset.height == HEIGHT && dataset.width == WIDTH && dataset.classes == 3);
    cr_assert(dataset.train.count == TRAIN && dataset.test.count == TEST && dataset.class_names == NULL);
    for (int i = 0; i < TRAIN; i++) cr_expect_eq(dataset.train.labels[i], labels_of_train[i]);
    for (int i = 0; i < TEST; i++) cr_expect_eq(dataset.test.labels[i], labels_of_test[i]);
    for (uint32_t i = 0; i < TRAIN * HEIGHT * WIDTH; i++) cr_expect_eq(dataset.train.pixels[i], pixel(5, i));
    for (uint32_t i = 0; i < TEST * HEIGHT * WIDTH; i++) cr_expect_eq(dataset.test.pixels[i], pixel(9, i));
    dataset_free(&dataset);
}

Test(idx, loads_plain_files)
{
    char *folder = write_set();
    expect_set(load(folder));
    support_folder_remove(folder);
}

Test(idx, loads_packed_files_and_mixtures)
{
    static const char *const names[] = {train_images, train_labels, test_images, test_labels};
    char *folder = write_set();
    for (int i = 0; i < 4; i++) {
        char *packed_name = memory_format("%s.gz", names[i]);
        write_and_free(folder, packed_name, pack(take_file(folder, names[i])));
        free(packed_name);
        expect_set(load(folder));
    }
    support_folder_remove(folder);
}

Test(idx, without_test_files_the_test_set_is_empty)
{
    char *folder = write_set();
    free(take_file(folder, test_images).data);
    free(take_file(folder, test_labels).data);
    struct dataset dataset = load(folder);
    cr_expect(dataset.train.count == TRAIN && dataset.classes == 3);
    cr_expect(dataset.test.count == 0 && dataset.test.pixels == NULL && dataset.test.labels == NULL);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(idx, loads_packed_files_joined_end_to_end)
{
    char *folder = write_set();
    struct bytes plain = take_file(folder, train_images), first = {memory_alloc(1, 1), 0}, second = first;
    second.data = memory_alloc(1, 1);
    append(&first, plain.data, 21);
    append(&second, plain.data + 21, plain.size - 21);
    first = pack(first), second = pack(second);
    append(&first, second.data, second.size);
    write_and_free(folder, "train-images-idx3-ubyte.gz", first);
    expect_set(load(folder));
    free(plain.data), free(second.data);
    support_folder_remove(folder);
}

/* --- damaged plain files --- */

struct patch {
    int offset;
    uint32_t number;
};

/* A good file in which one or two numbers are replaced and whose size is changed. */
struct damage {
    const char *file;
    int resize; /* bytes added, or cut off where negative */
    int patches;
    struct patch patch[2];
    const char *message;
};

static const struct damage damages[] = {
    {train_images,
     0,
     1,
     {{0, 0x801}},
     "this is IDX of unsigned bytes with 1 dimension, expected IDX of unsigned bytes with 3 or 4 dimensions (images)"},
    {train_images,
     0,
     1,
     {{0, 0xD03}},
     "this is IDX of 32-bit floats with 3 dimensions, expected IDX of unsigned bytes with 3 or 4 dimensions (images)"},
    {train_images,
     0,
     1,
     {{0, 0x03080000}},
     "this is IDX of unsigned bytes with 3 dimensions, written in little-endian order, expected IDX of unsigned bytes with 3 or 4 dimensions (images)"},
    {test_labels,
     0,
     1,
     {{0, 0x803}},
     "this is IDX of unsigned bytes with 3 dimensions, expected IDX of bytes or of 16-bit or 32-bit integers with 1 dimension (labels)"},
    {train_labels,
     0,
     1,
     {{0, 0xFFFFFFFF}},
     "byte 0: magic number 0xffffffff, expected 0x00000801: IDX of bytes or of 16-bit or 32-bit integers with 1 dimension (labels)"},
    {train_images, 0, 1, {{4, 0}}, "byte 4: count 0, expected 1 to 10000000"},
    {train_labels, 0, 1, {{4, 0}}, "byte 4: count 0, expected 1 to 10000000"},
    {train_images, 0, 1, {{4, 10000001}}, "byte 4: count 10000001, expected 1 to 10000000"},
    {train_images, 0, 1, {{4, 0x80000000}}, "byte 4: count 2147483648, expected 1 to 10000000"},
    {test_images, 0, 1, {{4, 0xFFFFFFFF}}, "byte 4: count 4294967295, expected 1 to 10000000"},
    {train_labels, 0, 1, {{4, 0x80000000}}, "byte 4: count 2147483648, expected 1 to 10000000"},
    {train_images, 0, 1, {{8, 0}}, "byte 8: height 0, expected 1 to 65536"},
    {train_images, 0, 1, {{12, 0}}, "byte 12: width 0, expected 1 to 65536"},
    {train_images, 0, 1, {{8, 65537}}, "byte 8: height 65537, expected 1 to 65536"},
    {train_images, 0, 1, {{12, 0xFFFFFFFF}}, "byte 12: width 4294967295, expected 1 to 65536"},
    {train_images,
     0,
     2,
     {{8, 65536}, {12, 65536}},
     "byte 4: 4 images of 65536x65536 are 17179869184 bytes, expected at most 4294967296"},
    {train_images, 0, 1, {{4, 5}}, "40 bytes, expected 46: a header of 16 bytes and 30 bytes of data"},
    {train_images, 0, 1, {{4, 3}}, "40 bytes, expected 34: a header of 16 bytes and 18 bytes of data"},
    {train_images, -1, 0, {{0}}, "39 bytes, expected 40: a header of 16 bytes and 24 bytes of data"},
    {train_images, 1, 0, {{0}}, "41 bytes, expected 40: a header of 16 bytes and 24 bytes of data"},
    {test_labels, -1, 0, {{0}}, "9 bytes, expected 10: a header of 8 bytes and 2 bytes of data"},
    {test_labels, 1, 0, {{0}}, "11 bytes, expected 10: a header of 8 bytes and 2 bytes of data"},
    {train_images, -40, 0, {{0}}, "the file ends at byte 0, expected a header of 16 bytes"},
    {train_images, -25, 0, {{0}}, "the file ends at byte 15, expected a header of 16 bytes"},
    {train_labels, -5, 0, {{0}}, "the file ends at byte 7, expected a header of 8 bytes"},
    {test_images, 0, 2, {{8, 2}, {12, 3}}, "byte 8: images of 2x3, expected 3x2 as in the train set"},
};

static struct bytes apply(struct bytes bytes, const struct damage *damage)
{
    for (int i = 0; i < damage->patches; i++) put_number(bytes.data + damage->patch[i].offset, damage->patch[i].number);
    if (damage->resize > 0) append(&bytes, "\0", 1);
    if (damage->resize < 0) bytes.size -= (size_t)-damage->resize;
    return bytes;
}

Test(idx, damaged_plain_files)
{
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char *folder = write_set();
        write_and_free(folder, damages[i].file, apply(take_file(folder, damages[i].file), &damages[i]));
        expect_error(folder, damages[i].file, damages[i].message);
    }
}

Test(idx, as_many_labels_as_images)
{
    char *folder = write_set();
    write_and_free(folder, train_labels, make_labels(TRAIN - 1, labels_of_train));
    char *message = memory_format("byte 4: 3 labels, expected 4 as in %s/%s", folder, train_images);
    expect_error(folder, train_labels, message);
    free(message);
}

Test(idx, test_label_out_of_range)
{
    char *folder = write_set();
    write_and_free(folder, test_labels, make_labels(TEST, (const uint8_t[]){2, 3}));
    expect_error(folder, test_labels, "byte 9: label 3, expected 0 to 2 as in the train set");
}

/* --- missing files, and folders in their place --- */

static const char way_out[] =
    "point data.path (--set data.path=...) at them; Debian's package dataset-fashion-mnist has "
    "Fashion-MNIST in /usr/share/datasets/fashion-mnist";

Test(idx, nothing_there_says_how_to_get_it)
{
    char *message = memory_format("no IDX files found, expected train-images-idx3-ubyte and train-labels-idx1-ubyte "
                                  "(or with a dot, or .gz) as of MNIST, Fashion-MNIST or EMNIST: %s",
                                  way_out);
    expect_error(support_folder(), "", message);
    free(message);
}

Test(idx, no_folder_and_a_file_and_a_tilde_are_told_apart)
{
    static const char *const paths[] = {"%s/nowhere", "%s/t10k-labels-idx1-ubyte", "~/nowhere%s"};
    char *folder = write_set(),
         *no_folder =
             memory_format("no such folder, expected the IDX files of MNIST or Fashion-MNIST there: %s", way_out);
    const char *const messages[] = {
        no_folder, "is a file, expected the folder that holds the IDX files of MNIST or Fashion-MNIST",
        "no such folder: ~ stands for the home folder only where a shell replaces it, expected the path in full"};
    for (int i = 0; i < 3; i++) {
        struct dataset dataset;
        struct status status = {0};
        char *path = memory_format(paths[i], folder);
        char *expected = memory_format("%s: %s", path, messages[i]);
        cr_assert_not(idx_load(&dataset, &(struct dataset_source){.path = path}, &status));
        cr_expect_str_eq(status.message, expected);
        free(path), free(expected);
    }
    free(no_folder);
    support_folder_remove(folder);
}

Test(idx, each_missing_file_is_named)
{
    static const char *const names[] = {train_images, train_labels, test_images, test_labels};
    for (int i = 0; i < 4; i++) {
        char *folder = write_set();
        free(take_file(folder, names[i]).data);
        expect_error(folder, names[i],
                     "not found, nor with a dot or .gz; expected it beside the others of its data set");
    }
}

Test(idx, folder_in_place_of_a_file)
{
    char *folder = write_set(), *path = support_path(folder, train_labels);
    free(take_file(folder, train_labels).data);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_error(folder, train_labels, "is a folder, expected a file");
    free(path);
}

Test(idx, link_to_itself)
{
    char *folder = write_set(), *path = support_path(folder, test_images);
    free(take_file(folder, test_images).data);
    cr_assert_eq(symlink(test_images, path), 0);
    expect_error(folder, test_images, "cannot open: Too many levels of symbolic links");
    free(path);
}

/* --- damaged packed files --- */

static const char packed_images[] = "train-images-idx3-ubyte.gz";

/* Checks the message on a good set whose file of training images has these packed bytes. */
static void expect_packed_error(struct bytes packed, const char *message)
{
    char *folder = write_set();
    free(take_file(folder, train_images).data);
    write_and_free(folder, packed_images, packed);
    expect_error(folder, packed_images, message);
}

static struct bytes packed_set(void)
{
    return pack(make_images(TRAIN, HEIGHT, WIDTH, 5));
}

static struct bytes flipped(struct bytes bytes, size_t from_end)
{
    bytes.data[bytes.size - from_end] ^= 0x10;
    return bytes;
}

static struct bytes cut(struct bytes bytes, size_t from_end)
{
    bytes.size -= from_end;
    return bytes;
}

Test(idx, truncated_gzip)
{
    /* 40 bytes are in the file; at its end come 4 bytes of checksum and 4 of size. */
    expect_packed_error(cut(packed_set(), 1), "truncated gzip file: it breaks off after 40 bytes of unpacked data");
    expect_packed_error(cut(packed_set(), 8), "truncated gzip file: it breaks off after 40 bytes of unpacked data");
    struct bytes packed = packed_set();
    packed.size = 11; /* the gzip header and a byte */
    expect_packed_error(packed, "truncated gzip file: it breaks off after 0 bytes of unpacked data");
    packed = packed_set();
    packed.size = 0;
    expect_packed_error(packed, "the file ends at byte 0, expected a header of 16 bytes");
}

Test(idx, truncated_gzip_of_many_bytes)
{
    /* These pixels hardly pack, so the file is larger than the buffers. zlib's gzread lets this one pass. */
    struct bytes images = make_images(50, 32, 32, 0);
    uint32_t state = 1;
    for (size_t i = IMAGES_HEADER; i < images.size; i++)
        images.data[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
    char *folder = write_set();
    free(take_file(folder, train_images).data);
    uint8_t labels[50] = {0, 1, 2};
    write_and_free(folder, train_labels, make_labels(50, labels));
    write_and_free(folder, test_images, make_images(TEST, 32, 32, 0));
    write_and_free(folder, packed_images, cut(pack(images), 8));
    expect_error(folder, packed_images, "truncated gzip file: it breaks off after 51216 bytes of unpacked data");
}

Test(idx, damaged_gzip)
{
    expect_packed_error(flipped(packed_set(), 8),
                        "damaged gzip file: incorrect data check, after 40 bytes of unpacked data");
    expect_packed_error(flipped(packed_set(), 4),
                        "damaged gzip file: incorrect length check, after 40 bytes of unpacked data");
    struct bytes packed = packed_set();
    append(&packed, "more", 4);
    expect_packed_error(packed, "damaged gzip file: incorrect header check, after 40 bytes of unpacked data");
}

Test(idx, packed_sizes)
{
    struct bytes images = make_images(TRAIN, HEIGHT, WIDTH, 5);
    images.size -= 1;
    expect_packed_error(pack(images), "the data ends at byte 39, expected 1 bytes more");
    images = make_images(TRAIN, HEIGHT, WIDTH, 5);
    append(&images, "", 1);
    expect_packed_error(pack(images), "byte 40: more data than the header says, expected the end");
    images = make_images(TRAIN, HEIGHT, WIDTH, 5);
    images.size = 10;
    expect_packed_error(pack(images), "the file ends at byte 10, expected a header of 16 bytes");
}

Test(idx, gzip_bomb, .timeout = 20)
{
    struct bytes images = make_images(TRAIN, HEIGHT, WIDTH, 5);
    size_t size = (size_t)256 << 20;
    images.data = memory_resize(images.data, size, 1);
    memset(images.data + images.size, 0, size - images.size);
    images.size = size;
    struct bytes packed = pack(images);
    cr_assert_lt(packed.size, 1 << 20);
    expect_packed_error(packed, "byte 40: more data than the header says, expected the end");
}

Test(idx, header_that_announces_too_much_for_its_file)
{
    struct bytes images = make_images(TRAIN, HEIGHT, WIDTH, 5);
    put_number(images.data + 4, 4000000);
    put_number(images.data + 8, 32), put_number(images.data + 12, 32);
    struct bytes packed = pack(images);
    char *message = memory_format("byte 4: the header announces 4096000000 bytes of data, more than a gzip file of %zu "
                                  "bytes can hold",
                                  packed.size);
    expect_packed_error(packed, message);
    free(message);
}

/* The reader must not refuse images that pack as well as gzip can. */
Test(idx, images_that_pack_best)
{
    char *folder = write_set();
    enum { COUNT = 1000, SIDE = 100 };
    uint8_t labels[COUNT] = {0, 1, 2};
    struct bytes images = make_images(1, SIDE, SIDE, 0);
    images.data = memory_resize(images.data, IMAGES_HEADER + COUNT * SIDE * SIDE, 1);
    images.size = IMAGES_HEADER + COUNT * SIDE * SIDE;
    memset(images.data + IMAGES_HEADER, 0, images.size - IMAGES_HEADER);
    put_number(images.data + 4, COUNT);
    free(take_file(folder, train_images).data);
    write_and_free(folder, packed_images, pack(images));
    write_and_free(folder, train_labels, make_labels(COUNT, labels));
    write_and_free(folder, test_images, make_images(TEST, SIDE, SIDE, 9));
    struct dataset dataset = load(folder);
    cr_expect_eq(dataset.train.count, COUNT);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

/* --- a whole set --- */

Test(idx, loads_fashion_mnist)
{
    static const char folder[] = "/usr/share/datasets/fashion-mnist";
    static const uint16_t first_train[] = {9, 0, 0, 3, 0}, first_test[] = {9, 2, 1, 1, 6};
    if (access(folder, F_OK) != 0) cr_skip_test("install Debian's package dataset-fashion-mnist to test with it");
    struct dataset dataset = load(folder);
    int64_t occurrences[10] = {0};
    cr_assert(dataset.train.count == 60000 && dataset.test.count == 10000 && dataset.classes == 10);
    cr_expect(dataset.channels == 1 && dataset.height == 28 && dataset.width == 28);
    cr_expect_eq(memcmp(dataset.train.labels, first_train, sizeof first_train), 0);
    cr_expect_eq(memcmp(dataset.test.labels, first_test, sizeof first_test), 0);
    for (int64_t i = 0; i < dataset.train.count; i++) occurrences[dataset.train.labels[i]]++;
    for (int c = 0; c < 10; c++) cr_expect_eq(occurrences[c], 6000);
    dataset_free(&dataset);
}
