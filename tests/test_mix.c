/* Tests mixup and cutmix: their draws, the images of a batch, and the loss of two labels. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/prepared.h"
#include "data/mix.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

/* --- draws --- */

/* Beta(a,a) has the mean 1/2 and the variance 1 / (4 (2a + 1)). The bounds are five standard deviations of the mean, and
 * for the variance generous. */
Test(mix, shares_have_the_moments_of_beta)
{
    enum { DRAWS = 20000 };
    static const double shapes[] = {0.05, 0.2, 0.5, 1, 1.5, 8};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct rng rng = rng_create(9, RNG_STREAM_AUGMENT_MIX, (uint32_t)i);
        double sum = 0, squares = 0, variance = 1 / (4 * (2 * shapes[i] + 1));
        for (int k = 0; k < DRAWS; k++) {
            double x = rng_beta(&rng, shapes[i]);
            cr_assert(x >= 0 && x <= 1);
            sum += x - 0.5, squares += (x - 0.5) * (x - 0.5);
        }
        cr_expect(fabs(sum / DRAWS) < 5 * sqrt(variance / DRAWS), "a = %g: mean %g", shapes[i], sum / DRAWS + 0.5);
        cr_expect(fabs(squares / DRAWS / variance - 1) < 0.05, "a = %g: variance %g", shapes[i], squares / DRAWS);
    }
}

/* Beta(1,1) is uniform, and so is a quarter of it in every quarter. */
Test(mix, a_share_of_beta_1_is_uniform)
{
    int quarters[4] = {0};
    for (uint64_t step = 0; step < 20000; step++) {
        struct batch_mix mix = mix_draw(&(struct augment_params){.seed = 1, .mixup = 1}, step, 8, 8);
        cr_assert(mix.kind == MIX_BLEND && mix.second >= 0 && mix.second <= 65536);
        quarters[mix.second == 65536 ? 3 : mix.second / 16384]++;
    }
    for (int i = 0; i < 4; i++) cr_expect(abs(quarters[i] - 5000) < 5 * 62, "quarter %d: %d", i, quarters[i]);
}

Test(mix, a_box_lies_in_the_image_and_gives_the_share)
{
    enum { HIGH = 240, WIDE = 400, DRAWS = 20000 };
    double whole = 0;
    for (uint64_t step = 0; step < DRAWS; step++) {
        struct batch_mix mix = mix_draw(&(struct augment_params){.seed = 2, .cutmix = 1}, step, HIGH, WIDE);
        cr_assert(mix.kind == MIX_BOX && mix.top >= 0 && mix.left >= 0 && mix.height >= 0 && mix.width >= 0);
        cr_assert(mix.top + mix.height <= HIGH && mix.left + mix.width <= WIDE);
        cr_assert_eq(mix.second, (int)floor(mix.height * mix.width / (double)(HIGH * WIDE) * 65536 + 0.5));
        whole += mix.height * mix.width / (double)(HIGH * WIDE);
    }
    /* A box of share x keeps (1 - sqrt(x)/4)^2 of itself on average; over uniform x that is 1/2 - 1/5 + 1/48. */
    cr_expect(fabs(whole / DRAWS - (0.5 - 0.2 + 1.0 / 48)) < 0.01, "mean share %g", whole / DRAWS);
}

Test(mix, both_take_turns_and_none_draws_nothing)
{
    int boxes = 0, steps = 10000;
    for (int step = 0; step < steps; step++) {
        struct batch_mix mix = mix_draw(&(struct augment_params){.mixup = 0.2, .cutmix = 1}, (uint64_t)step, 32, 32);
        boxes += mix.kind == MIX_BOX;
        cr_assert_neq(mix.kind, MIX_NONE);
    }
    cr_expect(abs(boxes - steps / 2) < 5 * 50, "%d boxes", boxes);
    struct batch_mix none = mix_draw(&(struct augment_params){.rotate = 5}, 3, 32, 32);
    cr_expect(none.kind == MIX_NONE && none.second == 0);
}

/* --- images --- */

enum { SAMPLES = 11, BATCH = 5, C = 3, H = 6, W = 9, PLANE = H * W, PIXELS = C * PLANE };

struct images {
    uint8_t pixels[SAMPLES * PIXELS];
    uint16_t labels[SAMPLES];
    float offset[PIXELS], scale[C];
};

