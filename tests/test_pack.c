/* Packs data sets, and loads, damages and refuses packed files. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_support.h"
#include "data/dataset.h"
#include "data/pack.h"
#include "data/pack_dataset.h"
#include "dataset_support.h"
#include "util/mapped_file.h"
#include "util/sha256.h"

TestSuite(pack, .init = enter_folder, .fini = leave_folder);

enum { ROWS = 7, SAMPLE = 3 * 2 * 2, CLASSES = 3 };

static struct dataset load_config(const char *text)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_assert(dataset_files_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    experiment_free(&experiment);
    return dataset;
}

static bool pack_config(const char *text, const struct dataset *dataset, const char *path, struct status *status)
{
    struct experiment experiment;
    struct stat info;
    int64_t bytes = 0;
    cr_assert(load_text(&experiment, text, status), "%s", status->message);
    bool good = pack_dataset(dataset, &experiment, path, &bytes, status);
    experiment_free(&experiment);
    if (good) cr_expect(stat(path, &info) == 0 && info.st_size == bytes, "%lld bytes", (long long)bytes);
    return good;
}

/* --- a small set of pictures, made here --- */

static const uint16_t labels_here[ROWS] = {0, 1, 2, 0, 1, 2, 1};
static const char names_here[] = "a/1.png\0a/2.png\0b/3.jpg\0b/4\n.jpg\0c/5\xFF.png\0c/6.png\0c/7.png";
static const int32_t train_rows[] = {0, 2, 5}, validation_rows[] = {3}, test_rows[] = {1, 6}; /* row 4 is in no set */

static struct image_set make_set(const struct image_set *all, const int32_t *rows, int64_t count, uint16_t *labels)
{
    struct image_set set = *all;
    set.count = count, set.rows = rows, set.labels = labels;
    for (int64_t i = 0; i < count; i++) labels[i] = labels_here[rows[i]];
    return set;
}

/* Makes a data set with all that a packed file can hold. Its memory is static but for class names and skipped files. */
static struct dataset make_pictures(void)
{
    static uint8_t pixels[ROWS * SAMPLE], digests[ROWS][32];
    static int64_t places[ROWS];
    static uint16_t labels[3][ROWS];
    struct status status;
    for (int i = 0; i < ROWS * SAMPLE; i++) pixels[i] = (uint8_t)(i * 37);
    for (int i = 0, place = 0; i < ROWS; i++, place += (int)strlen(names_here + place) + 1) {
        struct sha256 hash = sha256_start();
        sha256_add(&hash, pixels + i * SAMPLE, SAMPLE);
        cr_assert(sha256_finish_bytes(&hash, digests[i], &status));
        places[i] = place;
    }
    struct image_set all = {
        .pixels = pixels, .names = names_here, .name_places = places, .row_digests = (const uint8_t(*)[32])digests};
    struct dataset dataset = {.channels = 3, .height = 2, .width = 2, .classes = CLASSES};
    dataset.train = make_set(&all, train_rows, 3, labels[0]);
    dataset.validation = make_set(&all, validation_rows, 1, labels[1]);
    dataset.test = make_set(&all, test_rows, 2, labels[2]);
    dataset.class_names = memory_alloc(CLASSES, sizeof *dataset.class_names);
    for (int c = 0; c < CLASSES; c++) dataset.class_names[c] = memory_format("class \xC3\xA9 %d", c);
    dataset.skipped = memory_alloc(2, sizeof *dataset.skipped);
    dataset.skipped[0] = (struct skipped_file){memory_copy_string("a/x.png"), memory_copy_string("is damaged"), true};
    dataset.skipped[1] = (struct skipped_file){memory_copy_string("README"), memory_copy_string(""), false};
    dataset.skipped_count = 2;
    return dataset;
}

static const char folder_config[] = "[data]\ndataset = folder\npath = pictures\nresize = pad\nbackground = 1, 2, 3\n";
static const char pack_config_text[] = "[data]\ndataset = pack\npath = a.pack\nresize = pad\nbackground = 1, 2, 3\n";

