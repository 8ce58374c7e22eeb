/* Compares augmented batches with a plain form of the definition at struct augment_params: pad, flip, cut, cover. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "backend/augment.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

enum { SAMPLES = 23, BATCH = 9, C = 3, H = 9, W = 7, PLANE = H * W, PIXELS = C * PLANE };

struct images {
    uint8_t pixels[SAMPLES * PIXELS];
    uint16_t labels[SAMPLES];
    float offset[PIXELS], scale[C];
    int32_t order[SAMPLES];
};

static struct dataset_view make_images(struct images *images)
{
    struct rng rng = rng_create(42, RNG_STREAM_SYNTHETIC, 0);
    for (int i = 0; i < SAMPLES * PIXELS; i++) images->pixels[i] = (uint8_t)(rng_next(&rng) >> 24);
    for (int i = 0; i < SAMPLES; i++) images->labels[i] = (uint16_t)(rng_next(&rng) >> 16);
    for (int i = 0; i < PIXELS; i++) images->offset[i] = (float)(rng_next(&rng) >> 20) / 16;
    for (int c = 0; c < C; c++) images->scale[c] = 0.25f * (float)(c + 1);
    rng_permutation(&rng, images->order, SAMPLES);
    return (struct dataset_view){SAMPLES,       C,    H,    W, images->pixels, images->labels, images->offset,
                                 images->scale, NULL, false};
}

/* Returns floor(word * n / 2^32) without a 64-bit product. */
static int64_t below(uint32_t word, int64_t n)
{
    return (int64_t)((double)word * (double)n / 0x1p32);
}

/* Finds a place in an image with mirrored edges by walking there and turning around at each end. */
static int64_t walk(int64_t place, int64_t size)
{
    int64_t at = 0, step = place < 0 ? -1 : 1;
    for (int64_t i = 0; i < (place < 0 ? -place : place); i++) {
        if (at + step < 0 || at + step >= size) step = -step;
        at += step;
    }
    return at;
}

/* Computes the pixels of one sample that the network must get, in the order of the file. */
static void expected_image(const struct images *images, struct augment_params params, uint32_t step, int64_t sample,
                           double *image)
{
    struct philox_words a = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * (uint64_t)sample);
    struct philox_words b = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * (uint64_t)sample + 1);
    bool flipped = params.flip && a.word[0] >= 0x80000000u;
    if (params.flip && params.flip_epoch > 0) {
        bool first = philox_draw(params.seed, RNG_STREAM_AUGMENT, 0xffffffffu, 2 * (uint64_t)sample).word[0] >> 31;
        flipped = step / params.flip_epoch % 2 == 0 ? first : !first;
    }
    int64_t down = below(a.word[1], 2 * params.crop + 1) - params.crop;
    int64_t right = below(a.word[2], 2 * params.crop + 1) - params.crop;
    int64_t top = below(b.word[0], H) - params.cutout / 2, left = below(b.word[1], W) - params.cutout / 2;
    for (int64_t c = 0; c < C; c++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t w = 0; w < W; w++) {
                int64_t from = (c * H + walk(h + down, H)) * W + walk((flipped ? W - 1 - w : w) + right, W);
                double pixel = images->pixels[sample * PIXELS + from];
                bool hole = h >= top && h < top + params.cutout && w >= left && w < left + params.cutout;
                *image++ = hole ? 0 : (pixel - (double)images->offset[from]) * (double)images->scale[c];
            }
}

/* Checks a batch. All numbers are exact but for the rounding to bf16. */
static void expect_batch(struct backend *backend, const struct variant *variant, const struct images *images,
                         struct device_dataset *dataset, struct augment_params params, struct step_state state,
                         struct shape shape)
{
    struct tensor x = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    support_poison(backend, variant->host_memory, &x);
    int32_t *labels = backend->table->alloc(backend, BATCH * sizeof(int32_t));
    support_gather(backend, dataset, &params, state, &x, labels);
    double *values = support_read(backend, &x), expected[PIXELS];
    for (int64_t n = 0; n < BATCH; n++) {
        int32_t sample = images->order[state.batch_first + n];
        if (variant->host_memory) cr_expect_eq(labels[n], images->labels[sample]);
        expected_image(images, params, (uint32_t)state.step, sample, expected);
        support_round(variant, expected, PIXELS);
        for (int64_t i = 0; i < PIXELS; i++)
            cr_assert_eq(values[n * PIXELS + i], expected[i], "%s: step %d, sample %d, pixel %d: %g, expected %g",
                         variant->name, (int)state.step, (int)n, (int)i, values[n * PIXELS + i], expected[i]);
    }
    if (variant->host_memory) cr_expect(support_padding_is_zero(backend, &x), "%s: padding", variant->name);
    free(values), backend->table->free(backend, labels), tensor_free(backend, &x);
}

