/* Changes the images of a training batch in a buffer of bytes: geometry, colour, mixing. The formulas stand at struct
 * augment_params; augment_picture.h has them as code. Here they run over rows of pixels. This file is compiled once per
 * variant (cpu_variant.h). */
#include "backend/cpu/cpu_augment.h"

#include <string.h>

#include "backend/augment_picture.h"

enum { PIECE = 64, HOLES = AUGMENT_HOLES }; /* pixels of a row that are found at a time */

struct stage_task {
    const struct cpu_stage *stage;
    uint8_t *staged;           /* (N,C,H,W) */
    struct augment_box *holes; /* [N][HOLES] */
    uint32_t step;
};

/* The neighbours of the places in the source that a piece of a row sees, and the weights of the later ones. */
struct taps {
    int above[PIECE], below[PIECE]; /* first pixels of the rows */
    int before[PIECE], after[PIECE];
    unsigned down[PIECE], right[PIECE];
};

static inline __attribute__((always_inline)) void fill_taps(struct taps *taps, const struct augment_map *map, int h,
                                                            int w, int count, int height, int width, int row_folds,
                                                            int column_folds)
{
    int64_t row = map->row + h * map->row_down + w * map->row_right;
    int64_t column = map->column + h * map->column_down + w * map->column_right;
    for (int i = 0; i < count; i++) {
        struct augment_tap tap = augment_tap_of(row + i * map->row_right, height - 1, row_folds);
        taps->above[i] = tap.first * width, taps->below[i] = tap.second * width, taps->down[i] = (unsigned)tap.weight;
        tap = augment_tap_of(column + i * map->column_right, width - 1, column_folds);
        taps->before[i] = tap.first, taps->after[i] = tap.second, taps->right[i] = (unsigned)tap.weight;
    }
}

/* One mirroring on each axis is the usual case, and a constant is faster. */
static void find_taps(struct taps *taps, const struct augment_map *map, int h, int w, int count, int height, int width)
{
    if (map->row_folds == 1 && map->column_folds == 1)
        fill_taps(taps, map, h, w, count, height, width, 1, 1);
    else
        fill_taps(taps, map, h, w, count, height, width, map->row_folds, map->column_folds);
}

static void blend_piece(const struct taps *taps, int count, const uint8_t *from, uint8_t *to)
{
    for (int i = 0; i < count; i++) {
        const uint8_t *above = from + taps->above[i], *below = from + taps->below[i];
        int before = taps->before[i], after = taps->after[i];
        to[i] = augment_blend(above[before], above[after], below[before], below[after], taps->down[i], taps->right[i]);
    }
}

/* True where every pixel shows just the source's pixel at its own place. */
static bool is_identity(const struct augment_map *map)
{
    const int64_t pixel = INT64_C(1) << AUGMENT_PLACE_BITS;
    return map->row == 0 && map->column == 0 && map->row_down == pixel && map->column_right == pixel &&
           map->row_right == 0 && map->column_down == 0;
}

static void move_image(const struct dataset_view *view, const struct augment_map *map, const uint8_t *from, uint8_t *to)
{
    int height = (int)view->height, width = (int)view->width;
    int64_t plane = view->height * view->width;
    struct taps taps;
    if (is_identity(map)) {
        memcpy(to, from, (size_t)(view->channels * plane));
        return;
    }
    for (int h = 0; h < height; h++)
        for (int w = 0; w < width; w += PIECE) {
            int count = (int)min_of(PIECE, width - w);
            find_taps(&taps, map, h, w, count, height, width);
            for (int64_t c = 0; c < view->channels; c++)
                blend_piece(&taps, count, from + c * plane, to + c * plane + (int64_t)h * width + w);
        }
}

/* --- colour --- */

static void change_tone(uint8_t *pixels, int64_t count, int factor, int shift)
{
    for (int64_t i = 0; i < count; i++) pixels[i] = augment_tone(pixels[i], factor, shift);
}