/* A pixel p is seen as p + 1, a hole as 0. */
static struct dataset_view make_images(struct images *images)
{
    struct rng rng = rng_create(3, RNG_STREAM_SYNTHETIC, 0);
    for (int i = 0; i < SAMPLES * PIXELS; i++) images->pixels[i] = (uint8_t)(rng_next(&rng) >> 24);
    for (int i = 0; i < SAMPLES; i++) images->labels[i] = (uint16_t)i;
    for (int i = 0; i < PIXELS; i++) images->offset[i] = -1;
    for (int c = 0; c < C; c++) images->scale[c] = 1;
    return (struct dataset_view){SAMPLES,       C,           H, W, images->pixels, images->labels, images->offset,
                                 images->scale, .rows = NULL};
}

static double *gathered(struct backend *backend, struct device_dataset *dataset, struct augment_params params,
                        struct step_state state, bool vectors)
{
    struct shape shape = {BATCH, C, H, W};
    if (vectors) shape = (struct shape){BATCH, PIXELS, 1, 1};
    struct tensor x = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    int32_t *labels = backend->table->alloc(backend, BATCH * sizeof(int32_t));
    support_gather(backend, dataset, &params, state, &x, labels);
    double *values = support_read(backend, &x);
    backend->table->free(backend, labels), tensor_free(backend, &x);
    return values;
}

/* The value that sample n must have, by the values of the batch without mixing. Its own holes stay. */
static double mixed_value(const double *plain, struct batch_mix mix, int n, int i)
{
    double own = plain[n * PIXELS + i] - 1, other = plain[(n + 1) % BATCH * PIXELS + i] - 1, m = mix.second / 65536.0;
    int h = i % PLANE / W, w = i % W;
    bool inside = h >= mix.top && h < mix.top + mix.height && w >= mix.left && w < mix.left + mix.width;
    if (mix.kind == MIX_BOX) return 1 + (inside ? other : own);
    return mix.kind == MIX_BLEND ? 1 + floor((1 - m) * own + m * other + 0.5) : 1 + own;
}

static void check_images(const struct variant *variant, const struct dataset_view *view, struct batch_mix mix)
{
    struct augment_params plain = {.seed = 3, .flip = true, .rotate = 1 << 28, .brightness = 20000};
    struct augment_params mixing = plain, holes = plain;
    mixing.mixup = mixing.cutmix = 0.5;
    mixing.cutout = holes.cutout = 3;
    struct step_state state = {.step = 77, .batch_first = 4, .mix = mix};
    struct backend *backend = variant_create(variant, 2);
    if (!backend) return;
    struct device_dataset *dataset = backend->table->dataset_upload(backend, view);
    double *without = gathered(backend, dataset, plain, state, false); /* the state's mix is not asked for */
    double *with_holes = gathered(backend, dataset, holes, state, false);
    for (int form = 0; form < 2; form++) {
        double *values = gathered(backend, dataset, mixing, state, form == 1);
        for (int n = 0; n < BATCH; n++)
            for (int i = 0; i < PIXELS; i++) {
                double expected = with_holes[n * PIXELS + i] == 0 ? 0 : mixed_value(without, mix, n, i);
                cr_assert_eq(values[n * PIXELS + i], expected, "%s: kind %d, sample %d, pixel %d: %g, expected %g",
                             variant->name, (int)mix.kind, n, i, values[n * PIXELS + i], expected);
            }
        free(values);
    }
    free(without), free(with_holes);
    backend->table->dataset_free(backend, dataset);
    backend_destroy(backend);
}

Test(mix, every_backend_mixes_a_sample_with_the_next)
{
    static const struct batch_mix mixes[] = {
        {MIX_NONE, 0, 0, 0, 0, 0},      {MIX_BLEND, 13107, 0, 0, 0, 0}, {MIX_BLEND, 65536, 0, 0, 0, 0},
        {MIX_BLEND, 40000, 0, 0, 0, 0}, {MIX_BOX, 14564, 1, 3, 4, 3},   {MIX_BOX, 0, 2, 0, 0, 0},
        {MIX_BOX, 65536, 0, 0, H, W},
    };
    static struct images images;
    struct dataset_view view = make_images(&images);
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++)
        for (size_t k = 0; k < sizeof mixes / sizeof *mixes; k++) check_images(&variants[v], &view, mixes[k]);
}

/* --- the loss of two labels --- */

struct loss_case {
    int64_t n, d;
    double smoothing;
    bool weighted;
    int32_t second;
    double spread; /* of the logits */
};
static const struct loss_case losses[] = {
    {4, 3, 0, false, 20000, 2}, {1, 5, 0, false, 30000, 2},   {7, 10, 0.1, false, 50000, 3},
    {5, 17, 0, true, 32768, 2}, {33, 40, 0.2, true, 9000, 4}, {6, 100, 0, false, 65536, 30},
    {3, 10, 0.1, true, 0, 2},
};
enum { LOSSES = sizeof losses / sizeof *losses };

