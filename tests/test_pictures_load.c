/* Tests the loading of pictures: size, channels, the test set that is drawn, what is left out, and that neither threads
 * nor changing files change the result. And runs of the program on photographs of hands (fixtures/sign-digits). */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "dataset_support.h"
#include "picture_support.h"
#include "program_support.h"
#include "train/train.h"
#include "util/sha256.h"
#include "util/text.h"

TestSuite(pictures_load, .init = enter_folder, .fini = leave_folder);

#define SIGN_DIGITS TEST_FOLDER "/fixtures/sign-digits"

/* --- size and channels --- */

Test(pictures_load, the_size_of_all_pictures)
{
    struct dataset dataset;
    write_colour("set/a/1.png", 5, 3, 1, 1, 1), write_colour("set/b/1.png", 5, 3, 2, 2, 2);
    load_good(&dataset, "");
    cr_expect(dataset.width == 5 && dataset.height == 3 && dataset.channels == 1);
    dataset_free(&dataset);
    write_colour("set/a/2.png", 3, 5, 1, 1, 1), write_colour("set/b/2.png", 7, 2, 1, 1, 1);
    write_colour("set/b/3.png", 2, 2, 1, 1, 1);
    expect_refused(
        "", STATUS_USAGE,
        "x.ini: data.image_size (default): expected the size to make all pictures, as they have several: 2x2 "
        "(b/3.png) to 5x3 (a/1.png), found auto");
    load_good(&dataset, "image_size = 6x4\n");
    cr_expect(dataset.width == 6 && dataset.height == 4);
    dataset_free(&dataset);
}

/* The pictures of the test set have no say. */
Test(pictures_load, channels)
{
    struct dataset dataset;
    write_grey("set/train/a/1.png", 100), write_grey("set/train/b/1.png", 200);
    write_colour("set/test/a/1.png", 4, 4, 255, 0, 0);
    load_good(&dataset, "");
    cr_expect_eq(dataset.channels, 1);
    cr_expect_eq(*image_set_pixels(&dataset.test, 0, 16), 76); /* 0.299 * 255 */
    dataset_free(&dataset);
    load_good(&dataset, "channels = 3\n");
    cr_expect_eq(dataset.channels, 3);
    const uint8_t *pixels = image_set_pixels(&dataset.test, 0, 48);
    cr_expect(pixels[0] == 255 && pixels[16] == 0 && pixels[32] == 0);
    dataset_free(&dataset);
    write_colour("set/train/b/2.png", 4, 4, 0, 0, 255);
    load_good(&dataset, "");
    cr_expect_eq(dataset.channels, 3);
    dataset_free(&dataset);
}

Test(pictures_load, the_description_agrees)
{
    struct dataset_description description;
    struct status status = {0};
    write_colour("set/a/1.png", 5, 3, 1, 2, 3), write_colour("set/b/1.png", 5, 3, 2, 2, 2);
    write_text("set/b/2.png", "x");
    const char *const lines[] = {"max_skipped = 1\n", "max_skipped = 1\nimage_size = 8\nchannels = 1\n"};
    for (int i = 0; i < 2; i++) {
        struct dataset dataset;
        struct experiment experiment = set_experiment(lines[i]);
        cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
        cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
        cr_expect(description.channels == dataset.channels && description.height == dataset.height &&
                  description.width == dataset.width && description.classes == dataset.classes);
        dataset_free(&dataset);
        experiment_free(&experiment);
    }
}

Test(pictures_load, keys_on_stored_labels_are_refused)
{
    expect_failure("[data]\ndataset = folder\npath = set\nfirst_label = 1\n",
                   "x.ini:4: data.first_label: expected 0, as data.dataset is folder");
    expect_failure("[data]\ndataset = folder\npath = set\ntranspose = true\n",
                   "x.ini:4: data.transpose: expected false, as data.dataset is folder");
    expect_failure("[data]\ndataset = folder\n",
                   "x.ini: data.path (default): expected the folder that holds the pictures");
}

/* --- sets --- */

static void write_many(int classes, int count)
{
    for (int c = 0; c < classes; c++)
        for (int i = 0; i < count * (c + 1); i++) {
            char *path = memory_format("set/%c/%02d.png", 'a' + c, i);
            write_grey(path, 100 * c + i);
            free(path);
        }
}

