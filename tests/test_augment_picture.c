/* Compares images that are changed as whole images with a plain form, in double precision, of the definition at struct
 * augment_params, and one backend with another. Images are normalised so that a pixel p is seen as p + 1 and a hole as
 * 0, unless a test says otherwise. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/augment_picture.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

enum { SAMPLES = 17, BATCH = 6 };

struct images {
    int64_t c, h, w;
    uint8_t *pixels;
    uint16_t labels[SAMPLES];
    float *offset, *scale;
    int32_t order[SAMPLES], rows[SAMPLES]; /* sample i is image rows[i] of pixels */
};

static int64_t pixels_of(const struct images *images)
{
    return images->c * images->h * images->w;
}

/* Soft images with noise, so that neighbours are alike as in photographs, and no two images are. */
static struct images make_images(int64_t c, int64_t h, int64_t w)
{
    struct images images = {.c = c, .h = h, .w = w};
    struct rng rng = rng_create(4, RNG_STREAM_SYNTHETIC, 0);
    int64_t count = pixels_of(&images);
    images.pixels = memory_alloc((size_t)(SAMPLES * count), 1);
    images.offset = memory_alloc((size_t)count, sizeof(float)), images.scale = memory_alloc((size_t)c, sizeof(float));
    for (int64_t i = 0; i < SAMPLES * count; i++) {
        double wave = 100 + 70 * sin((double)i / 3) + 60 * cos((double)(i / w) / 2);
        images.pixels[i] = (uint8_t)fmax(0, fmin(255, wave + (double)(rng_next(&rng) >> 26)));
    }
    for (int64_t i = 0; i < count; i++) images.offset[i] = -1;
    for (int64_t i = 0; i < c; i++) images.scale[i] = 1;
    for (int i = 0; i < SAMPLES; i++) images.labels[i] = (uint16_t)(i % 5);
    rng_permutation(&rng, images.order, SAMPLES);
    rng_permutation(&rng, images.rows, SAMPLES);
    return images;
}

static void free_images(struct images *images)
{
    free(images->pixels), free(images->offset), free(images->scale);
}

/* --- the plain form --- */

/* A number from low to high, as evenly spread as the word. */
static double spread(uint32_t word, double low, double high)
{
    return low + (high - low) * word / 0x1p32;
}

struct rectangle {
    double top, left, height, width;
};

/* One try of a rectangle with an area between two shares and a ratio of width to height between two. */
static struct rectangle try_rectangle(struct philox_words words, double least, double most, double narrowest,
                                      double widest, double height, double width)
{
    double area = height * width * spread(words.word[0], least, most);
    double ratio = exp(spread(words.word[1], log(narrowest), log(widest)));
    struct rectangle r = {0, 0, floor(sqrt(area / ratio) + 0.5), floor(sqrt(area * ratio) + 0.5)};
    r.top = floor(words.word[2] * (height - r.height + 1) / 0x1p32);
    r.left = floor(words.word[3] * (width - r.width + 1) / 0x1p32);
    return r;
}

static struct rectangle plain_window(struct augment_params params, uint32_t step, int64_t sample, double height,
                                     double width)
{
    struct rectangle r = {0, 0, height, width};
    if (params.resized_crop == 0) return r;
    for (uint64_t i = 2; i < 12; i++) {
        struct philox_words u = philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, 16 * (uint64_t)sample + i);
        r = try_rectangle(u, (double)params.resized_crop / 0x1p32, 1, 3.0 / 4, 4.0 / 3, height, width);
        if (0 < r.height && r.height <= height && 0 < r.width && r.width <= width) return r;
    }
    r.height = width / height < 3.0 / 4 ? floor(width * 4 / 3 + 0.5) : height;
    r.width = width / height > 4.0 / 3 ? floor(height * 4 / 3 + 0.5) : width;
    r.top = floor((height - r.height) / 2), r.left = floor((width - r.width) / 2);
    return r;
}

