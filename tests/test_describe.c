/* Tests that dataset_describe tells of every format what loading gives, and that it reads no pixels. */
#include <criterion/criterion.h>

#include <unistd.h>

#include "idx_support.h"
#include "support.h"
#include "trainer/dataset.h"
#include "trainer/experiment.h"
#include "trainer/memory.h"

static void expect_agreement(const char *settings)
{
    char *text = memory_format("[data]\n%s", settings);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_load(&dataset, &experiment, &status), "%s", status.message);
    cr_assert(dataset_describe(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.channels == dataset.channels && description.height == dataset.height, "%s", settings);
    cr_expect(description.width == dataset.width && description.classes == dataset.classes, "%s", settings);
    dataset_free(&dataset);
    experiment_free(&experiment);
    free(text);
}

/* The description and the data set must be refused alike. */
static void expect_same_refusal(const char *settings)
{
    char *text = memory_format("[data]\n%s", settings);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0}, of_description = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert_not(dataset_load(&dataset, &experiment, &status));
    cr_assert_not(dataset_describe(&description, &experiment, &of_description));
    cr_expect_str_eq(of_description.message, status.message);
    experiment_free(&experiment);
    free(text);
}

static void expect_agreement_in(const char *folder, const char *settings)
{
    char *text = memory_format("path = %s\n%s", folder, settings);
    expect_agreement(text);
    free(text);
}

static void write_idx(const char *folder, const uint8_t labels[4])
{
    write_and_free(folder, "train-images-idx3-ubyte", make_images(4, 3, 5, 1));
    write_and_free(folder, "train-labels-idx1-ubyte", make_labels(4, labels));
    write_and_free(folder, "t10k-images-idx3-ubyte.gz", pack(make_images(2, 3, 5, 1)));
    write_and_free(folder, "t10k-labels-idx1-ubyte.gz", pack(make_labels(2, labels)));
}

Test(describe, agrees_with_loading)
{
    static const uint8_t labels[4] = {0, 1, 2, 1};
    char *folder = support_folder();
    write_idx(folder, labels);
    expect_agreement_in(folder, "dataset = idx\n");
    expect_agreement_in(folder, "dataset = idx\ntranspose = true\nclasses = 7\n");
    expect_agreement_in(folder, "dataset = idx\nclass_names = a, b, c, d\n");
    expect_agreement_in(TEST_FOLDER "/fixtures/cifar10", "dataset = cifar10\n");
    expect_agreement("dataset = synthetic\nsynthetic_size = 5\nsynthetic_classes = 3\n");
    support_folder_remove(folder);
}

Test(describe, is_refused_as_loading_is)
{
    static const uint8_t labels[4] = {0, 2, 2, 0};
    char *folder = support_folder(), *text = memory_format("dataset = idx\npath = %s\n", folder);
    write_idx(folder, labels);
    expect_same_refusal(text);
    free(text);
    support_folder_remove(folder);
}

/* The images of the test set end too early: a description does not see that, and loading does. */
Test(describe, reads_no_pixels)
{
    static const uint8_t labels[4] = {0, 1, 2, 1};
    char *folder = support_folder(), *text = memory_format("[data]\ndataset = idx\npath = %s\n", folder);
    write_idx(folder, labels);
    struct bytes packed = take_file(folder, "t10k-images-idx3-ubyte.gz");
    packed.size -= 6;
    write_and_free(folder, "t10k-images-idx3-ubyte.gz", packed);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert_not(dataset_load(&dataset, &experiment, &status));
    cr_assert(dataset_describe(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.height == 3 && description.width == 5 && description.classes == 3);
    experiment_free(&experiment);
    free(text);
    support_folder_remove(folder);
}