static int count_class(const struct image_set *set, int label)
{
    int count = 0;
    for (int64_t i = 0; i < set->count; i++) count += set->labels[i] == label;
    return count;
}

static bool is_same_choice(const struct image_set *a, const struct image_set *b)
{
    bool same = a->count == b->count;
    for (int64_t i = 0; same && i < a->count; i++)
        same = strcmp(image_set_name(a, i), image_set_name(b, i)) == 0 && a->labels[i] == b->labels[i];
    return same;
}

/* Each class gives its share; the seed alone draws; the validation set is drawn from the rest. */
Test(pictures_load, a_test_set_that_is_drawn)
{
    struct dataset first, again, other;
    write_many(2, 10);
    load_good(&first, "test_size = 6\nvalidation_size = 3\n");
    cr_expect(first.train.count == 21 && first.test.count == 6 && first.validation.count == 3);
    cr_expect(count_class(&first.test, 0) == 2 && count_class(&first.test, 1) == 4);
    cr_expect(count_class(&first.validation, 0) == 1 && count_class(&first.validation, 1) == 2);
    for (int64_t i = 0; i < first.test.count; i++) {
        const char *name = image_set_name(&first.test, i);
        cr_expect_eq(*image_set_pixels(&first.test, i, 16), 100 * (name[0] - 'a') + atoi(name + 2), "%s", name);
        cr_expect_eq(first.test.labels[i], name[0] - 'a');
    }
    load_good(&again, "test_size = 6\n");
    cr_expect(is_same_choice(&first.test, &again.test));
    load_good(&other, "test_size = 6\n[experiment]\nseed = 43\n");
    cr_expect_not(is_same_choice(&first.test, &other.test));
    dataset_free(&first), dataset_free(&again), dataset_free(&other);
}

Test(pictures_load, sets_that_are_there_already)
{
    write_grey("set/train/a/1.png", 1), write_grey("set/train/b/1.png", 1);
    write_grey("set/test/a/1.png", 1), write_grey("set/val/a/1.png", 1);
    expect_refused("test_size = 1\n", STATUS_USAGE,
                   "x.ini:5: data.test_size: expected 0, as set has a test set of its own, found 1");
    expect_refused("validation_size = 1\n", STATUS_USAGE,
                   "x.ini:5: data.validation_size: expected 0, as set has a validation set of its own, found 1");
    cr_assert_eq(system("rm -r set/test set/val"), 0);
    expect_refused("test_size = 2\n", STATUS_USAGE,
                   "x.ini:5: data.test_size: expected less than the 2 training samples, found 2");
}

/* --- what is left out --- */

Test(pictures_load, a_share_of_the_pictures_may_be_left_out)
{
    struct dataset dataset;
    write_many(2, 3);
    write_text("set/a/bad 1.png", ""), write_text("set/a/new\nline.jpg", "x"), write_text("set/b/bad 3.png", "");
    write_text("set/b/bad 4.png", "");
    load_good(&dataset, "image_size = 4\nmax_skipped = 0.31\n");
    cr_expect(dataset.train.count == 9 && dataset.skipped_count == 4);
    for (int64_t i = 0; i < dataset.train.count; i++) {
        const char *name = image_set_name(&dataset.train, i);
        cr_expect_eq(*image_set_pixels(&dataset.train, i, 16), 100 * (name[0] - 'a') + atoi(name + 2), "%s", name);
    }
    dataset_free(&dataset);
    expect_refused("image_size = 4\nmax_skipped = 0.3\n", STATUS_USAGE,
                   "x.ini:6: data.max_skipped: 4 of the 13 pictures cannot be read, expected a share of at most 0.3: "
                   "set/a/bad 1.png: expected a PNG or JPEG file, found an empty one; set/a/new\\nline.jpg: neither a "
                   "PNG nor a JPEG file; set/b/bad 3.png: expected a PNG or JPEG file, found an empty "
                   "one; ...");
}

Test(pictures_load, no_picture_can_be_read)
{
    write_text("set/a/1.png", "x"), write_text("set/b/1.png", "x");
    expect_refused("", STATUS_RUNTIME,
                   "set: none of the 2 pictures can be read, the first: set/a/1.png: neither a PNG nor a JPEG "
                   "file");
    expect_refused("image_size = 4\nchannels = 1\nmax_skipped = 1\n", STATUS_RUNTIME,
                   "set: none of the training pictures can be read");
}