static void write_pictures(void)
{
    struct status status = {0};
    struct dataset dataset = make_pictures();
    cr_assert(pack_config(folder_config, &dataset, "a.pack", &status), "%s", status.message);
    dataset_free(&dataset);
}

/* --- what comes back --- */

static void expect_same_set(const struct dataset *a, const struct image_set *left, const struct image_set *right)
{
    int64_t sample = a->channels * a->height * a->width;
    cr_assert_eq(left->count, right->count);
    for (int64_t i = 0; i < left->count; i++) {
        cr_expect_eq(left->labels[i], right->labels[i]);
        cr_expect_eq(memcmp(image_set_pixels(left, i, sample), image_set_pixels(right, i, sample), (size_t)sample), 0);
        const char *name = image_set_name(left, i);
        cr_expect_eq(name == NULL, image_set_name(right, i) == NULL);
        if (name) cr_expect_str_eq(name, image_set_name(right, i));
    }
}

static void expect_same(const struct dataset *a, const struct dataset *b)
{
    cr_assert(a->channels == b->channels && a->height == b->height && a->width == b->width && a->classes == b->classes);
    expect_same_set(a, &a->train, &b->train);
    expect_same_set(a, &a->validation, &b->validation);
    expect_same_set(a, &a->test, &b->test);
    cr_assert_eq(a->class_names == NULL, b->class_names == NULL);
    for (int64_t c = 0; a->class_names && c < a->classes; c++) cr_expect_str_eq(a->class_names[c], b->class_names[c]);
    cr_assert_eq(a->skipped_count, b->skipped_count);
    for (int64_t i = 0; i < a->skipped_count; i++) {
        cr_expect_str_eq(a->skipped[i].path, b->skipped[i].path);
        cr_expect_str_eq(a->skipped[i].reason, b->skipped[i].reason);
        cr_expect_eq(a->skipped[i].picture, b->skipped[i].picture);
    }
}

/* The identity, by which a run knows its data, must be the same too. */
static void expect_same_identity(struct dataset *a, struct dataset *b)
{
    struct status status;
    cr_assert(dataset_digest_compute(a, &status) && dataset_digest_compute(b, &status));
    char *difference = dataset_digest_difference(&a->digest, &b->digest);
    cr_expect_null(difference, "%s", difference);
    free(difference);
}

Test(pack, pictures_come_back_with_all_that_is_known_of_them)
{
    struct dataset made = make_pictures(), loaded;
    write_pictures();
    loaded = load_config(pack_config_text);
    expect_same(&made, &loaded);
    expect_same_identity(&made, &loaded);
    cr_expect_not_null(loaded.train.row_digests);
    dataset_free(&made), dataset_free(&loaded);
}

Test(pack, other_formats_come_back_with_the_identity_of_their_pixels)
{
    static const char config[] = "[data]\ndataset = synthetic\nsynthetic_train = 300\nsynthetic_test = 21\n"
                                 "synthetic_size = 5\n";
    struct status status = {0};
    struct dataset made = load_config(config), loaded;
    cr_assert(pack_config(config, &made, "a.pack", &status), "%s", status.message);
    loaded = load_config("[data]\ndataset = pack\npath = a.pack\n");
    expect_same(&made, &loaded);
    expect_same_identity(&made, &loaded);
    cr_expect_null(loaded.train.row_digests);
    dataset_free(&made), dataset_free(&loaded);
}

Test(pack, the_same_data_give_the_same_bytes)
{
    size_t size, again_size;
    write_pictures();
    char *bytes = support_file_read("a.pack", &size);
    write_pictures();
    char *again = support_file_read("a.pack", &again_size);
    cr_expect(size == again_size && memcmp(bytes, again, size) == 0);
    free(bytes), free(again);
}

