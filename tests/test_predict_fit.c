/* Tests how predict prepares pictures: fitted as the run's config says, inverted where asked, and with a hint where the
 * background is the opposite of the training images'. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <png.h>
#include <string.h>
#include <sys/stat.h>

#include "config_support.h"
#include "idx_support.h"
#include "predict/predictor.h"
#include "program_support.h"
#include "train/checkpoint.h"
#include "util/sha256.h"

TestSuite(predict_fit, .init = enter_folder, .fini = leave_folder);

enum { SIDE = 8, TRAIN = 40, CLASSES = 4 };

#define CONFIG(data)                                                                                                   \
    "[data]\ndataset = idx\npath = d\n" data                                                                           \
    "[model]\nkind = mlp\nhidden = 6\n[optimizer]\nlearning_rate = 0.1\n[train]\nbatch_size = 10\nmax_steps = 4\n"     \
    "eval_freq = 4\neval_batch_size = 10\n[backend]\ndevice = cpu\nthreads = 1\n"

/* Writes images of digits' kind: a border of one grey, and a bar of the opposite inside, whose place is the class. */
static void write_data(uint8_t background)
{
    uint8_t labels[TRAIN], pixels[SIDE * SIDE];
    struct bytes images = {memory_alloc(1, 1), 0};
    append_number(&images, MAGIC_IMAGES), append_number(&images, TRAIN);
    append_number(&images, SIDE), append_number(&images, SIDE);
    for (int i = 0; i < TRAIN; i++) {
        labels[i] = (uint8_t)(i % CLASSES);
        memset(pixels, background, sizeof pixels);
        for (int y = 1; y < SIDE - 1; y++) pixels[y * SIDE + 2 + labels[i]] = (uint8_t)(255 - background);
        append(&images, pixels, sizeof pixels);
    }
    cr_assert_eq(mkdir("d", 0777), 0);
    write_and_free("d", "train-images-idx3-ubyte", images);
    write_and_free("d", "train-labels-idx1-ubyte", make_labels(TRAIN, labels));
}

static void train(uint8_t background, const char *text)
{
    write_data(background);
    support_file_write("c.ini", text, strlen(text));
    struct program_result result = program_run("c.ini", "--out", "run", "--quiet", NULL);
    cr_assert_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
}

/* Writes a grey picture with alpha: a background, and a bar at the left third that is `ink`. */
static void write_picture(const char *path, int height, int width, uint8_t background, uint8_t ink, uint8_t alpha)
{
    uint8_t *pixels = memory_alloc((size_t)(height * width), 2);
    for (int i = 0; i < height * width; i++) {
        int y = i / width, x = i % width;
        bool inside = y > height / 8 && y < height - height / 8 && x >= width / 4 && x < width / 2;
        pixels[2 * i] = inside ? ink : background;
        pixels[2 * i + 1] = inside ? 255 : alpha;
    }
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = PNG_FORMAT_GA};
    cr_assert(png_image_write_to_file(&png, path, 0, pixels, 0, NULL), "%s", png.message);
    free(pixels);
}

/* Checks that predict's answer for a.png is the scores of these pixels. */
static void expect_scores(struct program_result result, const uint8_t *pixels)
{
    struct predictor predictor;
    struct status status = {0};
    double logits[CLASSES];
    cr_assert_eq(result.code, 0, "%s", result.error);
    cr_assert(predictor_open(&predictor, "run", CHECKPOINT_BEST, NULL, 0, &status), "%s", status.message);
    predictor_logits(&predictor, pixels, 1, logits);
    json_t *value = json_loads(result.out, 0, NULL);
    cr_assert(value, "%s", result.out);
    const json_t *entry = json_array_get(json_object_get(value, "predictions"), 0);
    for (size_t i = 0; i < CLASSES; i++)
        cr_expect_eq(json_number_value(json_array_get(json_object_get(entry, "logits"), i)), logits[i]);
    cr_expect(json_integer_value(json_object_get(entry, "width")) == 40);
    cr_expect(json_integer_value(json_object_get(entry, "height")) == 16);
    json_decref(value);
    predictor_close(&predictor);
    free(result.out), free(result.error);
}

static void fit(uint8_t *pixels, enum image_fit fit, uint8_t background)
{
    struct status status = {0};
    struct image_format format = {1, SIDE, SIDE, fit, {background, background, background}};
    cr_assert(image_read_fitted(pixels, "a.png", &format, &status), "%s", status.message);
}

