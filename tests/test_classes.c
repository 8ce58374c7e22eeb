/* Tests the number and the names of a data set's classes, by names, by a number and by labels, and damaged labels. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "config_support.h"
#include "dataset_support.h"
#include "idx_support.h"
#include "program_support.h"

TestSuite(classes, .init = enter_folder, .fini = leave_folder);

enum { MANY = 72 };

/* Writes the current folder's data set: images of 1x2 whose pixels count up, with these labels. */
static void write_labels(const uint8_t *train, uint32_t train_count, const uint8_t *test, uint32_t test_count)
{
    write_and_free(".", "train-images-idx3-ubyte", make_images(train_count, 1, 2, 0));
    write_and_free(".", "train-labels-idx1-ubyte", make_labels(train_count, train));
    write_and_free(".", "t10k-images-idx3-ubyte", make_images(test_count, 1, 2, 0));
    write_and_free(".", "t10k-labels-idx1-ubyte", make_labels(test_count, test));
}

/* Writes labels first to first + classes - 1 in turn, but for one. */
static void write_damaged(int first, int classes, int place, int label)
{
    uint8_t train[MANY], test[] = {(uint8_t)first};
    for (int i = 0; i < MANY; i++) train[i] = (uint8_t)(first + i % classes);
    if (place >= 0) train[place] = (uint8_t)label;
    write_labels(train, MANY, test, 1);
}

static bool load(struct dataset *dataset, const char *keys, struct status *status)
{
    struct experiment experiment;
    char *text = memory_format("[data]\ndataset = idx\npath = .\n%s", keys);
    cr_assert(load_text(&experiment, text, status), "%s", status->message);
    bool good = dataset_from_experiment(dataset, &experiment, NULL, status);
    experiment_free(&experiment);
    free(text);
    return good;
}

static struct dataset load_good(const char *keys)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load(&dataset, keys, &status), "%s", status.message);
    return dataset;
}

static void expect_error(const char *keys, enum status_code code, const char *message)
{
    struct dataset dataset, empty = {0};
    struct status status = {0};
    cr_assert_not(load(&dataset, keys, &status), "taken, not: %s", message);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    cr_expect_eq(status.code, code);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0, "after an error the dataset is empty");
}

/* --- by the labels --- */

Test(classes, labels_tell_how_many)
{
    write_damaged(0, 6, -1, 0);
    struct dataset dataset = load_good("");
    cr_expect(dataset.classes == 6 && dataset.class_names == NULL);
    dataset_free(&dataset);
}

#define OR_CLASSES "; the byte may be damaged; set data.classes (or data.class_names) if some classes have no image"