/* Logits, labels and weights of a case, and what the definition says. */
struct loss_reference {
    double *x, *dx, *labels, *weights;
    double loss;
    int64_t correct;
};

static int64_t partner(const struct loss_case *c, int64_t n)
{
    return (n + 1) % c->n;
}

/* Returns the mean loss of the batch, -sum_d w_d q_d log p_d over W, from the formula as it stands. */
static double plain_loss(const struct loss_case *c, const struct loss_reference *r, const double *x, double *dx)
{
    double m = c->second / 65536.0, loss = 0, total = 0;
    for (int64_t n = 0; n < c->n; n++)
        total += (1 - m) * r->weights[(int)r->labels[n]] + m * r->weights[(int)r->labels[partner(c, n)]];
    for (int64_t n = 0; n < c->n; n++) {
        const double *row = x + n * c->d;
        double sum = 0, largest = -INFINITY, all = 0;
        for (int64_t d = 0; d < c->d; d++) largest = fmax(largest, row[d]);
        for (int64_t d = 0; d < c->d; d++) sum += exp(row[d] - largest);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t d = 0; d < c->d; d++) {
                double q = (1 - m) * (d == (int)r->labels[n]) + m * (d == (int)r->labels[partner(c, n)]);
                double part = r->weights[d] * ((1 - c->smoothing) * q + c->smoothing / (double)c->d);
                if (pass == 0) all += part, loss -= part * (row[d] - largest - log(sum));
                if (pass == 1 && dx) dx[n * c->d + d] = (all * exp(row[d] - largest) / sum - part) / total;
            }
    }
    return loss / total;
}

static int64_t count_correct(const struct loss_case *c, const struct loss_reference *r)
{
    int64_t correct = 0;
    for (int64_t n = 0; n < c->n; n++) {
        int label = (int)r->labels[c->second > 32768 ? partner(c, n) : n], best = 0;
        for (int d = 1; d < c->d; d++)
            if (r->x[n * c->d + d] > r->x[n * c->d + best]) best = d;
        correct += best == label;
    }
    return correct;
}

static struct loss_reference make_loss(const struct loss_case *c, const struct variant *variant)
{
    struct rng rng = rng_create(11, RNG_STREAM_SYNTHETIC, (uint32_t)c->d);
    struct loss_reference r = {memory_alloc((size_t)(c->n * c->d), sizeof(double)),
                               memory_alloc((size_t)(c->n * c->d), sizeof(double)),
                               memory_alloc((size_t)c->n, sizeof(double)),
                               memory_alloc((size_t)c->d, sizeof(double)),
                               0,
                               0};
    support_fill(r.x, c->n * c->d, 5, RNG_STREAM_SYNTHETIC, 0, c->spread);
    support_round(variant, r.x, c->n * c->d);
    for (int64_t n = 0; n < c->n; n++) r.labels[n] = rng_below(&rng, (uint32_t)c->d);
    for (int64_t d = 0; d < c->d; d++) r.weights[d] = c->weighted ? (double)(d % 4) / 2 + 0.25 : 1;
    r.loss = plain_loss(c, &r, r.x, r.dx);
    r.correct = count_correct(c, &r);
    return r;
}

static void free_loss(struct loss_reference *r)
{
    free(r->x), free(r->dx), free(r->labels), free(r->weights);
}

/* The loss of a backend; `dx` (or NULL) gets the gradient in the boundary's order. */
static struct metrics backend_loss(struct backend *backend, const struct loss_case *c, const struct loss_reference *r,
                                   const double *x, double *dx)
{
    struct shape shape = {c->n, c->d, 1, 1};
    struct tensor logits = support_tensor(backend, TENSOR_ACTIVATION, shape, x);
    struct tensor gradient = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    struct tensor weights = support_tensor(backend, TENSOR_VECTOR, shape_vector(c->d), r->weights);
    struct tensor labels = {support_labels(backend, r->labels, c->n), {c->n, 1, 1, 1}, TENSOR_LABELS};
    struct tensor sums = tensor_alloc(backend, TENSOR_METRICS, shape_vector(3));
    struct op op = op_make(OP_SOFTMAX_CROSS_ENTROPY);
    op.loss = (struct loss_params){.smoothing = c->smoothing, .mixed = true};
    metrics_write(backend, &sums, (struct metrics){0});
    backend_run_op(backend, op, (struct run_input){.state.mix = {.kind = MIX_BLEND, .second = c->second}, .n = c->n},
                   OPERANDS([SOFTMAX_CROSS_ENTROPY_LOGITS] = &logits, [SOFTMAX_CROSS_ENTROPY_LABELS] = &labels,
                            [SOFTMAX_CROSS_ENTROPY_WEIGHTS] = c->weighted ? &weights : NULL,
                            [SOFTMAX_CROSS_ENTROPY_METRICS] = &sums, [SOFTMAX_CROSS_ENTROPY_DLOGITS] = &gradient));
    if (dx) backend->table->tensor_read(backend, &gradient, dx);
    struct metrics metrics = metrics_read(backend, &sums);
    tensor_free(backend, &labels), tensor_free(backend, &sums);
    tensor_free(backend, &logits), tensor_free(backend, &gradient), tensor_free(backend, &weights);
    return metrics;
}

