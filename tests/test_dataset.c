/* Tests the parts that all formats share: normalization, the validation split, the synthetic set, the order of an
 * epoch. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build/build.h"
#include "data/dataset.h"
#include "support.h"
#include "util/memory.h"

static const char fixture[] = TEST_FOLDER "/fixtures/cifar10";

static struct experiment synthetic_experiment(enum normalization normalization)
{
    return (struct experiment){
        .experiment = {.seed = 7},
        .data = {.dataset = DATASET_SYNTHETIC,
                 .normalization = normalization,
                 .synthetic_train = 61,
                 .synthetic_test = 7,
                 .synthetic_classes = 5,
                 .synthetic_channels = 3,
                 .synthetic_size = 9},
    };
}

static struct experiment fixture_experiment(enum normalization normalization)
{
    struct experiment experiment = {.data = {.dataset = DATASET_CIFAR10, .normalization = normalization}};
    memcpy(experiment.data.path, fixture, sizeof fixture);
    return experiment;
}

static struct dataset load(const struct experiment *experiment)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert(dataset_from_experiment(&dataset, experiment, NULL, &status), "%s", status.message);
    return dataset;
}

static int64_t sample_size(const struct dataset *dataset)
{
    return dataset->channels * dataset->height * dataset->width;
}

/* --- normalization --- */

Test(dataset, normalization_none_and_unit)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_NONE);
    for (int unit = 0; unit < 2; unit++) {
        if (unit) experiment.data.normalization = NORMALIZATION_UNIT;
        struct dataset dataset = load(&experiment);
        for (int64_t i = 0; i < sample_size(&dataset); i++) cr_assert_eq(dataset.offset[i], 0);
        for (int64_t c = 0; c < dataset.channels; c++) cr_assert_eq(dataset.scale[c], unit ? 1.0f / 255 : 1.0f);
        dataset_free(&dataset);
    }
}

Test(dataset, normalization_mean_image)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_MEAN_IMAGE);
    struct dataset dataset = load(&experiment);
    int64_t size = sample_size(&dataset), count = dataset.train.count;
    for (int64_t i = 0; i < size; i++) {
        double mean = 0;
        for (int64_t n = 0; n < count; n++) mean += dataset.train.pixels[n * size + i];
        cr_assert_eq(dataset.offset[i], (float)(mean / (double)count));
    }
    for (int64_t c = 0; c < dataset.channels; c++) cr_assert_eq(dataset.scale[c], 1);
    dataset_free(&dataset);
}

Test(dataset, normalization_channel)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_CHANNEL);
    struct dataset dataset = load(&experiment);
    int64_t plane = dataset.height * dataset.width, channels = dataset.channels;
    double count = (double)(dataset.train.count * plane);
    for (int64_t c = 0; c < channels; c++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < dataset.train.count * channels * plane; i++)
            if (i / plane % channels == c) mean += dataset.train.pixels[i] / count;
        for (int64_t i = 0; i < dataset.train.count * channels * plane; i++)
            if (i / plane % channels == c) variance += pow(dataset.train.pixels[i] - mean, 2) / count;
        /* A float has 24 bits: half a unit in its last place, and a little for the other order of summation. */
        for (int64_t i = 0; i < plane; i++) cr_assert(fabs(dataset.offset[c * plane + i] - mean) <= 1e-7 * mean);
        cr_assert(fabs(dataset.scale[c] * sqrt(variance) - 1) <= 1e-7);
    }
    dataset_free(&dataset);
}

/* Sums of the fixture's training pixels, counted apart from this program. */
Test(dataset, normalization_of_the_fixture)
{
    struct experiment experiment = fixture_experiment(NORMALIZATION_MEAN_IMAGE);
    struct dataset dataset = load(&experiment);
    double total = 0;
    cr_assert_eq(dataset.train.count, 320);
    cr_expect_eq(dataset.offset[0], 40541 / 320.0f);
    cr_expect_eq(dataset.offset[1023], 40676 / 320.0f);
    cr_expect_eq(dataset.offset[1024], 42241 / 320.0f);
    cr_expect_eq(dataset.offset[1583], 37408 / 320.0f);
    cr_expect_eq(dataset.offset[3071], 35772 / 320.0f);
    for (int64_t i = 0; i < sample_size(&dataset); i++) total += dataset.offset[i];
    cr_expect(fabs(total * 320 / 117152384 - 1) <= 1e-7);
    dataset_free(&dataset);

    static const double mean[] = {125.13789978027344, 121.68029174804687, 110.70251159667968};
    static const double deviation[] = {62.377223394610226, 61.0013348223643, 64.9035477650545};
    experiment.data.normalization = NORMALIZATION_CHANNEL;
    dataset = load(&experiment);
    for (int c = 0; c < 3; c++) {
        cr_expect_eq(dataset.offset[c * 1024 + 500], (float)mean[c]);
        cr_expect(fabs(dataset.scale[c] * deviation[c] - 1) <= 1e-7);
    }
    dataset_free(&dataset);
}

