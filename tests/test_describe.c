/* Tests that dataset_describe tells of every format what loading gives, and that it reads no pixels. */
#include <criterion/criterion.h>

#include <unistd.h>

#include "config/experiment.h"
#include "data/dataset.h"
#include "data/pack_dataset.h"
#include "dataset_support.h"
#include "idx_support.h"
#include "support.h"
#include "util/memory.h"

/* Loads and describes the data set, and packs it where `pack` is not NULL. */
static enum dataset_kind expect_agreement_and_pack(const char *settings, const char *pack)
{
    char *text = memory_format("[data]\n%s", settings);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    int64_t bytes;
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.channels == dataset.channels && description.height == dataset.height, "%s", settings);
    cr_expect(description.width == dataset.width && description.classes == dataset.classes, "%s", settings);
    if (pack) cr_assert(pack_dataset(&dataset, &experiment, pack, &bytes, &status), "%s", status.message);
    enum dataset_kind kind = experiment.data.dataset;
    dataset_free(&dataset);
    experiment_free(&experiment);
    free(text);
    return kind;
}

static enum dataset_kind expect_agreement(const char *settings)
{
    return expect_agreement_and_pack(settings, NULL);
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
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_assert_not(describe_data(&description, &experiment, &of_description));
    cr_expect_str_eq(of_description.message, status.message);
    experiment_free(&experiment);
    free(text);
}

static enum dataset_kind expect_agreement_in(const char *folder, const char *name, const char *settings)
{
    char *text = memory_format("path = %s%s\n%s", folder, name, settings);
    enum dataset_kind kind = expect_agreement(text);
    free(text);
    return kind;
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
    expect_agreement_in(folder, "", "dataset = idx\n");
    expect_agreement_in(folder, "", "dataset = idx\ntranspose = true\nclasses = 7\n");
    expect_agreement_in(folder, "", "dataset = idx\nclass_names = a, b, c, d\n");
    expect_agreement("dataset = synthetic\nsynthetic_size = 5\nsynthetic_classes = 3\n");
    support_folder_remove(folder);
}

static void write_cifar100(const char *folder)
{
    struct bytes bytes = {memory_alloc(200, 3074), 200 * 3074};
    for (int i = 0; i < 200; i++)
        bytes.data[i * 3074] = (uint8_t)(i % 20), bytes.data[i * 3074 + 1] = (uint8_t)(i % 100);
    write_and_free(folder, "train.bin", bytes);
}

/* A format that is new has no case here, and fails this test. */
Test(describe, agrees_with_loading_for_every_format)
{
    enum { FORMATS = DATASET_CHOICES(CHOICE_COUNT) };
    static const uint8_t labels[4] = {0, 1, 2, 1};
    static const char table[] = "a,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nb,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
                                "a,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n";
    bool seen[FORMATS] = {false};
    char *folder = support_folder(), *csv = support_path(folder, "t.csv"), *pack = support_path(folder, "t.pack");
    support_file_write(csv, table, strlen(table));
    write_idx(folder, labels);
    write_cifar100(folder);
    char *synthetic = "dataset = synthetic\nsynthetic_train = 20\nsynthetic_test = 5\nsynthetic_size = 4\n";
    seen[expect_agreement_and_pack(synthetic, pack)] = true;
    seen[expect_agreement_in(TEST_FOLDER, "/fixtures/cifar10", "dataset = cifar10\n")] = true;
    seen[expect_agreement_in(folder, "", "dataset = cifar100\nlabels = coarse\n")] = true;
    seen[expect_agreement_in(folder, "", "dataset = idx\n")] = true;
    seen[expect_agreement_in(folder, "/t.csv", "dataset = csv\nlabel_column = 1\n")] = true;
    seen[expect_agreement_in(folder, "/t.pack", "dataset = pack\n")] = true;
#ifdef TEST_ZIP
    seen[expect_agreement_in(TEST_FOLDER, "/fixtures/npz/svhn.npz", "dataset = npz\nfirst_label = 1\n")] = true;
#else
    seen[DATASET_NPZ] = true;
#endif
#ifdef TEST_PICTURES
    seen[expect_agreement_in(TEST_FOLDER, "/fixtures/sign-digits",
                             "dataset = folder\nimage_size = 16\ncache = false\n")] = true;
#else
    seen[DATASET_FOLDER] = true;
#endif
    for (int i = 0; i < FORMATS; i++) cr_expect(seen[i], "format number %d has no case", i);
    free(csv), free(pack);
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
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.height == 3 && description.width == 5 && description.classes == 3);
    experiment_free(&experiment);
    free(text);
    support_folder_remove(folder);
}