static void expect_notes(const struct dataset *dataset, const char *expected)
{
    char *text;
    size_t size;
    struct experiment experiment = {.data = {.first_epoch = FIRST_EPOCH_SHUFFLED}};
    FILE *out = open_memstream(&text, &size);
    dataset_print_notes(dataset, experiment.data.first_epoch, experiment.train.batch_size, out);
    fclose(out);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    free(text);
}

Test(pictures_load, notes_on_files_and_duplicates)
{
    struct dataset dataset;
    write_grey("set/train/a/1.png", 1), write_grey("set/train/b/2.png", 2), write_grey("set/train/b/also 2.png", 2);
    write_grey("set/test/a/3.png", 3), write_grey("set/test/b/4.png", 2), write_grey("set/test/b/5.png", 2);
    write_grey("set/val/a/6.png", 6), write_grey("set/val/b/7.png", 7);
    load_good(&dataset, "");
    expect_notes(&dataset,
                 "warning: 2 of the 3 images of the test set have the pixels of a training image, for instance "
                 "test/b/4.png those of train/b/2.png\n");
    dataset_free(&dataset);
    write_text("set/train/a/bad.png", ""), write_text("set/notes.txt", ""), write_text("set/list.csv", "");
    cr_assert_eq(system("rm -r set/test set/train/a/1.png"), 0);
    load_good(&dataset, "max_skipped = 0.5\n");
    expect_notes(&dataset,
                 "warning: 1 picture cannot be read and is left out, the first: set/train/a/bad.png: expected "
                 "a PNG or JPEG file, found an empty one\n"
                 "2 other files are left out, as they are no pictures\n"
                 "warning: the training set has no image of 1 of the 2 classes: a\n");
    dataset_free(&dataset);
}

/* What is odd and harmless is one line for all pictures. */
Test(pictures_load, warnings_are_counted)
{
    struct dataset dataset;
    cr_assert(freopen("stderr.txt", "w", stderr));
    make_folders("set/a", true), make_folders("set/b", true);
    cr_assert_eq(system("for to in a/1 a/2 b/1; do cp " TEST_FOLDER
                        "/fixtures/pictures/jpeg_extraneous.jpg set/$to.jpg; "
                        "done; cp " TEST_FOLDER "/fixtures/pictures/jpeg_420.jpg set/b/2.jpg"),
                 0);
    load_good(&dataset, "");
    cr_expect_eq(dataset.train.count, 4);
    dataset_free(&dataset);
    fflush(stderr);
    char *text = support_file_read("stderr.txt", NULL);
    const char beginning[] = "trainer: 3 pictures were read with a warning, the first one: set/a/1.jpg: ";
    cr_expect_eq(strncmp(text, beginning, strlen(beginning)), 0, "%s", text);
    cr_expect_eq(strchr(text, '\n') - text, (long)strlen(text) - 1, "%s", text);
    free(text);
}

static void expect_escaped(const char *text, const char *expected)
{
    char *escaped = text_escape(text);
    cr_expect_str_eq(escaped, expected, "\"%s\", not \"%s\"", escaped, expected);
    free(escaped);
}

Test(pictures_load, names_in_messages_are_one_line)
{
    expect_escaped("", "");
    expect_escaped("a b/\xC3\xA9.png", "a b/\xC3\xA9.png");
    expect_escaped("new\nline\ttab\\", "new\\nline\\ttab\\\\");
    expect_escaped("\x1B[2J\r\x7F", "\\x1b[2J\\x0d\\x7f");
    expect_escaped("\xC2\x85", "\\xc2\\x85"); /* a control character of two bytes */
    expect_escaped("\xFFz\xE2\x82", "\\xffz\\xe2\\x82");
}

/* --- threads, and files that change --- */