static struct rectangle plain_erased(struct augment_params params, uint32_t step, int64_t sample, double height,
                                     double width)
{
    struct rectangle none = {0, 0, 0, 0};
    uint64_t first = 16 * (uint64_t)sample;
    if (philox_draw(params.seed, RNG_STREAM_AUGMENT_ERASE, step, first).word[0] >= params.erase) return none;
    for (uint64_t i = 1; i < 11; i++) {
        struct philox_words u = philox_draw(params.seed, RNG_STREAM_AUGMENT_ERASE, step, first + i);
        struct rectangle r = try_rectangle(u, 0.02, 0.33, 1 / 3.3, 1 / 0.3, height, width);
        if (r.height < height && r.width < width) return r;
    }
    return none;
}

/* Finds a place in an image with mirrored edges by walking there and turning around at each end. */
static int64_t walk(int64_t place, int64_t size)
{
    int64_t at = 0, direction = place < 0 ? -1 : 1;
    if (size == 1) return 0;
    for (int64_t i = 0; i < llabs(place); i++) {
        if (at + direction < 0 || at + direction >= size) direction = -direction;
        at += direction;
    }
    return at;
}

static double bilinear(const struct images *images, const uint8_t *plane, double row, double column)
{
    int64_t r = (int64_t)floor(row), s = (int64_t)floor(column);
    double down = row - floor(row), right = column - floor(column), sum = 0;
    for (int k = 0; k < 4; k++) {
        double weight = (k / 2 ? down : 1 - down) * (k % 2 ? right : 1 - right);
        sum += weight * plane[walk(r + k / 2, images->h) * images->w + walk(s + k % 2, images->w)];
    }
    return floor(sum + 0.5);
}

static double limited(double value)
{
    return fmax(0, fmin(255, floor(value + 0.5)));
}

static double grey_at(const struct images *images, const double *image, int64_t place)
{
    int64_t plane = images->h * images->w;
    return floor(0.299 * image[place] + 0.587 * image[plane + place] + 0.114 * image[2 * plane + place] + 0.5);
}

static void plain_geometry(const struct images *images, struct augment_params params, uint32_t step, int64_t sample,
                           double *image)
{
    const double pi = 3.14159265358979324, height = (double)images->h, width = (double)images->w;
    uint64_t i = (uint64_t)sample;
    struct philox_words a = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * i);
    struct philox_words p = philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, 16 * i);
    double crop = (double)params.crop, reach = (double)params.rotate / 0x1p32, change = (double)params.scale / 0x1p16;
    double down = floor(a.word[1] * (2 * crop + 1) / 0x1p32) - crop;
    double right = floor(a.word[2] * (2 * crop + 1) / 0x1p32) - crop;
    double angle = 2 * pi * spread(p.word[1], -reach, reach), zoom = spread(p.word[2], 1 - change, 1 + change);
    struct rectangle window = plain_window(params, step, sample, height, width);
    for (int64_t c = 0; c < images->c; c++)
        for (int64_t h = 0; h < images->h; h++)
            for (int64_t w = 0; w < images->w; w++) {
                double y = (double)h - (height - 1) / 2, x = (double)w - (width - 1) / 2;
                if (params.vertical_flip && p.word[0] >= 0x80000000u) y = -y;
                if (params.flip && a.word[0] >= 0x80000000u) x = -x;
                double turned_y = (cos(angle) * y - sin(angle) * x) / zoom + down;
                double turned_x = (sin(angle) * y + cos(angle) * x) / zoom + right;
                double row = window.top + (window.height - 1) / 2 + window.height / height * turned_y;
                double column = window.left + (window.width - 1) / 2 + window.width / width * turned_x;
                const uint8_t *plane = images->pixels + (images->rows[sample] * images->c + c) * images->h * images->w;
                *image++ = bilinear(images, plane, row, column);
            }
}

