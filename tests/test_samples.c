/* Tests that the picture of the training images shows, to the pixel, the values that the network gets. */
#include <criterion/criterion.h>
#include <string.h>

#include "image_support.h"
#include "report/samples.h"
#include "session_support.h"

/* Without normalisation a value that the network sees is a byte of the picture, and 0 in a hole. */
#define RUN                                                                                                            \
    "[data]\ndataset = synthetic\nsynthetic_train = 20\nsynthetic_test = 3\nsynthetic_classes = 5\n"                   \
    "synthetic_size = 9\nnormalization = none\n[model]\nkind = convnet\nfeatures = 4, M\n"                             \
    "[train]\nmax_steps = 9\nbatch_size = 6\n[backend]\ndevice = cpu\n"
static const char moved[] = RUN "[augment]\nflip = true\ncrop = 2\ncutout = 3\n";
static const char changed[] =
    RUN "[augment]\nrotate = 40\nscale = 0.3\nbrightness = 0.5\nsaturation = 1\nerase = 0.5\nmixup = 0.5\ncutmix = 1\n";
enum { SIDE = 9, PLANE = SIDE * SIDE, C = 3, ROWS = 7, COLUMNS = 4, ZOOM = 8, GAP = 4 };

/* Each pixel of an image is a square of the picture, of one colour. */
static void expect_image(const struct image *picture, int64_t row, int64_t column, const double *values)
{
    for (int64_t c = 0; c < C; c++)
        for (int64_t h = 0; h < SIDE * ZOOM; h++)
            for (int64_t w = 0; w < SIDE * ZOOM; w++) {
                int64_t top = GAP + row * (SIDE * ZOOM + GAP) + h, left = GAP + column * (SIDE * ZOOM + GAP) + w;
                double value = values[c * PLANE + h / ZOOM * SIDE + w / ZOOM];
                cr_assert_eq(picture->pixels[(c * picture->height + top) * picture->width + left], value,
                             "row %d, column %d, channel %d, (%d,%d)", (int)row, (int)column, (int)c, (int)h, (int)w);
            }
}

static int64_t row_of(const struct dataset *dataset, int64_t sample)
{
    int64_t shown[ROWS];
    samples_choose(dataset, shown, ROWS);
    for (int64_t row = 0; row < ROWS; row++)
        if (shown[row] == sample) return row;
    return -1;
}

/* Takes a step and expects the images that the network sees in it, for the samples that have a row. */
static void expect_step(struct session *session, const struct image *picture, int64_t step)
{
    const struct trainer *trainer = &session->trainer;
    int64_t batch = session->experiment.train.batch_size, epoch = step / trainer->batches_per_epoch;
    struct session_batch seen = session_step(session);
    for (int64_t n = 0; n < batch; n++) {
        int64_t sample = trainer->order[step % trainer->batches_per_epoch * batch + n];
        int64_t row = row_of(&session->dataset, sample);
        if (row >= 0) expect_image(picture, row, epoch + 1, seen.x + n * C * PLANE);
    }
    free(seen.x), free(seen.logits);
}

static void expect_every_step(const char *text)
{
    struct session *session = session_open(text, 2);
    struct image picture = samples_picture(&session->experiment, &session->dataset, ROWS, COLUMNS);
    cr_assert(picture.channels == C && picture.width == GAP + COLUMNS * (SIDE * ZOOM + GAP));
    for (int64_t row = 0; row < ROWS; row++) {
        double values[C * PLANE];
        for (int i = 0; i < C * PLANE; i++) values[i] = session->dataset.train.pixels[row * C * PLANE + i];
        expect_image(&picture, row, 0, values);
    }
    for (int64_t step = 0; step < 9; step++) {
        expect_step(session, &picture, step);
    }
    image_free(&picture);
    session_close(session);
}

Test(samples, the_picture_shows_what_each_step_sees)
{
    expect_every_step(moved);
    expect_every_step(changed);
}

Test(samples, each_class_in_turn)
{
    uint16_t labels[] = {0, 0, 0, 2, 2, 0, 3};
    struct dataset dataset = {.classes = 4, .train = {.count = 7, .labels = labels}};
    const int64_t expected[] = {0, 3, 6, 1, 4, 2, 5};
    int64_t shown[7];
    samples_choose(&dataset, shown, 7);
    for (int i = 0; i < 7; i++) cr_expect_eq(shown[i], expected[i], "row %d", i);
}

Test(samples, a_png_file_holds_the_picture)
{
    struct session *session = session_open(moved, 1);
    struct image picture = samples_picture(&session->experiment, &session->dataset, 2, 3), back;
    char *folder = support_folder(), *path = support_path(folder, "picture.png");
    struct status status = {0};
    cr_assert(image_write_png(&picture, path, &status), "%s", status.message);
    cr_assert(picture_read(&back, path, C, &status), "%s", status.message);
    cr_assert(back.height == picture.height && back.width == picture.width);
    cr_expect_eq(memcmp(back.pixels, picture.pixels, (size_t)(C * back.height * back.width)), 0);
    cr_expect_not(image_write_png(&picture, folder, &status));
    cr_expect(strstr(status.message, folder), "%s", status.message);
    image_free(&picture), image_free(&back);
    free(path);
    support_folder_remove(folder);
    session_close(session);
}