/* Moves the pixels away from the image's mean grey. */
static void change_contrast(const struct dataset_view *view, uint8_t *pixels, int factor)
{
    int64_t plane = view->height * view->width, greys = view->channels == 3 ? plane : view->channels * plane, sum = 0;
    const uint8_t *green = pixels + plane, *blue = green + plane;
    if (view->channels == 3)
        for (int64_t i = 0; i < plane; i++) sum += augment_grey(pixels[i], green[i], blue[i]);
    else
        for (int64_t i = 0; i < greys; i++) sum += pixels[i];
    change_tone(pixels, view->channels * plane, factor, augment_contrast_shift(factor, sum, greys));
}

/* Moves each pixel away from its own grey. */
static void change_saturation(uint8_t *red, int64_t plane, int factor)
{
    uint8_t *green = red + plane, *blue = green + plane;
    for (int64_t i = 0; i < plane; i++) {
        int shift = (AUGMENT_COLOUR_ONE - factor) * augment_grey(red[i], green[i], blue[i]);
        red[i] = augment_tone(red[i], factor, shift);
        green[i] = augment_tone(green[i], factor, shift);
        blue[i] = augment_tone(blue[i], factor, shift);
    }
}

static void change_colour(const struct dataset_view *view, const struct augment_picture *picture, uint8_t *pixels)
{
    int64_t plane = view->height * view->width;
    if (picture->brightness != AUGMENT_COLOUR_ONE) change_tone(pixels, view->channels * plane, picture->brightness, 0);
    if (picture->contrast != AUGMENT_COLOUR_ONE) change_contrast(view, pixels, picture->contrast);
    if (picture->saturation != AUGMENT_COLOUR_ONE) change_saturation(pixels, plane, picture->saturation);
}

/* --- the batch --- */

static void stage_samples(void *argument, int64_t first, int64_t last)
{
    const struct stage_task *task = argument;
    const struct cpu_stage *stage = task->stage;
    const struct dataset_view *view = stage->view;
    int64_t bytes = view->channels * view->height * view->width;
    int height = (int)view->height, width = (int)view->width;
    for (int64_t n = first; n < last; n++) {
        int64_t sample = stage->order ? stage->order[n] : stage->first + n;
        uint8_t *to = task->staged + n * bytes;
        struct augment_picture picture = augment_picture_draw(*stage->augment, task->step, sample, height, width);
        move_image(view, &picture.map, view->pixels + (view->rows ? view->rows[sample] : sample) * bytes, to);
        change_colour(view, &picture, to);
        augment_holes_draw(task->holes + n * HOLES, *stage->augment, task->step, sample, height, width);
    }
}

struct mix_task {
    const struct dataset_view *view;
    const struct batch_mix *mix;
    const uint8_t *staged; /* (N,C,H,W) */
    uint8_t *mixed;        /* (N,C,H,W) */
    int64_t count;
};

static void mix_blend(const struct batch_mix *mix, const uint8_t *own, const uint8_t *other, uint8_t *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = augment_mixed(mix, own[i], other[i]);
}

/* Puts the partner's box over the sample's own pixels. */
static void mix_box(const struct mix_task *task, const uint8_t *own, const uint8_t *other, uint8_t *to)
{
    const struct dataset_view *view = task->view;
    const struct batch_mix *mix = task->mix;
    memcpy(to, own, (size_t)(view->channels * view->height * view->width));
    for (int64_t c = 0; c < view->channels; c++)
        for (int64_t h = mix->top; h < mix->top + mix->height; h++) {
            int64_t at = (c * view->height + h) * view->width + mix->left;
            memcpy(to + at, other + at, (size_t)mix->width);
        }
}

static void mix_samples(void *argument, int64_t first, int64_t last)
{
    const struct mix_task *task = argument;
    int64_t bytes = task->view->channels * task->view->height * task->view->width;
    for (int64_t n = first; n < last; n++) {
        const uint8_t *own = task->staged + n * bytes, *other = task->staged + (n + 1) % task->count * bytes;
        if (task->mix->kind == MIX_BLEND)
            mix_blend(task->mix, own, other, task->mixed + n * bytes, bytes);
        else
            mix_box(task, own, other, task->mixed + n * bytes);
    }
}