static void plain_colour(const struct images *images, struct augment_params params, uint32_t step, int64_t sample,
                         double *image)
{
    struct philox_words q = philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, 16 * (uint64_t)sample + 1);
    double changes[3] = {(double)params.brightness, (double)params.contrast, (double)params.saturation}, factor[3];
    for (int k = 0; k < 3; k++) factor[k] = spread(q.word[k], 1 - changes[k] / 0x1p16, 1 + changes[k] / 0x1p16);
    int64_t plane = images->h * images->w, count = pixels_of(images);
    double mean = 0;
    for (int64_t i = 0; i < count; i++) image[i] = limited(image[i] * factor[0]);
    for (int64_t i = 0; images->c == 3 && i < plane; i++) mean += grey_at(images, image, i) / (double)plane;
    for (int64_t i = 0; images->c != 3 && i < count; i++) mean += image[i] / (double)count;
    for (int64_t i = 0; i < count; i++) image[i] = limited(image[i] * factor[1] + mean * (1 - factor[1]));
    for (int64_t i = 0; params.saturation > 0 && i < plane; i++) {
        double grey = grey_at(images, image, i);
        for (int64_t c = 0; c < 3; c++)
            image[c * plane + i] = limited(image[c * plane + i] * factor[2] + grey * (1 - factor[2]));
    }
}

static bool lies_in(struct rectangle r, double h, double w)
{
    return h >= r.top && h < r.top + r.height && w >= r.left && w < r.left + r.width;
}

/* The hole of cutout. */
static struct rectangle plain_cutout(struct augment_params params, uint32_t step, int64_t sample, double height,
                                     double width)
{
    struct philox_words b = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * (uint64_t)sample + 1);
    double side = (double)params.cutout;
    return (struct rectangle){floor(b.word[0] * height / 0x1p32) - floor(side / 2),
                              floor(b.word[1] * width / 0x1p32) - floor(side / 2), side, side};
}

/* The values that the network must see of a sample. */
static void plain_image(const struct images *images, struct augment_params params, uint32_t step, int64_t sample,
                        double *image)
{
    plain_geometry(images, params, step, sample, image);
    plain_colour(images, params, step, sample, image);
    struct rectangle cutout = plain_cutout(params, step, sample, (double)images->h, (double)images->w);
    struct rectangle erased = plain_erased(params, step, sample, (double)images->h, (double)images->w);
    for (int64_t i = 0; i < pixels_of(images); i++) {
        double h = (double)(i / images->w % images->h), w = (double)(i % images->w);
        bool hole = lies_in(cutout, h, w) || lies_in(erased, h, w);
        image[i] =
            hole ? 0 : (image[i] - (double)images->offset[i]) * (double)images->scale[i / (images->h * images->w)];
    }
}

/* --- gathered batches --- */

struct bench {
    struct backend *backend;
    const struct variant *variant;
    struct device_dataset *dataset;
    const struct images *images;
};

static bool open_bench(struct bench *bench, const struct variant *variant, int threads, const struct images *images)
{
    struct dataset_view view = {SAMPLES,        images->c,      images->h,     images->w,    images->pixels,
                                images->labels, images->offset, images->scale, images->rows, false};
    *bench = (struct bench){variant_create(variant, threads), variant, NULL, images};
    if (!bench->backend) return false;
    bench->dataset = bench->backend->table->dataset_upload(bench->backend, &view);
    bench->backend->table->dataset_set_order(bench->backend, bench->dataset, images->order);
    return true;
}

static void close_bench(struct bench *bench)
{
    bench->backend->table->dataset_free(bench->backend, bench->dataset);
    backend_destroy(bench->backend);
}

/* The values of a batch of BATCH samples, in the order of the file, in a new array. */
static double *gathered(struct bench *bench, struct augment_params params, struct step_state state, bool vectors)
{
    const struct images *images = bench->images;
    struct backend *backend = bench->backend;
    struct shape shape = {BATCH, images->c, images->h, images->w};
    if (vectors) shape = (struct shape){BATCH, pixels_of(images), 1, 1};
    struct tensor x = tensor_alloc(backend, TENSOR_ACTIVATION, shape);
    support_poison(backend, bench->variant->host_memory, &x);
    int32_t *labels = backend->table->alloc(backend, BATCH * sizeof(int32_t));
    support_gather(backend, bench->dataset, &params, state, &x, labels);
    double *values = support_read(backend, &x);
    for (int n = 0; bench->variant->host_memory && n < BATCH; n++)
        cr_expect_eq(labels[n], images->labels[images->order[state.batch_first + n]]);
    bool checked = bench->variant->host_memory && shape_count(shape) < 2000; /* it sorts the values */
    cr_expect(!checked || support_padding_is_zero(backend, &x), "%s: padding", bench->variant->name);
    backend->table->free(backend, labels), tensor_free(backend, &x);
    return values;
}