static void check_variant(const struct variant *variant, int threads)
{
    static const struct augment_params cases[] = {{.seed = 42},
                                                  {.flip = true, .seed = 42},
                                                  {.flip = true, .flip_epoch = 977, .seed = 42},
                                                  {.flip = true, .flip_epoch = 500, .crop = 2, .seed = 42},
                                                  {.crop = 3, .seed = 42},
                                                  {.cutout = 4, .seed = 42},
                                                  {.flip = true, .crop = 6, .cutout = 5, .seed = 0x123456789abcdef}};
    static const struct shape shapes[] = {{BATCH, C, H, W}, {BATCH, PIXELS, 1, 1}};
    static struct images images;
    struct dataset_view view = make_images(&images);
    struct backend *backend = variant_create(variant, threads);
    if (!backend) return;
    struct device_dataset *dataset = backend->table->dataset_upload(backend, &view);
    backend->table->dataset_set_order(backend, dataset, images.order);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        for (int s = 0; s < 2; s++)
            for (uint64_t step = 0; step < 3; step++)
                expect_batch(backend, variant, &images, dataset, cases[k],
                             (struct step_state){.step = step * 977, .batch_first = (int64_t)step * 7}, shapes[s]);
    backend->table->dataset_free(backend, dataset);
    backend_destroy(backend);
}

Test(augment, every_backend_shows_what_the_definition_says)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int i = 0; i < count; i++) check_variant(&variants[i], 1 + i % 3);
}

Test(augment, mirror_repeats_no_edge_pixel)
{
    static const int places[] = {-4, -3, -2, -1, 0, 1, 4, 5, 6, 7, 8}, expected[] = {4, 3, 2, 1, 0, 1, 4, 3, 2, 1, 0};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        cr_expect_eq(augment_reflect(places[i], 5), expected[i], "%d: %d", places[i], augment_reflect(places[i], 5));
}

/* Two epochs in a row show a sample both ways, and half of the samples are mirrored in each. */
Test(augment, alternating_flips)
{
    enum { COUNT = 10000, STEPS = 7 };
    const struct augment_params params = {.flip = true, .flip_epoch = STEPS, .seed = 7};
    int flips = 0;
    for (int sample = 0; sample < COUNT; sample++) {
        bool first = augment_draw(params, 0, sample, H, W).flipped;
        for (int step = 0; step < 4 * STEPS; step++)
            cr_assert_eq(augment_draw(params, (uint32_t)step, sample, H, W).flipped, first ^ (step / STEPS % 2 == 1));
        flips += first;
    }
    cr_expect(abs(flips - COUNT / 2) < 5 * 50, "%d flips", flips);
}

/* Over many draws all moves are equally frequent. The bounds are five standard deviations. */
Test(augment, moves_are_uniform)
{
    enum { DRAWS = 40000, CROP = 2, MOVES = 2 * CROP + 1 };
    int flips = 0, down[MOVES] = {0}, right[MOVES] = {0}, together[MOVES][MOVES] = {{0}}, top[H] = {0};
    struct augment_params params = {.flip = true, .crop = CROP, .cutout = 2, .seed = 7};
    for (int i = 0; i < DRAWS; i++) {
        struct augment_move move = augment_draw(params, (uint32_t)(i / 200), i % 200, H, W);
        flips += move.flipped;
        down[move.down + CROP]++, right[move.right + CROP]++, together[move.down + CROP][move.right + CROP]++;
        top[move.hole_top + 1]++;
    }
    cr_expect(abs(flips - DRAWS / 2) < 5 * 100, "%d flips", flips);
    for (int i = 0; i < MOVES; i++) {
        cr_expect(abs(down[i] - DRAWS / MOVES) < 5 * 80, "down %d: %d", i - CROP, down[i]);
        cr_expect(abs(right[i] - DRAWS / MOVES) < 5 * 80, "right %d: %d", i - CROP, right[i]);
        for (int k = 0; k < MOVES; k++)
            cr_expect(abs(together[i][k] - DRAWS / MOVES / MOVES) < 5 * 40, "%d, %d: %d", i, k, together[i][k]);
    }
    for (int i = 0; i < H; i++) cr_expect(abs(top[i] - DRAWS / H) < 5 * 63, "top %d: %d", i - 1, top[i]);
}