Test(predict_fit, fits_pictures_as_the_config_says)
{
    uint8_t crop[SIDE * SIDE], pad[SIDE * SIDE], stretch[SIDE * SIDE];
    train(0, CONFIG(""));
    write_picture("a.png", 16, 40, 50, 200, 100);
    fit(crop, IMAGE_FIT_CROP, 255), fit(pad, IMAGE_FIT_PAD, 0), fit(stretch, IMAGE_FIT_STRETCH, 255);
    cr_assert(memcmp(crop, pad, sizeof crop) != 0 && memcmp(crop, stretch, sizeof crop) != 0);
    expect_scores(program_run("predict", "run", "a.png", "--json", NULL), crop);
    expect_scores(program_run("predict", "run", "a.png", "--json", "--set", "data.resize=pad", "--set",
                              "data.background=0", NULL),
                  pad);
    expect_scores(program_run("predict", "run", "a.png", "--json", "-s", "data.resize=stretch", NULL), stretch);
}

Test(predict_fit, a_run_keeps_its_own_way)
{
    uint8_t pad[SIDE * SIDE];
    train(0, CONFIG("resize = pad\nbackground = 7\n"));
    write_picture("a.png", 16, 40, 50, 200, 100);
    fit(pad, IMAGE_FIT_PAD, 7);
    expect_scores(program_run("predict", "run", "a.png", "--json", NULL), pad);
}

Test(predict_fit, inverts_what_was_fitted)
{
    uint8_t crop[SIDE * SIDE];
    train(0, CONFIG(""));
    write_picture("a.png", 16, 40, 50, 200, 100);
    fit(crop, IMAGE_FIT_CROP, 255);
    for (size_t i = 0; i < sizeof crop; i++) crop[i] = (uint8_t)(255 - crop[i]);
    expect_scores(program_run("predict", "run", "a.png", "--json", "--invert", NULL), crop);
}

/* --- older checkpoints --- */

/* Returns the text without its lines that begin with one of the words. */
static char *text_without(const char *text, const char *const *words)
{
    char *kept = memory_copy_string("");
    for (size_t length; *text; text += length) {
        length = strcspn(text, "\n") + (strchr(text, '\n') != NULL);
        bool leave = false;
        for (int i = 0; words[i]; i++) leave = leave || strncmp(text, words[i], strlen(words[i])) == 0;
        char *longer = leave ? NULL : memory_format("%s%.*s", kept, (int)length, text);
        if (longer) free(kept), kept = longer;
    }
    return kept;
}

/* Makes the best checkpoint one of a program that knew neither data.resize nor the border. */
static void make_older(const char *path)
{
    struct safetensors_file file;
    struct status status = {0};
    char digits[SHA256_DIGITS + 1];
    const char *const younger[] = {"resize", "background", NULL};
    cr_assert(safetensors_read(&file, path, SAFETENSORS_DIGEST_REQUIRED, &status), "%s", status.message);
    char *config = text_without(safetensors_metadata_find(&file, "config"), younger);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, config, strlen(config));
    cr_assert(sha256_finish(&hash, digits, &status));
    int count = 0;
    for (int i = 0; i < file.metadata_count; i++) {
        struct safetensors_metadata text = file.metadata[i];
        if (strcmp(text.key, "config") == 0) text.value = config;
        if (strcmp(text.key, "config_sha256") == 0) text.value = digits;
        if (strncmp(text.key, "border_", 7) != 0) file.metadata[count++] = text;
    }
    cr_assert_eq(count, file.metadata_count - 2);
    cr_assert(safetensors_write(path, file.tensors, file.tensor_count, file.metadata, count, &status));
    file.metadata_count = count;
    safetensors_free(&file);
    free(config);
}

Test(predict_fit, an_older_checkpoint_gives_its_old_answer_and_no_hint)
{
    uint8_t stretch[SIDE * SIDE];
    train(0, CONFIG(""));
    make_older("run/checkpoints/best.safetensors");
    write_picture("a.png", 16, 40, 250, 0, 255);
    fit(stretch, IMAGE_FIT_STRETCH, 255);
    struct program_result result = program_run("predict", "run", "a.png", "--json", NULL);
    cr_expect_str_empty(result.error, "%s", result.error);
    expect_scores(result, stretch);
}

/* --- the hint --- */

/* Checks what predict says on the standard error. Its output is of no account. */
static void expect_said(struct program_result result, const char *error)
{
    cr_expect_eq(result.code, 0, "%s", result.error);
    cr_expect_str_eq(result.error, error, "\"%s\", not \"%s\"", result.error, error);
    free(result.out), free(result.error);
}