Test(pack, the_check_tells_what_is_there)
{
    struct pack_summary summary;
    struct status status = {0};
    write_pictures();
    cr_assert(dataset_pack_check(&summary, "a.pack", &status), "%s", status.message);
    cr_expect(summary.train == 3 && summary.validation == 1 && summary.test == 2 && summary.classes == CLASSES);
}

/* --- configs --- */

static void expect_config_error(const char *settings, const char *message)
{
    struct experiment experiment;
    struct dataset dataset, empty = {0};
    struct status status = {0};
    char *text = memory_format("[data]\ndataset = pack\npath = a.pack\n%s", settings);
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_expect_not(dataset_files_from_experiment(&dataset, &experiment, NULL, &status), "%s", settings);
    cr_expect(strstr(status.message, message), "\"%s\", not \"%s\"", status.message, message);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0, "after an error the data set is empty");
    experiment_free(&experiment);
    free(text);
}

#define SETTINGS "resize = pad\nbackground = 1, 2, 3\n"

Test(pack, settings_that_contradict_the_file_are_refused)
{
    write_pictures();
    expect_config_error("background = 1, 2, 3\n", "data.resize (default): expected pad, as the pictures of a.pack were "
                                                  "made, found crop");
    expect_config_error("resize = pad\n", "data.background (default): expected 1, 2, 3, as the pictures of a.pack were "
                                          "made, found 255");
    expect_config_error(SETTINGS "image_size = 3x2\n",
                        "x.ini:6: data.image_size: expected auto or 2x2, the size in a.pack, found 3x2");
    expect_config_error(SETTINGS "channels = 1\n", "data.channels: expected auto or 3, as in a.pack, found 1");
    expect_config_error(SETTINGS "classes = 4\n", "data.classes: expected 3, the number of classes of a.pack, found 4");
    expect_config_error(SETTINGS "class_names = a, b\n",
                        "data.class_names: 2 class names, expected 3: one for each class "
                        "of a.pack");
    expect_config_error(SETTINGS "test_size = 1\n", "data.test_size: expected 0, as a.pack has a test set of its own");
    expect_failure("[data]\ndataset = pack\npath = a.pack\ntranspose = true\n",
                   "x.ini:4: data.transpose: expected false, as data.dataset is pack");
}

Test(pack, settings_that_agree_are_taken)
{
    write_pictures();
    struct dataset dataset = load_config("[data]\ndataset = pack\npath = a.pack\n" SETTINGS
                                         "image_size = 2\nchannels = 3\nclasses = 3\nclass_names = x, y, z\n");
    cr_expect_str_eq(dataset.class_names[2], "z");
    dataset_free(&dataset);
}

Test(pack, the_format_is_known_without_the_images)
{
    struct experiment experiment;
    struct dataset_description description;
    struct status status = {0};
    write_pictures();
    cr_assert(load_text(&experiment, pack_config_text, &status));
    cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(description.channels == 3 && description.height == 2 && description.classes == CLASSES);
    experiment_free(&experiment);
}

Test(pack, a_packed_set_is_not_packed_again)
{
    struct status status = {0};
    write_pictures();
    struct dataset dataset = load_config(pack_config_text);
    cr_expect_not(pack_config(pack_config_text, &dataset, "b.pack", &status));
    cr_expect_str_eq(status.message, "data.dataset: expected another format, as a.pack is packed already");
    cr_expect(access("b.pack", F_OK) != 0);
    dataset_free(&dataset);
}

/* --- damaged and foreign files --- */

/* Checks that the file is refused, with a message that has these words in it. */
static void expect_refusal(const char *words)
{
    struct dataset dataset;
    struct status status = {0};
    const struct dataset_source source = {.path = "a.pack",
                                          .pictures = {.fit = IMAGE_FIT_PAD, .background = {1, 2, 3}}};
    cr_expect_not(pack_load(&dataset, &source, &status), "expected: %s", words);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect(strncmp(status.message, "a.pack: ", 8) == 0 && strstr(status.message, words), "\"%s\", not \"%s\"",
              status.message, words);
}

