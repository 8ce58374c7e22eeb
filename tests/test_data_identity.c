/* A run goes on with the data that it began with, and an evaluation says where that has changed. */
#include <criterion/criterion.h>

#include "data/pack_dataset.h"
#include "dataset_support.h"
#include "idx_support.h"
#include "program_support.h"
#include "run_support.h"
#include "util/sha256.h"

TestSuite(data_identity, .init = enter_without_gnuplot, .fini = leave_folder);

enum { TRAIN = 30, TEST = 6 };

/* Writes images of 2x2 that begin with `first`, of three classes in turn. The first training label is `changed` where
 * that is not negative. */
static void write_data(uint32_t train, uint32_t test, uint8_t first, uint8_t test_first, int changed)
{
    uint8_t labels[TRAIN + 10];
    for (int i = 0; i < TRAIN + 10; i++) labels[i] = (uint8_t)(i % 3);
    write_and_free("data", "train-images-idx3-ubyte", make_images(train, 2, 2, first));
    write_and_free("data", "t10k-images-idx3-ubyte", make_images(test, 2, 2, test_first));
    write_and_free("data", "t10k-labels-idx1-ubyte", make_labels(test, labels));
    if (changed >= 0) labels[0] = (uint8_t)changed;
    write_and_free("data", "train-labels-idx1-ubyte", make_labels(train, labels));
}

/* With unit the normalization is the same for all data. */
static const char config[] = "[data]\ndataset = idx\npath = data\nnormalization = unit\n[model]\nhidden = 4\n[train]\n"
                             "max_steps = 8\nbatch_size = 5\neval_freq = 4\n[backend]\ndevice = cpu\nthreads = 1\n";

static void train_run_of_good_data(void)
{
    cr_assert_eq(mkdir("data", 0700), 0);
    write_data(TRAIN, TEST, 1, 2, -1);
    run_good(config, "a", TRAIN_NEW);
}

static void expect_other(const char *difference)
{
    char *message = memory_format("a/checkpoints/step_00000008.safetensors: the data set is another one than that of "
                                  "this run: %s",
                                  difference);
    expect_run_error(config, "train.max_steps=12", "a", TRAIN_RESUME, STATUS_RUNTIME, message);
    free(message);
}

Test(data_identity, other_data_is_refused_with_what_differs)
{
    train_run_of_good_data();
    write_data(TRAIN + 1, TEST, 1, 2, -1); /* the number of batches and so the position stay the same */
    expect_other("the training set has 31 images, not 30");
    write_data(TRAIN, TEST, 9, 2, -1);
    expect_other("the images of the training set are other ones, the labels are the same");
    write_data(TRAIN, TEST, 1, 2, 2);
    expect_other("the labels of the training set are other ones, the images are the same");
    write_data(TRAIN, TEST, 9, 2, 2);
    expect_other("the images and labels of the training set are other ones");
    write_data(TRAIN, TEST, 1, 9, -1);
    expect_other("the images of the test set are other ones, the labels are the same");
    write_data(TRAIN, TEST - 3, 1, 2, -1);
    expect_other("the test set has 3 images, not 6");
    write_data(TRAIN, TEST, 1, 2, -1);
    write_and_free("data", "train-images-idx3-ubyte", make_images(TRAIN, 1, 4, 1));
    write_and_free("data", "t10k-images-idx3-ubyte", make_images(TEST, 1, 4, 2));
    struct status status = {0};
    cr_assert_not(run_experiment(config, "train.max_steps=12", "a", TRAIN_RESUME, &status));
    cr_expect_not_null(strstr(status.message, "its images are 1x1x4, not 1x2x2"), "%s", status.message);
}

Test(data_identity, the_same_data_elsewhere_is_taken)
{
    struct status status = {0};
    train_run_of_good_data();
    cr_assert_eq(rename("data", "moved"), 0);
    char *text = memory_format("%s", config);
    memcpy(strstr(text, "path = data"), "path =moved", 11);
    cr_assert(run_experiment(text, "train.max_steps=12", "a", TRAIN_RESUME, &status), "%s", status.message);
    free(text);
}

/* Packs the data set of x.ini, and returns the config of the packed file in a new string. */
static char *pack_data(void)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    int64_t bytes;
    cr_assert(experiment_load(&experiment, "x.ini", NULL, 0, &status) &&
                  dataset_files_from_experiment(&dataset, &experiment, NULL, &status) &&
                  pack_dataset(&dataset, &experiment, "data", &bytes, &status),
              "%s", status.message);
    dataset_free(&dataset);
    experiment_free(&experiment);
    const char *format = strstr(config, "idx");
    return memory_format("%.*spack%s", (int)(format - config), config, format + 3);
}

/* The run of a data set goes on with its packed file, and back, and gives the metrics of a run without a stop. */
Test(data_identity, the_same_data_in_a_packed_file_are_taken)
{
    struct status status = {0};
    train_run_of_good_data();
    cr_assert_eq(rename("data", "moved"), 0);
    char *unpacked = memory_copy_string(config);
    memcpy(strstr(unpacked, "path = data"), "path =moved", 11);
    support_file_write("x.ini", unpacked, strlen(unpacked));
    char *packed = pack_data();
    cr_assert(run_experiment(packed, "train.max_steps=12", "a", TRAIN_RESUME, &status), "%s", status.message);
    cr_assert(run_experiment(unpacked, "train.max_steps=16", "a", TRAIN_RESUME, &status), "%s", status.message);
    cr_assert(run_experiment(unpacked, "train.max_steps=16", "b", TRAIN_NEW, &status), "%s", status.message);
    cr_expect(same_metrics("a", "b"));
    free(packed), free(unpacked);
}