#define PART(share) ((int64_t)((share)*0x1p16))
#define SHARE(share) ((int64_t)((share)*0x1p32))
#define DEGREES(angle) ((int64_t)((angle) / 360.0 * 0x1p32))

static const struct {
    struct augment_params params;
    int steps; /* roundings between the image and the plain one, each of which may differ by a level */
} cases[] = {
    {{.seed = 1, .vertical_flip = true, .flip = true, .crop = 1}, 0},
    {{.seed = 2, .rotate = DEGREES(25)}, 1},
    {{.seed = 3, .rotate = DEGREES(180), .flip = true}, 1},
    {{.seed = 4, .scale = PART(0.3)}, 1},
    {{.seed = 5, .scale = PART(0.9), .rotate = DEGREES(180)}, 1},
    {{.seed = 6, .resized_crop = SHARE(0.2)}, 1},
    {{.seed = 7, .resized_crop = SHARE(1)}, 1},
    {{.seed = 8, .brightness = PART(0.7)}, 1},
    {{.seed = 9, .contrast = PART(1)}, 1},
    {{.seed = 10, .saturation = PART(1)}, 1},
    {{.seed = 11, .erase = SHARE(0.6)}, 0},
    {{.seed = 12, .erase = SHARE(1), .cutout = 3}, 0},
    {{.seed = 0x123456789abcdef,
      .flip = true,
      .vertical_flip = true,
      .crop = 1,
      .cutout = 2,
      .rotate = DEGREES(40),
      .scale = PART(0.4),
      .resized_crop = SHARE(0.3),
      .brightness = PART(0.4),
      .contrast = PART(0.4),
      .saturation = PART(0.4),
      .erase = SHARE(0.3)},
     5},
};

static const struct {
    int64_t c, h, w;
} sizes[] = {{3, 9, 7}, {1, 12, 12}, {3, 33, 70}, {5, 8, 6}, {1, 1, 11}, {3, 13, 1}, {1, 2, 40}, {17, 5, 5}, {1, 1, 1}};

enum { CASES = sizeof cases / sizeof *cases, SIZES = sizeof sizes / sizeof *sizes };

/* What a case asks for as far as images of this size have it. */
static struct augment_params fitting(struct augment_params params, const struct images *images)
{
    if (images->c != 3) params.saturation = 0;
    if (params.crop >= images->h || params.crop >= images->w) params.crop = 0;
    return params;
}

static void expect_plain(struct bench *bench, int k, struct step_state state)
{
    const struct images *images = bench->images;
    struct augment_params params = fitting(cases[k].params, images);
    int64_t count = pixels_of(images), differences = 0;
    double *values = gathered(bench, params, state, false), *image = memory_alloc((size_t)count, sizeof *image);
    for (int64_t n = 0; n < BATCH; n++) {
        plain_image(images, params, (uint32_t)state.step, images->order[state.batch_first + n], image);
        for (int64_t i = 0; i < count; i++) {
            double difference = fabs(values[n * count + i] - image[i]);
            differences += difference > 0;
            cr_assert(difference <= cases[k].steps && (image[i] == 0) == (values[n * count + i] == 0),
                      "case %d, %dx%dx%d, step %d, sample %d, pixel %d: %g, expected %g", k, (int)images->c,
                      (int)images->h, (int)images->w, (int)state.step, (int)n, (int)i, values[n * count + i], image[i]);
        }
    }
    cr_expect(differences * 20 <= BATCH * count + 400, "case %d: %d of %d differ", k, (int)differences,
              (int)(BATCH * count));
    free(values), free(image);
}