/* Writes a tiny IDX set whose pixels all have one value. */
static char *write_constant_set(uint8_t pixel, uint8_t label)
{
    const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, pixel, pixel, pixel, pixel};
    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, label};
    static const char *const sets[] = {"train", "t10k"};
    char *folder = support_folder();
    for (int i = 0; i < 2; i++) {
        char *images_path = memory_format("%s/%s-images-idx3-ubyte", folder, sets[i]);
        char *labels_path = memory_format("%s/%s-labels-idx1-ubyte", folder, sets[i]);
        support_file_write(images_path, images, sizeof images);
        support_file_write(labels_path, labels, sizeof labels);
        free(images_path), free(labels_path);
    }
    return folder;
}

Test(dataset, constant_channel_is_not_divided_by_zero)
{
    char *folder = write_constant_set(77, 1);
    struct experiment experiment = {.data = {.dataset = DATASET_IDX, .normalization = NORMALIZATION_CHANNEL}};
    cr_assert_lt(strlen(folder), sizeof experiment.data.path);
    strcpy(experiment.data.path, folder);
    struct dataset dataset = load(&experiment);
    cr_expect(dataset.offset[0] == 77 && dataset.offset[1] == 77 && dataset.scale[0] == 1);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(dataset, one_class_is_not_enough)
{
    char *folder = write_constant_set(77, 0);
    struct experiment experiment = {.data = {.dataset = DATASET_IDX}};
    struct dataset dataset;
    struct status status = {0};
    strcpy(experiment.data.path, folder);
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    char *expected = memory_format("%s: every label is 0, expected at least 2 classes", folder);
    cr_expect_str_eq(status.message, expected);
    free(expected);
    support_folder_remove(folder);
}

Test(dataset, error_of_a_reader_is_passed_on)
{
    struct experiment experiment = {.data = {.dataset = DATASET_CIFAR10, .path = TEST_FOLDER "/fixtures"}};
    struct dataset dataset;
    struct status status = {0};
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_expect_eq(strncmp(status.message, TEST_FOLDER "/fixtures: no CIFAR-10 found", sizeof TEST_FOLDER + 27), 0);
}

/* --- validation split --- */

/* Checks that `part` consists of samples of `whole`, in their order; marks them in `used`. */
static void expect_subsequence(const struct image_set *part, const struct image_set *whole, size_t size, bool *used)
{
    int64_t at = 0;
    for (int64_t i = 0; i < part->count; i++, at++) {
        const uint8_t *sample = image_set_pixels(part, i, (int64_t)size);
        while (at < whole->count && memcmp(sample, image_set_pixels(whole, at, (int64_t)size), size) != 0) at++;
        cr_assert(at < whole->count && !used[at] && part->labels[i] == whole->labels[at]);
        used[at] = true;
    }
}

/* An evaluation from another folder does not find the data of a relative path. */
Test(dataset, error_of_a_relative_path_says_where_it_was_looked_for)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_NONE);
    struct dataset dataset;
    for (int idx = 0; idx < 2; idx++) {
        struct status relative = {0}, absolute = {0};
        char *here = getcwd(NULL, 0);
        char *expected = memory_format(" (data.path is relative, and was looked for in %s)", here);
        experiment.data.dataset = idx ? DATASET_IDX : DATASET_CIFAR10;
        strcpy(experiment.data.path, "no/such/folder");
        cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &relative));
        cr_expect_not_null(strstr(relative.message, expected), "%s", relative.message);
        strcpy(experiment.data.path, "/no/such/folder");
        cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &absolute));
        cr_expect_null(strstr(absolute.message, "relative"), "%s", absolute.message);
        free(expected), free(here);
    }
}

