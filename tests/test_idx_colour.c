/* Tests IDX files of images with colours, and of labels of 16 and 32 bits. */
#include "idx_support.h"

enum { MAGIC_COLOUR = 0x804, COUNT = 4 };

/* Images of three sides, whose bytes count up. */
static struct bytes make_colour(uint32_t count, const uint32_t side[3])
{
    struct bytes bytes = {memory_alloc(1, 1), 0};
    append_number(&bytes, MAGIC_COLOUR), append_number(&bytes, count);
    for (int i = 0; i < 3; i++) append_number(&bytes, side[i]);
    for (uint32_t i = 0; i < count * side[0] * side[1] * side[2]; i++) append(&bytes, &(uint8_t){(uint8_t)i}, 1);
    return bytes;
}

/* Labels of `size` bytes each. */
static struct bytes make_wide_labels(uint32_t magic, uint32_t size, const int32_t labels[COUNT])
{
    struct bytes bytes = {memory_alloc(1, 1), 0};
    append_number(&bytes, magic), append_number(&bytes, COUNT);
    for (int i = 0; i < COUNT; i++) {
        uint8_t four[4];
        put_number(four, (uint32_t)labels[i]);
        append(&bytes, four + 4 - size, size);
    }
    return bytes;
}

static const uint8_t plain_labels[COUNT] = {0, 1, 2, 1};

static bool load(struct dataset *dataset, const char *folder, struct status *status)
{
    const struct dataset_source source = {.path = folder};
    return idx_load(dataset, &source, status);
}

static char *folder_of(struct bytes images, struct bytes labels)
{
    char *folder = support_folder();
    write_and_free(folder, "train-images-idx3-ubyte", images);
    write_and_free(folder, "train-labels-idx1-ubyte", labels);
    return folder;
}

static void expect_colour(const uint32_t side[3], bool channels_last, int64_t channels, int64_t height, int64_t width)
{
    char *folder = folder_of(make_colour(COUNT, side), make_labels(COUNT, plain_labels));
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load(&dataset, folder, &status), "%s", status.message);
    cr_assert(dataset.channels == channels && dataset.height == height && dataset.width == width);
    for (int64_t n = 0, plane = height * width; n < COUNT; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < plane; i++) {
                int64_t place = channels_last ? (n * plane + i) * channels + c : (n * channels + c) * plane + i;
                cr_assert_eq(dataset.train.pixels[(n * channels + c) * plane + i], (uint8_t)place);
            }
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(idx_colour, channels_are_the_side_of_1_or_3)
{
    expect_colour((uint32_t[]){3, 8, 5}, false, 3, 8, 5);
    expect_colour((uint32_t[]){8, 5, 3}, true, 3, 8, 5);
    expect_colour((uint32_t[]){1, 8, 5}, false, 1, 8, 5);
    expect_colour((uint32_t[]){8, 5, 1}, true, 1, 8, 5);
    expect_colour((uint32_t[]){3, 1, 2}, false, 3, 1, 2);
}

Test(idx_colour, files_may_be_called_idx4_and_packed)
{
    char *folder = support_folder();
    write_and_free(folder, "train-images-idx4-ubyte.gz", pack(make_colour(COUNT, (uint32_t[]){8, 5, 3})));
    write_and_free(folder, "train-labels-idx1-ubyte", make_labels(COUNT, plain_labels));
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load(&dataset, folder, &status), "%s", status.message);
    cr_expect(dataset.channels == 3 && dataset.train.count == COUNT);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

/* Expects the message about the file `name`; frees the folder. */
static void expect_refused(char *folder, const char *name, const char *message)
{
    struct dataset dataset;
    struct status status = {0};
    char *expected = memory_format("%s/%s: %s", folder, name, message);
    cr_assert_not(load(&dataset, folder, &status));
    cr_expect_str_eq(status.message, expected);
    free(expected);
    support_folder_remove(folder);
}

static void expect_sides_refused(uint32_t a, uint32_t b, uint32_t c)
{
    char *message =
        memory_format("byte 8: images of %ux%ux%u, expected 1 or 3 channels as either the first or the last "
                      "of these",
                      a, b, c);
    expect_refused(folder_of(make_colour(COUNT, (uint32_t[]){a, b, c}), make_labels(COUNT, plain_labels)),
                   "train-images-idx3-ubyte", message);
    free(message);
}