static void check_loss(struct backend *backend, const struct variant *variant, const struct loss_case *c)
{
    struct loss_reference r = make_loss(c, variant);
    double *dx = memory_alloc((size_t)(c->n * c->d), sizeof *dx);
    struct metrics metrics = backend_loss(backend, c, &r, r.x, dx);
    double rounding = variant->precision == PRECISION_FP64 ? 1e-13 : 2e-6;
    /* bf16 rounds a gradient when it stores it; sums are in fp32 at least */
    double relative = variant->host_memory ? rounding : fmax(rounding, 2 * variant->roundoff);
    char message[200];
    cr_expect(fabs(metrics.loss / (double)c->n - r.loss) <= rounding * (1 + r.loss) * 4,
              "%s, %dx%d: %.9g, expected %.9g", variant->name, (int)c->n, (int)c->d, metrics.loss / (double)c->n,
              r.loss);
    cr_expect(support_close(dx, r.dx, c->n * c->d, 4 * relative / (double)c->n, relative, message, sizeof message),
              "%s, %dx%d: %s", variant->name, (int)c->n, (int)c->d, message);
    cr_expect_eq(metrics.correct, r.correct, "%s: %d correct, expected %d", variant->name, (int)metrics.correct,
                 (int)r.correct);
    cr_expect_eq(metrics.count, c->n);
    free(dx), free_loss(&r);
}

Test(mix, every_backend_computes_the_loss_of_two_labels)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++) {
        struct backend *backend = variant_create(&variants[v], 1 + v % 2);
        if (!backend) continue;
        for (int k = 0; k < LOSSES; k++) check_loss(backend, &variants[v], &losses[k]);
        backend_destroy(backend);
    }
}

/* Central differences of the backend's own loss; their error is about 1e-9. */
Test(mix, the_gradient_is_that_of_the_loss)
{
    int count;
    const double step = 1e-5;
    struct backend *backend = variant_create(&variant_list(&count)[0], 1);
    for (int k = 0; k < 4; k++) {
        const struct loss_case *c = &losses[k];
        struct loss_reference r = make_loss(c, &variant_list(&count)[0]);
        double *dx = memory_alloc((size_t)(c->n * c->d), sizeof *dx);
        backend_loss(backend, c, &r, r.x, dx);
        for (int64_t i = 0; i < c->n * c->d; i++) {
            double before = r.x[i], sides[2];
            for (int side = 0; side < 2; side++) {
                r.x[i] = before + (side == 0 ? -step : step);
                sides[side] = backend_loss(backend, c, &r, r.x, NULL).loss / (double)c->n;
            }
            r.x[i] = before;
            double slope = (sides[1] - sides[0]) / (2 * step);
            cr_expect(fabs(slope - dx[i]) < 1e-8, "case %d, %d: %g, by differences %g", k, (int)i, dx[i], slope);
        }
        free(dx), free_loss(&r);
    }
    backend_destroy(backend);
}

/* With no share of the second label its output does not count, even where it is infinite. */
Test(mix, a_label_without_a_share_is_not_read)
{
    int count;
    struct backend *backend = variant_create(&variant_list(&count)[0], 1);
    struct loss_case c = {2, 3, 0, false, 0, 1};
    struct loss_reference r = make_loss(&c, &variant_list(&count)[0]);
    const double x[] = {1, -INFINITY, 2, 0, 1, 2};
    double dx[6];
    r.labels[0] = 0, r.labels[1] = 1;
    struct metrics metrics = backend_loss(backend, &c, &r, x, dx);
    cr_expect(isfinite(metrics.loss) && dx[1] == 0, "%g, %g", metrics.loss, dx[1]);
    free_loss(&r);
    backend_destroy(backend);
}