Test(predict_fit, says_that_a_background_is_the_opposite)
{
    train(0, CONFIG(""));
    write_picture("paper.png", 20, 20, 250, 10, 255), write_picture("clear.png", 20, 20, 0, 10, 0);
    write_picture("night.png", 20, 20, 10, 250, 255), write_picture("grey.png", 20, 20, 128, 0, 255);
    expect_said(program_run("predict", "run", "paper.png", NULL),
                "trainer: paper.png: the background is light, that of the training images dark; --invert turns light "
                "and dark round\n");
    expect_said(program_run("predict", "run", "night.png", "grey.png", "paper.png", "clear.png", NULL),
                "trainer: 2 of 4 pictures have a light background, the training images a dark one; --invert turns "
                "light and dark round\n");
    expect_said(program_run("predict", "run", "night.png", "grey.png", NULL), "");
    expect_said(program_run("predict", "run", "--invert", "paper.png", NULL), "");
    expect_said(program_run("predict", "run", "--invert", "night.png", NULL),
                "trainer: night.png: the background is light, that of the training images dark; --invert made it so\n");
}

Test(predict_fit, says_it_the_other_way_round_too)
{
    train(255, CONFIG("normalization = channel\n"));
    write_picture("paper.png", 20, 20, 250, 10, 255), write_picture("night.png", 20, 20, 10, 250, 255);
    expect_said(program_run("predict", "run", "paper.png", "night.png", NULL),
                "trainer: 1 of 2 pictures have a dark background, the training images a light one; --invert turns "
                "light and dark round\n");
}

/* --- borders --- */

Test(predict_fit, borders_of_images)
{
    const uint8_t pixels[] = {1, 2, 3, 4, 100, 5, 6, 7, 8, /* the next channel */ 1, 2, 3, 4, 200, 5, 6, 7, 8};
    struct image_border border = image_border_measure(pixels, 2, 3, 3), one = image_border_measure(pixels, 1, 1, 1),
                        row = image_border_measure(pixels, 1, 1, 4), column = image_border_measure(pixels, 1, 4, 1),
                        two = image_border_measure(pixels, 1, 2, 4);
    cr_expect(border.known && border.mean == 4.5 && fabs(border.deviation - sqrt(5.25)) < 1e-12);
    cr_expect(one.mean == 1 && one.deviation == 0);
    cr_expect(row.mean == 2.5 && column.mean == 2.5 && two.mean == (1 + 2 + 3 + 4 + 100 + 5 + 6 + 7) / 8.0);
    cr_expect_eq(image_border_background((struct image_border){true, 63, 63}), BACKGROUND_DARK);
    cr_expect_eq(image_border_background((struct image_border){true, 192, 63}), BACKGROUND_LIGHT);
    cr_expect_eq(image_border_background((struct image_border){true, 64, 0}), BACKGROUND_MIXED);
    cr_expect_eq(image_border_background((struct image_border){true, 191, 0}), BACKGROUND_MIXED);
    cr_expect_eq(image_border_background((struct image_border){true, 0, 64}), BACKGROUND_MIXED);
    cr_expect_eq(image_border_background((struct image_border){false, 0, 0}), BACKGROUND_MIXED);
}

Test(predict_fit, a_checkpoint_tells_the_border)
{
    train(9, CONFIG(""));
    struct predictor predictor;
    struct status status = {0};
    cr_assert(predictor_open(&predictor, "run", CHECKPOINT_LAST, NULL, 0, &status), "%s", status.message);
    cr_expect(predictor.input.border.known && predictor.input.border.mean == 9);
    cr_expect_eq(predictor.input.border.deviation, 0);
    predictor_close(&predictor);
}

/* --- many pictures --- */

/* More pictures than are read at a time, bad ones among them: each gets the answer that it gets alone. */
Test(predict_fit, answers_do_not_depend_on_the_pictures_beside)
{
    train(0, CONFIG(""));
    cr_assert_eq(mkdir("f", 0777), 0);
    for (int i = 0; i < 75; i++) {
        char *path = memory_format("f/%02d.png", i);
        if (i % 9 == 4)
            support_file_write(path, "no picture", 10);
        else
            write_picture(path, 9 + i, 30, (uint8_t)(3 * i), (uint8_t)(255 - i), 255);
        free(path);
    }
    struct program_result all = program_run("predict", "run", "f", "--csv", "--top", "4", NULL);
    cr_expect_eq(all.code, 1);
    const char *rest = strchr(all.out, '\n') + 1;
    for (int i = 0; i < 75; i++) {
        char *path = memory_format("f/%02d.png", i);
        struct program_result alone = program_run("predict", "run", path, "--csv", "--top", "4", NULL);
        const char *row = strchr(alone.out, '\n') + 1;
        cr_expect_eq(strncmp(rest, row, strlen(row)), 0, "\"%.80s\", not \"%s\"", rest, row);
        rest += strlen(row);
        free(alone.out), free(alone.error), free(path);
    }
    cr_expect_str_empty(rest);
    free(all.out), free(all.error);
}