Test(idx_colour, sides_of_no_or_two_meanings_are_refused)
{
    expect_sides_refused(3, 8, 3);
    expect_sides_refused(1, 8, 3);
    expect_sides_refused(4, 8, 5);
    expect_sides_refused(8, 3, 5);
}

Test(idx_colour, damaged_files_are_refused)
{
    struct bytes images = make_colour(COUNT, (uint32_t[]){3, 8, 5});
    images.size--;
    expect_refused(folder_of(images, make_labels(COUNT, plain_labels)), "train-images-idx3-ubyte",
                   "499 bytes, expected 500: a header of 20 bytes and 480 bytes of data");
    images = make_colour(COUNT, (uint32_t[]){3, 8, 5});
    images.size = 18;
    expect_refused(folder_of(images, make_labels(COUNT, plain_labels)), "train-images-idx3-ubyte",
                   "the file ends at byte 18, expected a header of 20 bytes");
    images = make_colour(COUNT, (uint32_t[]){3, 8, 5});
    put_number(images.data + 16, 0);
    expect_refused(folder_of(images, make_labels(COUNT, plain_labels)), "train-images-idx3-ubyte",
                   "byte 16: width 0, expected 1 to 65536");
    images = make_colour(COUNT, (uint32_t[]){8, 5, 3});
    put_number(images.data + 8, 70000);
    expect_refused(folder_of(images, make_labels(COUNT, plain_labels)), "train-images-idx3-ubyte",
                   "byte 8: height 70000, expected 1 to 65536");
}

Test(idx_colour, sets_of_other_channels_are_refused)
{
    char *folder = folder_of(make_colour(COUNT, (uint32_t[]){3, 8, 5}), make_labels(COUNT, plain_labels));
    write_and_free(folder, "t10k-images-idx3-ubyte", make_images(COUNT, 8, 5, 0));
    write_and_free(folder, "t10k-labels-idx1-ubyte", make_labels(COUNT, plain_labels));
    expect_refused(folder, "t10k-images-idx3-ubyte", "byte 8: images of 1 channel(s), expected 3 as in the train set");
}

Test(idx_colour, labels_may_have_16_or_32_bits)
{
    static const int32_t labels[COUNT] = {300, 0, 299, 65535};
    for (int wide = 0; wide < 2; wide++) {
        char *folder =
            folder_of(make_images(COUNT, 2, 3, 0), make_wide_labels(wide ? 0xC01 : 0xB01, wide ? 4 : 2, labels));
        const struct dataset_source source = {.path = folder, .classes = 65536};
        struct dataset dataset;
        struct status status = {0};
        bool loaded = idx_load(&dataset, &source, &status);
        if (wide) {
            cr_assert(loaded, "%s", status.message);
            for (int i = 0; i < COUNT; i++) cr_expect_eq(dataset.train.labels[i], labels[i]);
            dataset_free(&dataset);
        } else {
            cr_assert_not(loaded); /* 65535 is -1 in 16 bits */
            cr_expect(strstr(status.message, "train-labels-idx1-ubyte: byte 14: label -1, expected 0 to 65535"), "%s",
                      status.message);
        }
        support_folder_remove(folder);
    }
}

Test(idx_colour, a_label_is_named_by_its_byte)
{
    static const int32_t labels[COUNT] = {0, 1, 70000, 1}, gap[COUNT] = {0, 1, 3, 1};
    expect_refused(folder_of(make_images(COUNT, 2, 3, 0), make_wide_labels(0xC01, 4, labels)),
                   "train-labels-idx1-ubyte", "byte 16: label 70000, expected 0 to 65535");
    expect_refused(
        folder_of(make_images(COUNT, 2, 3, 0), make_wide_labels(0xB01, 2, gap)), "train-labels-idx1-ubyte",
        "byte 12: label 3, but no training image has label 2: expected labels without a gap; the byte may be "
        "damaged; set data.classes (or data.class_names) if some classes have no image");
}