Test(dataset, split_is_of_all_samples_in_their_order)
{
    struct experiment experiment = fixture_experiment(NORMALIZATION_NONE), split = experiment;
    split.data.validation_size = 70;
    struct dataset whole = load(&experiment), parts = load(&split);
    size_t size = (size_t)sample_size(&whole);
    bool used[320] = {false};
    cr_assert(parts.validation.count == 70 && parts.train.count == 250 && parts.test.count == 100);
    expect_subsequence(&parts.validation, &whole.train, size, used);
    expect_subsequence(&parts.train, &whole.train, size, used);
    cr_expect_eq(memcmp(parts.test.pixels, whole.test.pixels, 100 * size), 0);
    dataset_free(&whole);
    dataset_free(&parts);
}

static void count_classes(const struct image_set *set, int count[5])
{
    for (int c = 0; c < 5; c++) count[c] = 0;
    for (int64_t i = 0; i < set->count; i++) count[set->labels[i]]++;
}

/* 61 samples of 5 classes are 13, 12, 12, 12 and 12. The classes' shares of 17 held-out samples are 3.62 and four times
 * 3.34. Each class gives three, the first one more for its remainder, and the second one more as first among equals. */
Test(dataset, split_takes_of_each_class_its_share)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_NONE);
    experiment.data.validation_size = 17;
    struct dataset dataset = load(&experiment);
    int count[5];
    count_classes(&dataset.validation, count);
    cr_expect(count[0] == 4 && count[1] == 4 && count[2] == 3 && count[3] == 3 && count[4] == 3);
    count_classes(&dataset.train, count);
    cr_expect(count[0] == 9 && count[1] == 8 && count[2] == 9 && count[3] == 9 && count[4] == 9);
    dataset_free(&dataset);
}

Test(dataset, split_depends_on_the_seed_alone)
{
    struct experiment experiment = fixture_experiment(NORMALIZATION_NONE);
    experiment.data.validation_size = 50;
    struct dataset a = load(&experiment), again = load(&experiment);
    experiment.experiment.seed = 1;
    struct dataset other = load(&experiment);
    cr_expect(memcmp(a.validation.rows, again.validation.rows, 50 * sizeof(int32_t)) == 0);
    cr_expect(memcmp(a.validation.rows, other.validation.rows, 50 * sizeof(int32_t)) != 0);
    for (int64_t i = 0; i < 50; i++)
        cr_expect(memcmp(image_set_pixels(&a.validation, i, sample_size(&a)),
                         image_set_pixels(&again.validation, i, sample_size(&a)), (size_t)sample_size(&a)) == 0);
    dataset_free(&a), dataset_free(&again), dataset_free(&other);
}

/* Sorted samples, held out from one end, would give validation one class alone and take it from training. */
Test(dataset, split_of_sorted_samples)
{
    char *folder = support_folder();
    uint8_t images[16 + 100] = {0, 0, 8, 3, 0, 0, 0, 100, 0, 0, 0, 1, 0, 0, 0, 1},
                        labels[8 + 100] = {0, 0, 8, 1, 0, 0, 0, 100};
    for (int i = 0; i < 100; i++) images[16 + i] = (uint8_t)i, labels[8 + i] = (uint8_t)(i / 20);
    char *images_path = support_path(folder, "train-images-idx3-ubyte"),
         *labels_path = support_path(folder, "train-labels-idx1-ubyte");
    support_file_write(images_path, images, sizeof images);
    support_file_write(labels_path, labels, sizeof labels);
    struct experiment experiment = {.data = {.dataset = DATASET_IDX, .validation_size = 10}};
    strcpy(experiment.data.path, folder);
    struct dataset dataset = load(&experiment);
    int count[5];
    bool early = false, late = false;
    count_classes(&dataset.validation, count);
    for (int c = 0; c < 5; c++) cr_expect_eq(count[c], 2);
    for (int64_t i = 0; i < 10; i++) {
        int place = *image_set_pixels(&dataset.validation, i, 1) % 20;
        early |= place < 10, late |= place >= 10;
    }
    cr_expect(early && late, "drawn, not the first or last of each class");
    dataset_free(&dataset);
    free(images_path), free(labels_path);
    support_folder_remove(folder);
}