static struct dataset_digest digest_on(int cores, const char *lines)
{
    cpu_set_t before, set;
    struct dataset dataset;
    CPU_ZERO(&set);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    for (size_t core = 0; core < CPU_SETSIZE && CPU_COUNT(&set) < cores; core++)
        if (CPU_ISSET(core, &before)) CPU_SET(core, &set);
    cr_assert_eq(sched_setaffinity(0, sizeof set, &set), 0);
    load_good(&dataset, lines);
    struct dataset_digest digest = dataset.digest;
    dataset_free(&dataset);
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
    return digest;
}

Test(pictures_load, threads_change_nothing)
{
    cr_assert_eq(symlink(SIGN_DIGITS, "set"), 0);
    struct dataset_digest one = digest_on(1, "image_size = 48\n"), all = digest_on(CPU_SETSIZE, "image_size = 48\n");
    char *difference = dataset_digest_difference(&one, &all);
    cr_expect_null(difference, "%s", difference);
    cr_expect(one.train.count == 150 && one.test.count == 50);
    struct dataset_digest other = digest_on(1, "image_size = 48\nchannels = 1\n");
    difference = dataset_digest_difference(&one, &other);
    cr_expect_not_null(difference);
    free(difference);
}

Test(pictures_load, rows_have_the_digests_of_their_pixels)
{
    struct dataset dataset;
    cr_assert_eq(symlink(SIGN_DIGITS, "set"), 0);
    load_good(&dataset, "image_size = 20\n");
    for (int64_t i = 0; i < dataset.test.count; i++) {
        struct status status;
        unsigned char digest[32];
        struct sha256 hash = sha256_start();
        sha256_add(&hash, image_set_pixels(&dataset.test, i, 1200), 1200);
        cr_assert(sha256_finish_bytes(&hash, digest, &status));
        cr_expect_eq(memcmp(digest, dataset.test.row_digests[image_set_row(&dataset.test, i)], 32), 0);
    }
    dataset_free(&dataset);
}

static atomic_bool done;

/* Goes on cutting, removing and rewriting pictures. */
static void *disturb(void *bytes)
{
    size_t size;
    char *picture = support_file_read("good.png", &size);
    for (int i = 0; !atomic_load(&done); i++) {
        char *path = memory_format("set/a/%02d.png", i % 20);
        if (i % 3 == 0) unlink(path);
        if (i % 3 == 1) support_file_write(path, picture, size / 2);
        if (i % 3 == 2) support_file_write(path, picture, size);
        free(path);
    }
    free(picture);
    return bytes;
}

Test(pictures_load, files_that_change_while_they_are_read, .timeout = 120)
{
    pthread_t thread;
    write_many(2, 20);
    write_grey("good.png", 5);
    cr_assert_eq(pthread_create(&thread, NULL, disturb, NULL), 0);
    for (int i = 0; i < 50; i++) {
        struct dataset dataset;
        struct status status = {0};
        cr_assert(load_set(&dataset, "image_size = 4\nmax_skipped = 1\n", &status), "%s", status.message);
        cr_expect_eq(count_class(&dataset.train, 1), 40);
        dataset_free(&dataset);
    }
    atomic_store(&done, true);
    pthread_join(thread, NULL);
}

/* --- the program --- */

static const char sign_config[] =
    "[data]\ndataset = folder\npath = " SIGN_DIGITS "\nimage_size = 32\n"
    "normalization = channel\n"
    "[augment]\ncrop = 3\n"
    "[model]\nkind = convnet\nfeatures = 16, M, 32, M, 64, M\nbatchnorm = custom\n"
    "[optimizer]\nname = adam\nlearning_rate = 2e-3\n"
    "[train]\nmax_steps = 150\nbatch_size = 32\neval_freq = 75\nclass_weights = balanced\n"
    "[backend]\nthreads = 1\n";

/* 150 photographs teach the network to know most of 50 others: chance is 10%, three seeds reached 86% to 90%. */
Test(pictures_load, sign_digits_are_learned, .timeout = 300)
{
    struct experiment experiment;
    struct run_result result;
    struct status status = {0};
    setenv("PATH", "/nowhere", 1); /* no gnuplot */
    cr_assert(load_text(&experiment, sign_config, &status), "%s", status.message);
    cr_assert(train_run(&experiment, "run", TRAIN_NEW, NULL, NULL, &result, &status), "%s", status.message);
    cr_expect(!(result.final.test.accuracy < 0.75), "%g", result.final.test.accuracy);
    char *skipped = support_file_read("run/skipped.txt", NULL);
    cr_assert(skipped);
    cr_expect_str_eq(skipped, SIGN_DIGITS "/LICENSE\tnot a .png, .jpg or .jpeg file\n" SIGN_DIGITS
                                          "/README.txt\tnot a .png, .jpg or .jpeg file\n");
    free(skipped);
    experiment_free(&experiment);
}

