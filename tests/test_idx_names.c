/* Tests the names of IDX files, the folders that they lie in, and files of other kinds under their names. */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "build/build.h"
#include "config_support.h"
#include "idx_support.h"

TestSuite(idx_names, .init = enter_folder, .fini = leave_folder);

static const uint8_t labels[] = {0, 1, 2, 1};

static void make_folders(const char *path)
{
    char *part = memory_copy_string(path);
    for (char *slash = part; slash && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(part, 0700);
        *slash = '/';
    }
    mkdir(part, 0700);
    free(part);
}

/* Writes a set of four training and three test images. A `test` of NULL leaves out the test images. */
static void write_set(const char *folder, const char *train, const char *test, const char *dash)
{
    const char *const stems[] = {train, test};
    make_folders(folder);
    for (uint32_t i = 0; i < 2 && stems[i]; i++) {
        char *images = memory_format("%s-images%sidx3-ubyte", stems[i], dash);
        char *of_labels = memory_format("%s-labels%sidx1-ubyte", stems[i], dash);
        write_and_free(folder, images, make_images(4 - i, 3, 2, (uint8_t)i));
        write_and_free(folder, of_labels, make_labels(4 - i, labels));
        free(images), free(of_labels);
    }
}

static void expect_found(const char *path, int64_t tests)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert(idx_load(&dataset, &(struct dataset_source){.path = path}, &status), "%s", status.message);
    cr_expect(dataset.train.count == 4 && dataset.test.count == tests && dataset.classes == 3);
    dataset_free(&dataset);
}

static void expect_refused(const char *path, const char *message)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert_not(idx_load(&dataset, &(struct dataset_source){.path = path}, &status), "%s", message);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

Test(idx_names, with_a_dot_and_with_test_for_t10k)
{
    write_set("dots", "train", "t10k", ".");
    expect_found("dots", 3);
    write_set("test", "train", "test", "-");
    expect_found("test", 3);
    write_set("alone", "train", NULL, ".");
    expect_found("alone", 0);
}

/* Kaggle's archive has each file once with a dot, and once in a folder that has the file's name. */
Test(idx_names, folders_with_the_names_of_files_beside_them)
{
    write_set("kaggle", "train", "t10k", ".");
    make_folders("kaggle/train-images-idx3-ubyte");
    make_folders("kaggle/t10k-labels-idx1-ubyte");
    expect_found("kaggle", 3);
}

Test(idx_names, folders_of_torchvision_and_of_emnist)
{
    static const char *const folders[] = {"MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "raw", "gzip"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *root = memory_format("root%zu", i), *folder = support_path(root, folders[i]);
        write_set(folder, "train", "t10k", "-");
        expect_found(root, 3);
        free(root), free(folder);
    }
}

Test(idx_names, two_data_sets_below_a_folder)
{
    write_set("tv/MNIST/raw", "train", "t10k", "-");
    write_set("tv/FashionMNIST/raw", "train", "t10k", "-");
    expect_refused("tv", "tv: 2 data sets are there, expected one: set data.path to one of tv/FashionMNIST/raw, "
                         "tv/MNIST/raw");
    expect_found("tv/MNIST", 3);
}

Test(idx_names, emnist)
{
    write_set("emnist/gzip", "emnist-letters-train", "emnist-letters-test", "-");
    expect_found("emnist", 3);
    expect_found("emnist/gzip", 3);
    expect_found("emnist/gzip/emnist-letters", 3);
    write_set("emnist/gzip", "emnist-digits-train", "emnist-digits-test", "-");
    expect_found("emnist/gzip/emnist-letters", 3);
    expect_refused("emnist", "emnist: 2 data sets are there, expected one: set data.path to one of "
                             "emnist/gzip/emnist-digits, emnist/gzip/emnist-letters");
    cr_assert_eq(chdir("emnist/gzip"), 0);
    expect_found("emnist-digits", 3);
    cr_assert_eq(chdir("../.."), 0);
}

/* EMNIST's images are stored column by column. */
Test(idx_names, transposed_images)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    write_set("letters", "train", "t10k", "-");
    cr_assert(load_text(&experiment, "[data]\ndataset = idx\npath = letters\ntranspose = true\n", &status));
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_expect(dataset.height == 2 && dataset.width == 3);
    for (uint32_t n = 0; n < 4; n++)
        for (uint32_t h = 0; h < 2; h++)
            for (uint32_t w = 0; w < 3; w++)
                cr_expect_eq(dataset.train.pixels[n * 6 + h * 3 + w], pixel(0, n * 6 + w * 2 + h));
    cr_expect_eq(dataset.test.pixels[1], pixel(1, 2));
    dataset_free(&dataset);
    experiment_free(&experiment);
}

/* --- files of other kinds --- */

struct other {
    const char *bytes;
    size_t size;
    const char *words;
};

#define OTHER(text, words)                                                                                             \
    {                                                                                                                  \
        text, sizeof(text) - 1, words                                                                                  \
    }

static const struct other others[] = {
    OTHER("\n <!doctype html>\n<html>", "an HTML or XML page"),
    OTHER("version https://git-lfs.github.com/spec/v1\noid sha256:",
          "a Git LFS pointer (git lfs pull fetches the file itself)"),
    OTHER("\x89PNG\r\n\x1A\n\0\0\0\rIHDR", "a PNG picture"),
    OTHER("PK\003\004\0\0\0\0", "a ZIP archive (or .npz)"),
    OTHER("404: Not Found\n", "a text file"),
    OTHER("\x93NUMPY\x01\0v\0", "a NumPy array"),
    OTHER("\x80\x04\x95\0\0\0", "a Python pickle"),
};

Test(idx_names, another_kind_of_file_is_named)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        write_set("other", "train", "t10k", "-");
        support_file_write("other/t10k-images-idx3-ubyte", others[i].bytes, others[i].size);
        char *message =
            memory_format("other/t10k-images-idx3-ubyte: this is %s, expected IDX of unsigned bytes with 3 or 4 "
                          "dimensions (images)",
                          others[i].words);
        expect_refused("other", message);
        free(message);
    }
}

/* Browsers unpack a file and keep its name, and people rename files. So the first bytes count, not the name. */
Test(idx_names, packed_without_gz_and_plain_with_it)
{
    write_set("a", "train", "t10k", "-");
    write_and_free("a", "train-images-idx3-ubyte", pack(make_images(4, 3, 2, 0)));
    expect_found("a", 3);
    cr_assert_eq(rename("a/t10k-labels-idx1-ubyte", "a/t10k-labels-idx1-ubyte.gz"), 0);
    expect_found("a", 3);
}