/* Training keeps the only sample of a class, even where the class has the largest remainder. */
Test(dataset, split_leaves_the_last_sample_of_a_class)
{
    char *folder = support_folder();
    const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5};
    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 0, 0, 0};
    char *images_path = support_path(folder, "train-images-idx3-ubyte"),
         *labels_path = support_path(folder, "train-labels-idx1-ubyte");
    support_file_write(images_path, images, sizeof images);
    support_file_write(labels_path, labels, sizeof labels);
    struct experiment experiment = {.data = {.dataset = DATASET_IDX, .validation_size = 4}};
    strcpy(experiment.data.path, folder);
    struct dataset dataset = load(&experiment);
    cr_expect(dataset.train.count == 1 && dataset.validation.count == 4);
    dataset_free(&dataset);
    experiment.data.validation_size = 3; /* shares of 2.4 and 0.6 */
    dataset = load(&experiment);
    int count[5];
    count_classes(&dataset.train, count);
    cr_expect(count[0] == 1 && count[1] == 1);
    dataset_free(&dataset);
    free(images_path), free(labels_path);
    support_folder_remove(folder);
}

Test(dataset, mean_image_leaves_the_validation_set_out)
{
    struct experiment experiment = fixture_experiment(NORMALIZATION_MEAN_IMAGE);
    experiment.data.validation_size = 319;
    struct dataset dataset = load(&experiment);
    cr_assert_eq(dataset.train.count, 1);
    const uint8_t *only = image_set_pixels(&dataset.train, 0, sample_size(&dataset));
    for (int64_t i = 0; i < sample_size(&dataset); i++) cr_assert_eq(dataset.offset[i], only[i]);
    dataset_free(&dataset);
}

Test(dataset, validation_must_leave_training_samples)
{
    char *folder = write_constant_set(77, 1), *path = support_path(folder, "small.ini");
    char *text = memory_format("[data]\ndataset = idx\npath = %s\nvalidation_size = 2\n", folder);
    support_file_write(path, text, strlen(text));
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    cr_assert(experiment_load(&experiment, path, NULL, 0, &status), "%s", status.message);
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    char *expected =
        memory_format("%s:4: data.validation_size: expected less than the 2 training samples, found 2", path);
    cr_expect_str_eq(status.message, expected);
    cr_expect_eq(status.code, STATUS_USAGE);
    free(expected), free(text), free(path);
    experiment_free(&experiment);
    support_folder_remove(folder);
}

Test(dataset, view_shows_a_set)
{
    struct experiment experiment = synthetic_experiment(NORMALIZATION_CHANNEL);
    struct dataset dataset = load(&experiment);
    struct dataset_view view = dataset_view(&dataset, &dataset.test);
    cr_expect(view.count == 7 && view.channels == 3 && view.height == 9 && view.width == 9);
    cr_expect(view.pixels == dataset.test.pixels && view.labels == dataset.test.labels);
    cr_expect(view.offset == dataset.offset && view.scale == dataset.scale);
    dataset_free(&dataset);
}

/* --- synthetic --- */

enum { CLASSES = 10, CHANNELS = 3, SIZE = 16, SAMPLE = CHANNELS * SIZE * SIZE };

/* Returns the mean image of each class (CLASSES, SAMPLE). */
static double *class_means(const struct dataset *dataset)
{
    double *mean = memory_alloc(CLASSES * SAMPLE, sizeof *mean);
    int64_t count[CLASSES] = {0};
    for (int64_t n = 0; n < dataset->train.count; n++) {
        int label = dataset->train.labels[n];
        count[label]++;
        for (int64_t i = 0; i < SAMPLE; i++) mean[label * SAMPLE + i] += dataset->train.pixels[n * SAMPLE + i];
    }
    for (int64_t i = 0; i < CLASSES * SAMPLE; i++) mean[i] /= (double)count[i / SAMPLE];
    return mean;
}

static int nearest_mean(const double *means, const uint8_t *image)
{
    int best = 0;
    double best_distance = INFINITY;
    for (int c = 0; c < CLASSES; c++) {
        double distance = 0;
        for (int64_t i = 0; i < SAMPLE; i++) distance += pow(image[i] - means[c * SAMPLE + i], 2);
        if (distance < best_distance) best = c, best_distance = distance;
    }
    return best;
}

