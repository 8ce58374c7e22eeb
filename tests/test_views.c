/* Tests the views by whose mean an image is scored. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "predict/predictor.h"
#include "predict/views.h"
#include "run_support.h"

TestSuite(views, .init = enter_without_gnuplot, .fini = leave_folder);

static void expect_view(struct view view, const uint8_t expected[12])
{
    static const uint8_t image[] = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}; /* (1,2,2,3) */
    uint8_t seen[12];
    view_images(view, image, 1, 2, 2, 3, seen);
    for (int i = 0; i < 12; i++) cr_expect_eq(seen[i], expected[i], "[%d]: %d, not %d", i, seen[i], expected[i]);
}

Test(views, an_image_is_mirrored_and_moved_with_mirrored_edges)
{
    expect_view((struct view){false, 0, 0, 1}, (uint8_t[]){1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16});
    expect_view((struct view){true, 0, 0, 1}, (uint8_t[]){3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14});
    expect_view((struct view){false, 1, 1, 1}, (uint8_t[]){5, 6, 5, 2, 3, 2, 15, 16, 15, 12, 13, 12});
    expect_view((struct view){false, -1, -1, 1}, (uint8_t[]){5, 4, 5, 2, 1, 2, 15, 14, 15, 12, 11, 12});
    expect_view((struct view){true, 1, 1, 1}, (uint8_t[]){5, 6, 5, 2, 3, 2, 15, 16, 15, 12, 13, 12});
}

Test(views, an_image_of_one_pixel_looks_the_same_in_each_view)
{
    for (int v = 0; v < 6; v++) {
        const uint8_t pixel = 7;
        uint8_t seen = 0;
        view_images(views_of(6)[v], &pixel, 1, 1, 1, 1, &seen);
        cr_expect_eq(seen, 7);
    }
}

Test(views, weights_add_up_to_one)
{
    static const int counts[] = {1, 2, 6};
    for (int i = 0; i < 3; i++) {
        double sum = 0;
        for (int v = 0; v < counts[i]; v++) sum += views_of(counts[i])[v].weight;
        cr_expect_eq(sum, 1);
    }
}

/* In several batches, the last one not full. */
Test(views, scores_are_the_means_over_the_views)
{
    enum { N = 5, SAMPLE = 3 * 8 * 8, CLASSES = 10 };
    static uint8_t pixels[N * SAMPLE], seen[N * SAMPLE];
    double logits[N * CLASSES], own[N * CLASSES], sums[N * CLASSES] = {0};
    struct predictor predictor;
    struct status status = {0};
    run_good("[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_size = 8\n[model]\nkind = convnet\n"
             "features = 5, M\n[train]\nmax_steps = 3\nbatch_size = 16\neval_batch_size = 2\n[backend]\ndevice = cpu\n",
             "run", TRAIN_NEW);
    cr_assert(predictor_open(&predictor, "run", CHECKPOINT_BEST, NULL, 0, &status), "%s", status.message);
    for (int i = 0; i < N * SAMPLE; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int v = 0; v < 6; v++) {
        view_images(views_of(6)[v], pixels, N, 3, 8, 8, seen);
        predictor_logits(&predictor, seen, N, own);
        for (int i = 0; i < N * CLASSES; i++) sums[i] += views_of(6)[v].weight * own[i];
    }
    predictor.views = 6;
    predictor_logits(&predictor, pixels, N, logits);
    for (int i = 0; i < N * CLASSES; i++) cr_expect_eq(logits[i], sums[i], "[%d]: %g, not %g", i, logits[i], sums[i]);
    predictor_close(&predictor);
}