Test(augment_picture, is_what_the_definition_says)
{
    int count;
    struct bench bench;
    for (int i = 0; i < SIZES; i++) {
        struct images images = make_images(sizes[i].c, sizes[i].h, sizes[i].w);
        cr_assert(open_bench(&bench, &variant_list(&count)[0], 1, &images));
        for (int k = 0; k < CASES; k++)
            for (int64_t step = 0; step < 4; step++)
                expect_plain(&bench, k, (struct step_state){.step = (uint64_t)step * 977, .batch_first = step * 3});
        close_bench(&bench), free_images(&images);
    }
}

/* Expects of a variant the bits of the first. */
static void compare_variant(const struct images *images, const struct variant *variant, int threads)
{
    int count;
    struct bench first, other;
    struct step_state state = {.step = 12345, .batch_first = 7};
    if (!open_bench(&other, variant, threads, images)) return;
    cr_assert(open_bench(&first, &variant_list(&count)[0], 1, images));
    size_t bytes = (size_t)(BATCH * pixels_of(images)) * sizeof(double);
    for (int k = 0; k < 2 * CASES; k++) {
        struct augment_params params = fitting(cases[k / 2].params, images);
        double *a = gathered(&first, params, state, false), *b = gathered(&other, params, state, k % 2);
        cr_expect_eq(memcmp(a, b, bytes), 0, "%s, %d threads: case %d, %dx%dx%d", variant->name, threads, k / 2,
                     (int)images->c, (int)images->h, (int)images->w);
        free(a), free(b);
    }
    close_bench(&first), close_bench(&other);
}

Test(augment_picture, every_backend_gives_the_same_bits)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int i = 0; i < SIZES; i++) {
        struct images images = make_images(sizes[i].c, sizes[i].h, sizes[i].w);
        for (int v = 0; v < count; v++) compare_variant(&images, &variants[v], 1 + v % 3);
        free_images(&images);
    }
}

/* A mean image is subtracted where a pixel is seen, after all changes. */
Test(augment_picture, pixels_are_normalised_where_they_are_seen)
{
    int count;
    struct bench bench;
    struct images images = make_images(3, 9, 7);
    for (int64_t i = 0; i < pixels_of(&images); i++) images.offset[i] = (float)(i * 37 % 101);
    for (int c = 0; c < 3; c++) images.scale[c] = 0.25f * (float)(c + 1);
    double image[3 * 9 * 7];
    struct augment_params params = {.seed = 5, .flip = true, .crop = 2, .vertical_flip = true, .erase = SHARE(0.5)};
    struct step_state state = {.step = 3, .batch_first = 1};
    for (int v = 0; v < 6; v++) {
        if (!open_bench(&bench, &variant_list(&count)[v], 2, &images)) continue;
        double *values = gathered(&bench, params, state, v % 2);
        for (int64_t n = 0; n < BATCH; n++) {
            plain_image(&images, params, 3, images.order[1 + n], image);
            cr_expect_eq(memcmp(values + n * pixels_of(&images), image, sizeof image), 0, "sample %d", (int)n);
        }
        free(values), close_bench(&bench);
    }
    free_images(&images);
}

/* Where nothing but flip, crop and cutout draws anything, the images are those of the direct path. */
Test(augment_picture, whole_moves_are_those_of_the_direct_path)
{
    int count;
    struct bench bench;
    struct images images = make_images(3, 14, 11);
    struct augment_params params = {.seed = 5, .flip = true, .crop = 7, .cutout = 5};
    cr_assert(open_bench(&bench, &variant_list(&count)[3], 2, &images));
    for (int64_t step = 0; step < 5; step++) {
        struct step_state state = {.step = (uint64_t)step, .batch_first = step};
        params.erase = 0;
        double *direct = gathered(&bench, params, state, false);
        params.erase = 1; /* once in 2^32 images */
        double *staged = gathered(&bench, params, state, false);
        cr_expect_eq(memcmp(direct, staged, (size_t)(BATCH * pixels_of(&images)) * sizeof *direct), 0);
        free(direct), free(staged);
    }
    close_bench(&bench), free_images(&images);
}