Test(pack, a_file_that_is_cut_off_or_too_long_is_refused_at_every_length)
{
    size_t size;
    write_pictures();
    char *bytes = support_file_read("a.pack", &size);
    cr_assert(size > PACK_HEADER + ROWS * PACK_ROW_TABLES);
    for (size_t part = 0; part < size; part += part < 8 || part > PACK_HEADER - 4 ? 1 : 509) {
        support_file_write("a.pack", bytes, part);
        expect_refusal(part == 0 ? "an empty file" : part < 8 ? "found" : part < 12 ? "truncated" : "truncated: ");
    }
    bytes[size] = 0;
    support_file_write("a.pack", bytes, size + 1);
    expect_refusal("too long: ");
    free(bytes);
}

Test(pack, a_byte_that_is_flipped_anywhere_is_noticed)
{
    size_t size, pixels = 6 * SAMPLE;
    write_pictures();
    char *bytes = support_file_read("a.pack", &size);
    for (size_t i = 0; i < size; i += i >= 136 && i < PACK_HEADER - 1 ? 97 : 1) {
        bytes[i] ^= 0x10;
        support_file_write("a.pack", bytes, size);
        bool of_pixels = i >= PACK_HEADER && i < PACK_HEADER + pixels;
        expect_refusal(of_pixels ? "damaged: the pixels of " : "");
        bytes[i] ^= 0x10;
    }
    bytes[PACK_HEADER + 5 * SAMPLE] ^= 1;
    support_file_write("a.pack", bytes, size);
    expect_refusal("not a good packed data set: damaged: the pixels of c/7.png differ from their SHA-256");
    free(bytes);
}

static void put(char *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (char)(number >> (8 * i));
}

/* Puts the right digest into a file's header. */
static void sign(char *bytes, size_t size, size_t pixels)
{
    struct status status;
    struct sha256 hash = sha256_start();
    memset(bytes + PACK_DIGEST_PLACE, 0, PACK_SHA256);
    sha256_add(&hash, bytes, PACK_HEADER);
    sha256_add(&hash, bytes + PACK_HEADER + pixels, size - PACK_HEADER - pixels);
    cr_assert(sha256_finish_bytes(&hash, (unsigned char *)bytes + PACK_DIGEST_PLACE, &status));
}

/* Checks that a file with another number at a place, and right digests, is refused. */
static void expect_signed_refusal(size_t place, uint64_t number, int width, const char *words)
{
    size_t size, pixels = 6 * SAMPLE;
    write_pictures();
    char *bytes = support_file_read("a.pack", &size);
    put(bytes + place, number, width);
    sign(bytes, size, pixels);
    support_file_write("a.pack", bytes, size);
    expect_refusal(words);
    free(bytes);
}

Test(pack, every_number_is_checked_where_the_digests_are_right)
{
    const size_t tables = PACK_HEADER + 6 * SAMPLE, labels = tables + 6 * 48, parts = labels + 6 * 2, texts = parts + 6;
    expect_signed_refusal(8, 2, 4, "version 2, expected 1");
    expect_signed_refusal(12, 2, 4, "byte 12: flags 0x2");
    expect_signed_refusal(16, 0, 8, "byte 16: 0 channels, expected 1 to 65536");
    expect_signed_refusal(24, UINT64_MAX, 8, "byte 24: 18446744073709551615 rows of pixels");
    expect_signed_refusal(32, 65537, 8, "byte 32: 65537 columns of pixels");
    expect_signed_refusal(40, 65537, 8, "byte 40: 65537 classes");
    expect_signed_refusal(48, 0, 8, "byte 48: 0 images");
    expect_signed_refusal(48, 5, 8, "too long");
    expect_signed_refusal(48, 7, 8, "truncated");
    expect_signed_refusal(56, 3, 8, "4 words on files that were left out, expected 6");
    expect_signed_refusal(64, INT64_MAX, 8, "byte 64: 9223372036854775807 bytes of text");
    expect_signed_refusal(40, 4, 8, "3 class names, expected 4");
    expect_signed_refusal(40, 2, 8, "image 1: label 2, expected 0 to 1");
    expect_signed_refusal(labels, 3, 2, "image 0: label 3, expected 0 to 2");
    expect_signed_refusal(parts, 3, 1, "image 0: part 3, expected 0 to 2");
    expect_signed_refusal(parts, 0x020202, 3, "no training image");
    expect_signed_refusal(texts, '\n', 1, "class 0: ");
    expect_signed_refusal(texts + 1, 0, 1, "4 class names, expected 3");
}