Test(synthetic, is_learnable)
{
    struct dataset dataset;
    synthetic_make(&dataset, 1000, 200, CLASSES, CHANNELS, SIZE, 42);
    double *means = class_means(&dataset);
    int correct = 0;
    for (int64_t n = 0; n < 200; n++)
        correct += nearest_mean(means, &dataset.test.pixels[n * SAMPLE]) == dataset.test.labels[n];
    cr_expect_geq(correct, 198, "%d of 200", correct);
    free(means);
    dataset_free(&dataset);
}

/* Neighbours in the mean image of a class differ much less than distant pixels do, and much less than the noise is. */
Test(synthetic, patterns_are_smooth)
{
    struct dataset dataset;
    synthetic_make(&dataset, 1000, 1, CLASSES, CHANNELS, SIZE, 42);
    double *means = class_means(&dataset), near = 0, far = 0;
    for (int64_t row = 0; row < CLASSES * CHANNELS * SIZE; row++)
        for (int x = 1; x < SIZE; x++) {
            near += fabs(means[row * SIZE + x] - means[row * SIZE + x - 1]);
            far += fabs(means[row * SIZE + x] - means[row * SIZE + (x + SIZE / 2) % SIZE]);
        }
    double pairs = CLASSES * CHANNELS * SIZE * (SIZE - 1);
    cr_expect(far / pairs > 3 * near / pairs, "near %g, far %g", near / pairs, far / pairs);
    cr_expect(near / pairs < 16, "near %g", near / pairs);
    free(means);
    dataset_free(&dataset);
}

Test(synthetic, every_class_occurs_equally_often)
{
    struct dataset dataset;
    int count[3] = {0};
    synthetic_make(&dataset, 99, 5, 3, 1, 4, 1);
    for (int64_t n = 0; n < 99; n++) count[dataset.train.labels[n]]++;
    cr_expect(count[0] == 33 && count[1] == 33 && count[2] == 33);
    cr_expect(dataset.classes == 3 && dataset.channels == 1 && dataset.height == 4 && dataset.width == 4);
    dataset_free(&dataset);
}

Test(synthetic, depends_on_the_seed_alone)
{
    struct dataset a, b, c, longer;
    synthetic_make(&a, 40, 20, 4, 3, 8, 5);
    synthetic_make(&b, 40, 20, 4, 3, 8, 5);
    synthetic_make(&c, 40, 20, 4, 3, 8, 6);
    synthetic_make(&longer, 60, 20, 4, 3, 8, 5);
    size_t train = 40 * 3 * 64, test = 20 * 3 * 64;
    cr_expect_eq(memcmp(a.train.pixels, b.train.pixels, train), 0);
    cr_expect_eq(memcmp(a.test.pixels, b.test.pixels, test), 0);
    cr_expect_neq(memcmp(a.train.pixels, c.train.pixels, train), 0);
    cr_expect_neq(memcmp(a.train.pixels, a.test.pixels, test), 0, "train and test are different samples");
    cr_expect_eq(memcmp(a.train.pixels, longer.train.pixels, train), 0, "more samples leave the first as they were");
    dataset_free(&a), dataset_free(&b), dataset_free(&c), dataset_free(&longer);
}

Test(synthetic, smallest_and_most_classes)
{
    struct dataset dataset;
    synthetic_make(&dataset, 1, 1, 2, 1, 1, 0);
    dataset_free(&dataset);
    synthetic_make(&dataset, 65536, 1, 65536, 1, 1, 0);
    cr_expect_eq(dataset.train.labels[65535], 65535);
    dataset_free(&dataset);
}

/* --- the order of an epoch --- */

static void expect_permutation(const int32_t *order, int32_t count)
{
    bool *seen = memory_alloc((size_t)count, sizeof *seen);
    for (int32_t i = 0; i < count; i++) {
        cr_assert(order[i] >= 0 && order[i] < count && !seen[order[i]]);
        seen[order[i]] = true;
    }
    free(seen);
}