Test(classes, damaged_label_far_off)
{
    write_damaged(0, 6, 12, 255);
    expect_error("", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 20: label 255, but no training image has label 6: expected labels "
                 "without a gap" OR_CLASSES);
    struct dataset dataset = load_good("classes = 256\n");
    cr_expect_eq(dataset.classes, 256);
    dataset_free(&dataset);
    expect_error("classes = 6\n", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 20: label 255, expected 0 to 5 by data.classes");
}

/* A flipped bit may also make a label the next one. */
Test(classes, damaged_label_next_to_the_others)
{
    write_damaged(0, 6, 12, 6);
    expect_error(
        "", STATUS_RUNTIME,
        "./train-labels-idx1-ubyte: byte 20: label 6 occurs once, and every other label at least 10 times: the "
        "byte may be damaged; set data.classes (or data.class_names) if this is a class");
    struct dataset dataset = load_good("classes = 7\n");
    cr_expect_eq(dataset.classes, 7);
    dataset_free(&dataset);
}

Test(classes, one_image_of_each_class_is_no_damage)
{
    static const uint8_t labels[] = {0, 1, 2, 3, 4, 5};
    write_labels(labels, 6, labels, 6);
    struct dataset dataset = load_good("");
    cr_expect_eq(dataset.classes, 6);
    dataset_free(&dataset);
}

Test(classes, gap_in_the_middle)
{
    static const uint8_t train[] = {0, 1, 1, 4, 3, 0}, test[] = {2, 4};
    write_labels(train, 6, test, 2);
    expect_error("", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 12: label 3, but no training image has label 2: expected labels "
                 "without a gap" OR_CLASSES);
    struct dataset dataset = load_good("classes = 5\n");
    cr_expect(dataset.classes == 5 && dataset.test.labels[0] == 2);
    dataset_free(&dataset);
}

Test(classes, test_labels_are_those_of_the_training_set)
{
    static const uint8_t train[] = {0, 1, 2}, test[] = {2, 0, 3};
    write_labels(train, 3, test, 3);
    expect_error("", STATUS_RUNTIME, "./t10k-labels-idx1-ubyte: byte 10: label 3, expected 0 to 2 as in the train set");
    struct dataset dataset = load_good("classes = 4\n");
    cr_expect_eq(dataset.classes, 4);
    dataset_free(&dataset);
}

/* --- labels that do not begin with 0 --- */

Test(classes, labels_from_one)
{
    write_damaged(1, 6, -1, 0);
    expect_error("", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 8: label 1 is the smallest of the training set, expected 0: set "
                 "data.first_label = 1 if labels begin there, or data.classes (or data.class_names) if some classes "
                 "have no image");
    struct dataset dataset = load_good("first_label = 1\n");
    cr_expect(dataset.classes == 6 && dataset.train.labels[0] == 0 && dataset.train.labels[5] == 5);
    cr_expect_eq(dataset.test.labels[0], 0);
    dataset_free(&dataset);
    dataset = load_good("classes = 7\n");
    cr_expect(dataset.classes == 7 && dataset.train.labels[0] == 1);
    dataset_free(&dataset);
}

/* Messages show labels as they stand in the file. */
Test(classes, labels_from_one_with_a_damaged_one)
{
    write_damaged(1, 6, 3, 0);
    expect_error("first_label = 1\n", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 11: label 0, expected at least the 1 of data.first_label");
    write_damaged(1, 6, 3, 60);
    expect_error("first_label = 1\n", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 11: label 60, but no training image has label 7: expected labels "
                 "without a gap" OR_CLASSES);
    expect_error("first_label = 1\nclasses = 6\n", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 11: label 60, expected 1 to 6 by data.classes");
}

/* --- names --- */

static void expect_names(struct dataset dataset, const char *first, const char *last)
{
    cr_assert_not_null(dataset.class_names);
    cr_expect_str_eq(dataset.class_names[0], first);
    cr_expect_str_eq(dataset.class_names[dataset.classes - 1], last);
    dataset_free(&dataset);
}

Test(classes, names_in_a_list_or_a_file_tell_how_many)
{
    static const uint8_t labels[] = {0, 2, 0, 2}; /* the second class has no image on purpose */
    static const char text[] = "\xEF\xBB\xBF"
                               "T-shirt/top\r\n ankle boot, brown\r\n\303\251t\303\251\n\n";
    write_labels(labels, 4, labels, 4);
    support_file_write("names.txt", text, strlen(text));
    struct dataset dataset = load_good("class_names = T-shirt/top , Ankle boot,\303\251t\303\251\n");
    cr_expect(dataset.classes == 3 && strcmp(dataset.class_names[1], "Ankle boot") == 0);
    expect_names(dataset, "T-shirt/top", "\303\251t\303\251");
    dataset = load_good("class_names = names.txt\n");
    cr_expect(dataset.classes == 3 && strcmp(dataset.class_names[1], "ankle boot, brown") == 0);
    expect_names(dataset, "T-shirt/top", "\303\251t\303\251");
    dataset = load_good("class_names = a, b, c\nclasses = 3\n");
    expect_names(dataset, "a", "c");
}

Test(classes, names_and_labels_must_agree)
{
    write_damaged(0, 6, -1, 0);
    expect_error("class_names = a, b, c\n", STATUS_RUNTIME,
                 "./train-labels-idx1-ubyte: byte 11: label 3, expected 0 to 2, as many as there are class names");
    expect_error("class_names = a, b, c\nclasses = 4\n", STATUS_USAGE,
                 "x.ini:5: data.classes: expected 3, as there are so many class names, found 4");
}

Test(classes, bad_names)
{
    write_damaged(0, 2, -1, 0);
    expect_error("class_names = a,, b\n", STATUS_USAGE,
                 "x.ini:4: data.class_names: name 2: nothing, expected a class name");
    expect_error("class_names = a, b,\n", STATUS_USAGE,
                 "x.ini:4: data.class_names: name 3: nothing, expected a class name");
    expect_error("class_names = cat, dog, cat\n", STATUS_USAGE,
                 "x.ini:4: data.class_names: name 3: \"cat\" is the name of class 0 already, expected another one");
    expect_error("class_names = nowhere.txt\n", STATUS_USAGE,
                 "x.ini:4: data.class_names: nowhere.txt: cannot open: No such file or directory; a value without a "
                 "comma is the path of a file with a name per line");
    support_file_write("names.txt", "cat\n\033[2J\n", 9);
    expect_error("class_names = names.txt\n", STATUS_USAGE,
                 "x.ini:4: data.class_names: names.txt:2: control character (byte 0x1b) in column 1, expected a class "
                 "name; a value without a comma is the path of a file with a name per line");
}

Test(classes, at_most_65536_names)
{
    FILE *file = fopen("names.txt", "w");
    cr_assert(file);
    for (int i = 0; i < 65537; i++) fprintf(file, "class %d\n", i);
    cr_assert_eq(fclose(file), 0);
    write_damaged(0, 2, -1, 0);
    expect_error(
        "class_names = names.txt\n", STATUS_USAGE,
        "x.ini:4: data.class_names: names.txt:65537: one name too many, expected at most 65536; a value without a "
        "comma is the path of a file with a name per line");
}

/* --- the synthetic set --- */

static void expect_config_error(const char *keys, const char *message)
{
    char *text = memory_format("[data]\ndataset = synthetic\n%s", keys);
    expect_failure(text, message);
    free(text);
}

Test(classes, keys_of_files_are_refused_for_the_synthetic_set)
{
    expect_config_error("classes = 10\n", "x.ini:3: data.classes: expected 0, as data.dataset is synthetic, which has "
                                          "data.synthetic_classes");
    expect_config_error("first_label = 1\n", "x.ini:3: data.first_label: expected 0, as data.dataset is synthetic");
    expect_config_error("transpose = true\n", "x.ini:3: data.transpose: expected false, as data.dataset is synthetic");
    expect_failure("[data]\nclasses = 1\n", "x.ini:2: data.classes: expected 0 or at least 2, found 1");
}

Test(classes, names_of_the_synthetic_set)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    const char *text = "[data]\ndataset = synthetic\nsynthetic_classes = 3\nclass_names = a, b, c\n";
    cr_assert(load_text(&experiment, text, &status) && dataset_from_experiment(&dataset, &experiment, NULL, &status));
    expect_names(dataset, "a", "c");
    experiment_free(&experiment);
    cr_assert(load_text(&experiment, "[data]\ndataset = synthetic\nclass_names = a, b, c\n", &status));
    cr_assert_not(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_expect_str_eq(status.message, "x.ini:3: data.class_names: 3 class names, expected 10: one for each of "
                                     "data.synthetic_classes");
    experiment_free(&experiment);
}

/* --- names in figures --- */

Test(classes, quickstart_names_its_classes)
{
    struct experiment experiment;
    struct status status = {0};
    struct dataset_description assumed;
    const char *const size[] = {"data.image_size=28", "data.channels=1"};
    cr_assert(load_with(&experiment, CONFIG_FOLDER "/quickstart.ini", size, 2, &status), "%s", status.message);
    cr_assert(assume_data(&assumed, &experiment, &status), "%s", status.message);
    cr_expect_eq(assumed.classes, 10);
    cr_expect_not_null(strstr(experiment.data.class_names, ", Ankle boot"));
    experiment_free(&experiment);
}

/* The names of the config reach a run's figures through its checkpoint. Their number is that of the network's
 * outputs. */
Test(classes, names_are_in_the_answers_of_a_run)
{
    write_damaged(0, 2, -1, 0);
    const char *text = "[data]\ndataset = idx\npath = .\nclass_names = cat, dog, bird\n[model]\nhidden = 2\n[train]\n"
                       "max_steps = 2\nbatch_size = 4\n[backend]\ndevice = cpu\nthreads = 1\n";
    support_file_write("x.ini", text, strlen(text));
    struct program_result result = program_run("summary", "x.ini", NULL);
    cr_expect_not_null(strstr(result.out, "images of 1x1x2, 3 classes"), "%s", result.out);
    program_expect(result, 0, result.out, "");
    result = program_run("x.ini", "--quiet", "--out", "a", NULL);
    program_expect(result, 0, "", result.error);
    result = program_run("eval", "a", NULL);
    cr_expect_not_null(strstr(result.out, "\ndog "), "%s", result.out);
    cr_expect_not_null(strstr(result.out, "\nbird "), "%s", result.out);
    program_expect(result, 0, result.out, "");
}

Test(classes, network_without_its_data_has_the_classes_of_the_config)
{
    const char *text = "[data]\npath = nowhere\nclass_names = cat, dog, bird\n[model]\nhidden = 2\n";
    support_file_write("x.ini", text, strlen(text));
    struct program_result result = program_run("summary", "x.ini", NULL);
    cr_expect_not_null(strstr(result.out, "images of 3x32x32, 3 classes"), "%s", result.out);
    program_expect(result, 0, result.out, "");
    result = program_run("summary", "x.ini", "--set", "data.dataset=idx", "--set", "data.class_names=auto", "--set",
                         "data.classes=7", "--set", "data.image_size=28", "--set", "data.channels=1", NULL);
    cr_expect_not_null(strstr(result.out, "Assuming images of 1x28x28 and 7 classes."), "%s", result.out);
    program_expect(result, 0, result.out, "");
}