/* The product of the sides and the count passes 2^63. */
Test(pack, sizes_that_overflow_are_refused)
{
    size_t size;
    write_pictures();
    char *bytes = support_file_read("a.pack", &size);
    for (int i = 0; i < 3; i++) put(bytes + 16 + 8 * i, 65536, 8);
    put(bytes + 48, INT32_MAX, 8);
    support_file_write("a.pack", bytes, size);
    expect_refusal("more than 2^63 bytes");
    free(bytes);
}

Test(pack, other_files_are_refused_by_their_kind)
{
    support_file_write("a.pack", "\x89PNG\r\n\x1A\n....", 12);
    expect_refusal("expected a packed data set (trainer pack makes it), found a PNG picture");
    support_file_write("a.pack", "hello", 5);
    expect_refusal("found a text file");
    cr_assert(unlink("a.pack") == 0 && mkdir("a.pack", 0700) == 0);
    expect_refusal("is a folder");
    cr_assert(rmdir("a.pack") == 0 && mkfifo("a.pack", 0600) == 0);
    expect_refusal("not a regular file");
    cr_assert(unlink("a.pack") == 0);
    expect_refusal("cannot open");
}

/* --- failures --- */

/* Counts the entries of the current folder whose names have these words in them. */
static int count_files(const char *words)
{
    int count = 0;
    DIR *entries = opendir(".");
    for (const struct dirent *entry; (entry = readdir(entries));) count += strstr(entry->d_name, words) != NULL;
    closedir(entries);
    return count;
}

/* A limit on the size of files fails a write as a full disk does. */
Test(pack, a_disk_that_is_full_leaves_no_file)
{
    const int limits[] = {0, 1000, PACK_HEADER, PACK_HEADER + SAMPLE, PACK_HEADER + 6 * SAMPLE + 10};
    struct dataset dataset = make_pictures();
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 5; i++) {
        struct status status = {0};
        struct rlimit before, limit;
        cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
        limit = (struct rlimit){(rlim_t)limits[i], before.rlim_max};
        struct experiment experiment;
        cr_assert(load_text(&experiment, folder_config, &status));
        cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        int64_t bytes;
        bool good = pack_dataset(&dataset, &experiment, "a.pack", &bytes, &status);
        cr_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
        experiment_free(&experiment);
        cr_expect_not(good, "%d", limits[i]);
        cr_expect_str_eq(status.message, "a.pack: cannot write: File too large");
        cr_expect_eq(count_files("a.pack"), 0);
    }
    dataset_free(&dataset);
}

/* A page that is gone ends the program with a line and exit code 1, and not by a signal. */
Test(pack, a_file_that_is_cut_off_in_use_ends_with_a_line, .exit_code = STATUS_RUNTIME)
{
    const uint8_t *bytes;
    struct status status = {0};
    enum { SIZE = 1 << 20 };
    char *zeros = memory_alloc(SIZE, 1);
    support_file_write("b.pack", zeros, SIZE);
    free(zeros);
    int file = open("b.pack", O_RDWR);
    cr_assert(mapped_file_open(&bytes, file, SIZE, "b.pack", &status), "%s", status.message);
    cr_assert(bytes[SIZE - 1] == 0 && ftruncate(file, 0) == 0);
    volatile uint8_t last = bytes[SIZE - 1];
    (void)last;
    cr_assert_fail("the page is still there");
}