/* Returns a config as an older version wrote it, without data.first_epoch, and its digest. */
static char *older_config(const char *text, char digits[SHA256_DIGITS + 1])
{
    struct status status = {0};
    char *copy = memory_copy_string(text), *line = strstr(copy, "\nfirst_epoch = ");
    cr_assert_not_null(line);
    const char *rest = strchr(line + 1, '\n');
    memmove(line, rest, strlen(rest) + 1);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, copy, strlen(copy));
    cr_assert(sha256_finish(&hash, digits, &status));
    return copy;
}

/* Makes a checkpoint as an older version would have written it. */
static void make_older(const char *path)
{
    struct safetensors_file file;
    struct status status = {0};
    char digits[SHA256_DIGITS + 1], *config_text = NULL;
    cr_assert(safetensors_read(&file, path, SAFETENSORS_DIGEST_REQUIRED, &status), "%s", status.message);
    config_text = older_config(safetensors_metadata_find(&file, "config"), digits);
    struct safetensors_metadata *texts = memory_alloc((size_t)file.metadata_count, sizeof *texts);
    int count = 0;
    for (int i = 0; i < file.metadata_count; i++) {
        if (strncmp(file.metadata[i].key, "data_", 5) == 0) continue;
        texts[count] = file.metadata[i];
        if (strcmp(texts[count].key, "config") == 0) texts[count].value = config_text;
        if (strcmp(texts[count].key, "config_sha256") == 0) texts[count].value = digits;
        count++;
    }
    cr_assert_leq(count + 2, file.metadata_count, "data_train and data_test");
    cr_assert(safetensors_write(path, file.tensors, file.tensor_count, texts, count, &status), "%s", status.message);
    free(texts), free(config_text);
    safetensors_free(&file);
}

Test(data_identity, older_checkpoints_go_on)
{
    struct status status = {0};
    train_run_of_good_data();
    make_older("a/checkpoints/step_00000008.safetensors"); /* step 8 is in the second epoch of six batches */
    cr_assert(run_experiment(config, "train.max_steps=12", "a", TRAIN_RESUME, &status), "%s", status.message);
}

Test(data_identity, older_checkpoints_in_the_first_epoch_went_in_file_order)
{
    train_run_of_good_data();
    char *text = memory_format("[checkpoint]\nfreq = 4\n%s", config);
    struct status status = {0};
    cr_assert(run_experiment(text, "train.max_steps=4", "b", TRAIN_NEW, &status), "%s", status.message);
    make_older("b/checkpoints/step_00000004.safetensors");
    expect_run_error(config, NULL, "b", TRAIN_RESUME, STATUS_USAGE,
                     "x.ini: data.first_epoch (default): expected \"file\", as in the run in b that is to go on, found "
                     "\"shuffled\"");
    cr_assert(run_experiment(config, "data.first_epoch=file", "b", TRAIN_RESUME, &status), "%s", status.message);
    free(text);
}

Test(data_identity, validation_images_are_known_too)
{
    struct status status = {0};
    char *split = memory_format("[data]\nvalidation_size = 5\n%s", config + strlen("[data]\n"));
    cr_assert_eq(mkdir("data", 0700), 0);
    write_data(TRAIN, TEST, 1, 2, -1);
    run_good(split, "a", TRAIN_NEW);
    struct safetensors_file file;
    cr_assert(safetensors_read(&file, "a/checkpoints/step_00000008.safetensors", SAFETENSORS_DIGEST_REQUIRED, &status));
    cr_expect_not_null(safetensors_metadata_find(&file, "data_validation"));
    safetensors_free(&file);
    make_older("a/checkpoints/step_00000008.safetensors"); /* an older version held out other images */
    expect_run_error(split, "train.max_steps=12", "a", TRAIN_RESUME, STATUS_USAGE,
                     "x.ini:2: data.validation_size: an older version of trainer began the run in a and held out the "
                     "first images for validation; they are drawn now, so that it cannot go on");
    free(split);
}

Test(data_identity, eval_says_that_the_data_changed)
{
    train_run_of_good_data();
    struct program_result result = program_run("eval", "a", NULL);
    program_expect(result, 0, result.out, "");
    write_data(TRAIN, TEST, 1, 9, -1);
    result = program_run("eval", "a", NULL);
    program_expect(result, 0, result.out,
                   "trainer: the data set is no longer the one that a/checkpoints/best.safetensors was trained with: "
                   "the images of the test set are other ones, the labels are the same\n");
    static const char *const asked[] = {"data.path=./data", " data.path = ./data"}; /* the user asks for other data */
    for (int i = 0; i < 2; i++) {
        result = program_run("eval", "a", "--set", asked[i], NULL);
        program_expect(result, 0, result.out, "");
    }
}