static void expect_code(struct program_result result, int code, const char *part)
{
    cr_expect_eq(result.code, code, "%d: %s", result.code, result.error);
    cr_expect(strstr(result.out, part), "\"%s\", without \"%s\"", result.out, part);
    free(result.out);
    free(result.error);
}

/* A run of a few steps, what can be done with it, and the same with a picture less. */
Test(pictures_load, commands_on_a_folder, .timeout = 300)
{
    setenv("PATH", "/usr/bin:/bin", 1);
    cr_assert_eq(system("cp -r " SIGN_DIGITS " set"), 0);
    write_text("x.ini", sign_config);
    write_text("set/train/3/new\nline.png", "");
    expect_code(program_run("x.ini", "--set", "data.path=set", "--set", "train.max_steps=10", "--set",
                            "train.eval_freq=10", "--out", "run", "--plain", NULL),
                0,
                "warning: 1 picture cannot be read and is left out, the first: set/train/3/new\\nline.png: expected a "
                "PNG or JPEG file, found an empty one\n2 other files are left out, as they are no pictures\n"
                "run/skipped.txt has the reasons\n");
    char *skipped = support_file_read("run/skipped.txt", NULL);
    cr_expect(strstr(skipped, "\nset/train/3/new\\nline.png\texpected a PNG or JPEG file, found an empty one\n"));
    free(skipped);
    expect_code(program_run("summary", "x.ini", NULL), 0, "3x32x32");
    struct program_result result = program_run("eval", "run", NULL);
    cr_expect_eq(result.code, 0);
    cr_expect_str_eq(result.error,
                     "trainer: 1 picture cannot be read and is left out, the first: set/train/3/new\\nline.png: "
                     "expected a PNG or JPEG file, found an empty one\n");
    free(result.out), free(result.error);
    expect_code(program_run("eval", "run", "--on", "validation", NULL), 2, "");
    expect_code(program_run("predict", "run", "set/test/4/0380.jpg", NULL), 0, "%");
    expect_code(program_run("report", "run", NULL), 0, "");
    expect_code(program_run("resume", "run", "--set", "train.max_steps=20", "--plain", NULL), 0, "step     20");
    cr_assert_eq(system("rm set/train/3/new* set/README.txt set/LICENSE"), 0);
    expect_code(program_run("resume", "run", "--set", "train.max_steps=21", "--plain", NULL), 0, "step     21");
    cr_expect_null(support_file_read("run/skipped.txt", NULL), "removed, since nothing is left out any more");
    cr_assert_eq(system("rm set/train/3/*3.jpg"), 0);
    expect_code(program_run("resume", "run", "--set", "train.max_steps=22", "--plain", NULL), 1, "");
}

/* A validation set in a folder of its own ranks a sweep. */
Test(pictures_load, a_sweep_by_the_folder_of_validation, .timeout = 300)
{
    setenv("PATH", "/usr/bin:/bin", 1);
    cr_assert_eq(system("cp -r " SIGN_DIGITS " set && mv set/test set/val"), 0);
    char *text = memory_format("%s[sweep]\noptimizer.beta1 = 0.8 | 0.9\n", sign_config);
    write_text("x.ini", text);
    free(text);
    expect_code(program_run("sweep", "x.ini", "--set", "data.path=set", "--set", "train.max_steps=4", "--set",
                            "train.eval_freq=4", "--set", "backend.threads=0", "--out", "sweep", NULL),
                0, "ranked by best validation accuracy");
    cr_assert_eq(system("mv set/val set/test"), 0);
    struct program_result result =
        program_run("sweep", "x.ini", "--set", "data.path=set", "--set", "backend.threads=0", "--out", "other", NULL);
    cr_expect_eq(result.code, 2);
    cr_expect(strstr(result.error, "expected test, as the data has no validation set"), "%s", result.error);
    free(result.out), free(result.error);
}