/* Makes a buffer at least that large; its contents are lost. */
static void reserve_bytes(struct backend *backend, uint8_t **buffer, int64_t *size, int64_t bytes)
{
    if (*size >= bytes) return;
    backend->table->free(backend, *buffer);
    *buffer = backend->table->alloc(backend, (size_t)bytes);
    *size = bytes;
}

/* Memory for a batch, taken once. */
static void reserve(struct cpu_backend *cpu, const struct cpu_stage *stage, int64_t bytes)
{
    struct backend *backend = &cpu->base;
    int64_t samples = stage->count;
    reserve_bytes(backend, &cpu->staged, &cpu->staged_bytes, bytes);
    if (augment_mixes(stage->augment)) reserve_bytes(backend, &cpu->mixed, &cpu->mixed_bytes, bytes);
    if (cpu->hole_count >= samples * HOLES) return;
    backend->table->free(backend, cpu->holes);
    cpu->hole_count = samples * HOLES;
    cpu->holes = backend->table->alloc(backend, (size_t)cpu->hole_count * sizeof *cpu->holes);
}

const uint8_t *CPU_EXPORT(cpu_augment_stage)(struct backend *backend, const struct cpu_stage *stage)
{
    enum { COST = 16 }; /* operations per byte of an image, about */
    struct cpu_backend *cpu = cpu_backend_of(backend);
    const struct dataset_view *view = stage->view;
    int64_t bytes = view->channels * view->height * view->width;
    reserve(cpu, stage, stage->count * bytes);
    struct stage_task task = {stage, cpu->staged, cpu->holes, stage->step};
    cpu_for(backend, stage->count, bytes * COST, stage_samples, &task);
    const struct batch_mix *mix = stage->mix;
    if (mix->kind == MIX_NONE || !augment_mixes(stage->augment)) return cpu->staged;
    struct mix_task mixing = {view, mix, cpu->staged, cpu->mixed, stage->count};
    cpu_for(backend, stage->count, bytes, mix_samples, &mixing);
    return cpu->mixed;
}

/* --- holes --- */

struct hole_task {
    const struct cpu_stage *stage;
    struct tensor x;
    const struct augment_box *holes;
};

/* Zeroes row h of a hole of sample n, from `left` to before `right`. Of an image a pixel's channels lie in blocks. */
static void clear_row(const struct hole_task *task, int64_t n, int64_t h, int64_t left, int64_t right)
{
    const struct dataset_view *view = task->stage->view;
    struct shape s = task->x.shape;
    real *x = task->x.data;
    int64_t plane = view->height * view->width;
    if (s.h * s.w > 1 || plane == 1) {
        for (int64_t block = 0; block < cpu_blocks(s.c); block++)
            for (int64_t w = left; w < right; w++)
                memset(x + ((block * plane + h * view->width + w) * s.n + n) * CPU_BLOCK, 0, CPU_BLOCK_BYTES);
        return;
    }
    for (int64_t c = 0; c < view->channels; c++)
        for (int64_t w = left; w < right; w++) {
            int64_t feature = c * plane + h * view->width + w;
            x[(feature / CPU_BLOCK * s.n + n) * CPU_BLOCK + feature % CPU_BLOCK] = 0;
        }
}

static void clear_holes(void *argument, int64_t first, int64_t last)
{
    const struct hole_task *task = argument;
    const struct dataset_view *view = task->stage->view;
    for (int64_t i = first * HOLES; i < last * HOLES; i++) {
        const struct augment_box *hole = &task->holes[i];
        int64_t bottom = min_of(hole->top + hole->height, view->height);
        int64_t right = min_of(hole->left + hole->width, view->width);
        for (int64_t h = max_of(hole->top, 0); h < bottom; h++)
            clear_row(task, i / HOLES, h, max_of(hole->left, 0), right);
    }
}

void CPU_EXPORT(cpu_augment_holes)(struct backend *backend, const struct cpu_stage *stage, const struct tensor *x)
{
    struct hole_task task = {stage, *x, cpu_backend_of(backend)->holes};
    cpu_for(backend, stage->count, shape_sample_count(x->shape), clear_holes, &task);
}
