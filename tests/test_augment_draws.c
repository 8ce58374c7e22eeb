/* Tests the draws of pictures by their statistics, and the functions of whole numbers that they are made with. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "backend/augment_picture.h"

#define PART(share) ((int64_t)((share)*0x1p16))
#define SHARE(share) ((int64_t)((share)*0x1p32))

/* Means of `draws` uniform numbers are normal; five deviations are allowed. */
static void expect_mean(const char *name, double sum, int draws, double low, double high)
{
    double mean = sum / draws, deviation = (high - low) / sqrt(12.0 * draws);
    cr_expect(fabs(mean - (low + high) / 2) < 5 * deviation, "%s: mean %g of %g..%g", name, mean, low, high);
}

Test(augment_draws, draws_are_uniform)
{
    enum { DRAWS = 20000, H = 300, W = 300 };
    struct augment_params params = {.seed = 7, .vertical_flip = true, .scale = PART(0.4), .resized_crop = SHARE(0.25)};
    params.brightness = PART(0.5), params.contrast = PART(0.75), params.saturation = PART(1);
    double brightness = 0, contrast = 0, saturation = 0, area = 0, ratio = 0, flipped = 0, zoom = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t step = (uint32_t)(i / 100);
        struct augment_params zooming = params;
        zooming.resized_crop = 0;
        struct augment_picture picture = augment_picture_draw(zooming, step, i % 100, H, W);
        struct augment_box window = augment_window_draw(params, step, i % 100, H, W);
        brightness += picture.brightness, contrast += picture.contrast, saturation += picture.saturation;
        zoom += 0x1p33 / (double)llabs(picture.map.row_down), flipped += picture.map.row_down < 0;
        area += (double)(window.height * window.width), ratio += log((double)window.width / window.height);
        cr_assert(window.top >= 0 && window.top + window.height <= H && window.left + window.width <= W);
    }
    expect_mean("brightness", brightness, DRAWS, PART(0.5), PART(1.5));
    expect_mean("contrast", contrast, DRAWS, PART(0.25), PART(1.75));
    expect_mean("saturation", saturation, DRAWS, 0, PART(2));
    expect_mean("zoom", zoom, DRAWS, 0.6, 1.4);
    cr_expect(fabs(flipped - DRAWS / 2) < 5 * sqrt(DRAWS / 4.0), "%g flips", flipped);
    /* An area s fits where |log(ratio)| <= -log(s), so large ones fit less often: the mean is 0.564, not 0.625. */
    cr_expect(fabs(area / DRAWS / (H * W) - 0.564) < 0.01, "area %g", area / DRAWS);
    cr_expect(fabs(ratio / DRAWS) < 0.01, "ratio %g", ratio / DRAWS);
}

/* The map of a square image turned by t and not zoomed has cos t and sin t as its steps. */
Test(augment_draws, angles_are_uniform)
{
    enum { DRAWS = 20000, SIDE = 64 };
    static const double degrees[] = {10, 90, 180};
    const double pi = 3.14159265358979324;
    for (size_t k = 0; k < sizeof degrees / sizeof *degrees; k++) {
        struct augment_params params = {.seed = 9, .rotate = (int64_t)(degrees[k] / 360 * 0x1p32)};
        double sum = 0, sizes = 0;
        for (int i = 0; i < DRAWS; i++) {
            struct augment_map map = augment_picture_draw(params, (uint32_t)i, 3, SIDE, SIDE).map;
            double angle = atan2((double)map.column_down, (double)map.row_down) * 180 / pi;
            cr_assert(fabs(angle) <= degrees[k] + 1e-6, "%g", angle);
            cr_assert(fabs(hypot((double)map.row_down, (double)map.column_down) / 0x1p33 - 1) < 1e-7);
            sum += angle, sizes += fabs(angle);
        }
        expect_mean("angle", sum, DRAWS, -degrees[k], degrees[k]);
        expect_mean("size of an angle", sizes, DRAWS, 0, degrees[k]);
    }
}

Test(augment_draws, erasing_happens_as_often_as_asked_for)
{
    enum { DRAWS = 20000, SIDE = 100 };
    struct augment_params params = {.seed = 8, .erase = SHARE(0.3)};
    double area = 0, holes = 0, top = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct augment_box box = augment_erase_draw(params, (uint32_t)(i / 100), i % 100, SIDE, SIDE);
        if (box.height == 0) continue;
        holes++, area += box.height * box.width, top += box.top / (double)(SIDE - box.height);
        double ratio = (double)box.height / box.width;
        cr_assert(ratio > 0.25 && ratio < 4 && box.top >= 0 && box.top + box.height <= SIDE);
        cr_assert(box.height * box.width > 150 && box.height * box.width < 3500);
    }
    cr_expect(fabs(holes - 0.3 * DRAWS) < 5 * sqrt(DRAWS * 0.21), "%g holes", holes);
    cr_expect(fabs(area / holes - 1750) < 50, "area %g", area / holes);
    expect_mean("top", top, (int)holes, 0, 1);
    params.erase = SHARE(1);
    for (int i = 0; i < DRAWS; i++) cr_assert(augment_erase_draw(params, 0, i, SIDE, SIDE).height > 0);
}

Test(augment_draws, functions_of_whole_numbers)
{
    const double pi = 3.14159265358979324;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t angle = i * 42949u + i % 7;
        struct augment_turn turn = augment_turn_by(angle);
        cr_assert(fabs((double)turn.sine / 0x1p30 - sin(angle * pi / 0x1p31)) < 1e-8, "sin %u", angle);
        cr_assert(fabs((double)turn.cosine / 0x1p30 - cos(angle * pi / 0x1p31)) < 1e-8, "cos %u", angle);
        int64_t exponent = (int64_t)i * 21474 - AUGMENT_ONE;
        cr_assert(fabs((double)augment_power(exponent) / 0x1p30 - exp2((double)exponent / 0x1p30)) < 3e-8);
        uint64_t square = (uint64_t)angle * angle;
        cr_assert_eq(augment_root(square), angle);
        if (angle > 0) cr_assert_eq(augment_root(square - 1), angle - 1);
    }
    cr_expect_eq(augment_root(UINT64_MAX), UINT32_MAX);
    cr_expect(augment_turn_by(0x40000000).sine == AUGMENT_ONE && augment_turn_by(0x40000000).cosine == 0);
    cr_expect(augment_turn_by(0x80000000).cosine == -AUGMENT_ONE && augment_turn_by(0).sine == 0);
}

/* A place in an image with mirrored edges is found by walking there and turning around at each end. */
Test(augment_draws, folds_reach_the_image)
{
    for (int size = 2; size < 12; size++)
        for (int place = -60; place < 60; place++) {
            int reach = 2 * (size - 1), folds = (abs(place) + 1 + reach - 1) / reach, at = 0;
            int direction = place < 0 ? -1 : 1;
            for (int i = 0; i < abs(place); i++) {
                if (at + direction < 0 || at + direction >= size) direction = -direction;
                at += direction;
            }
            cr_expect_eq(augment_fold(place, size - 1, folds), at, "%d of %d", place, size);
        }
}