Test(epoch_order, is_a_permutation)
{
    static const int32_t counts[] = {1, 2, 3, 97, 50000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            int32_t *order = memory_alloc((size_t)counts[i], sizeof *order);
            epoch_order(order, counts[i], FIRST_EPOCH_SHUFFLED, 42, epoch);
            expect_permutation(order, counts[i]);
            free(order);
        }
}

Test(epoch_order, first_may_be_file_order)
{
    int32_t order[97], shuffled[97];
    epoch_order(order, 97, FIRST_EPOCH_FILE, 42, 0);
    for (int32_t i = 0; i < 97; i++) cr_assert_eq(order[i], i);
    epoch_order(shuffled, 97, FIRST_EPOCH_SHUFFLED, 42, 0);
    cr_expect_neq(memcmp(order, shuffled, sizeof order), 0);
    for (int epoch = 1; epoch < 4; epoch++) {
        epoch_order(order, 97, FIRST_EPOCH_FILE, 42, epoch);
        epoch_order(shuffled, 97, FIRST_EPOCH_SHUFFLED, 42, epoch);
        cr_expect_eq(memcmp(order, shuffled, sizeof order), 0, "epoch %d", epoch);
    }
}

Test(epoch_order, depends_on_seed_and_epoch_alone)
{
    int32_t orders[4][97], again[97];
    for (int epoch = 0; epoch < 4; epoch++) epoch_order(orders[epoch], 97, FIRST_EPOCH_SHUFFLED, 42, epoch);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            cr_expect_neq(memcmp(orders[i], orders[j], sizeof again), 0, "epochs %d and %d", i, j);
    epoch_order(again, 97, FIRST_EPOCH_SHUFFLED, 42, 3);
    cr_expect_eq(memcmp(again, orders[3], sizeof again), 0);
    epoch_order(again, 97, FIRST_EPOCH_SHUFFLED, 43, 3);
    cr_expect_neq(memcmp(again, orders[3], sizeof again), 0);
}

/* --- notes at the head of a run --- */

static void expect_notes(const struct dataset *dataset, const struct experiment *experiment, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    dataset_print_notes(dataset, experiment->data.first_epoch, experiment->train.batch_size, out);
    fclose(out);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    free(text);
}

Test(notes, class_without_an_image)
{
    static char *names[] = {"ant", "bee", "cat", "dog", "elk", "fox", "gnu"};
    uint16_t train[] = {0, 1, 2, 3, 4, 5, 6}, validation[] = {6}, test[] = {0, 1, 1, 2, 4, 5, 6};
    struct experiment experiment = {.data = {.first_epoch = FIRST_EPOCH_SHUFFLED}, .train = {.batch_size = 1}};
    struct dataset dataset = {
        .classes = 7, .train = {.count = 7, .labels = train}, .test = {.count = 7, .labels = train}};
    expect_notes(&dataset, &experiment, "");
    dataset.test.labels = test;
    dataset.validation = (struct image_set){.count = 1, .labels = validation};
    expect_notes(&dataset, &experiment,
                 "warning: the validation set has no image of 6 of the 7 classes: 0, 1, 2, 3, 4, ...\n"
                 "warning: the test set has no image of 1 of the 7 classes: 3\n");
    dataset.class_names = names;
    dataset.validation.count = 0;
    expect_notes(&dataset, &experiment, "warning: the test set has no image of 1 of the 7 classes: dog\n");
}

Test(notes, batches_of_one_class_in_file_order)
{
    uint16_t sorted[] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1}, mixed[] = {0, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0};
    struct experiment experiment = {.data = {.first_epoch = FIRST_EPOCH_FILE}, .train = {.batch_size = 4}};
    struct dataset dataset = {.classes = 2, .train = {.count = 12, .labels = sorted}};
    expect_notes(&dataset, &experiment,
                 "warning: 2 of the 3 batches of the first epoch hold one class only, batch 1 for instance only 0: "
                 "data.first_epoch = shuffled mixes them\n");
    dataset.train.labels = mixed;
    expect_notes(&dataset, &experiment, "");
    experiment.train.batch_size = 1; /* no order can do better */
    expect_notes(&dataset, &experiment, "");
    dataset.train.labels = sorted;
    experiment.train.batch_size = 4;
    experiment.data.first_epoch = FIRST_EPOCH_SHUFFLED;
    expect_notes(&dataset, &experiment, "");
}
