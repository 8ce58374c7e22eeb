/* Gather: a batch of normalised images, changed as struct augment_params says, with the draws and the arithmetic of
 * augment.h and augment_picture.h. Sample n of the batch is number order[batch_first + n] of the data set, and
 *
 *   x[n,c,h,w] = (pixel - offset[c,h,w]) scale[c],   0 in a hole */
#include "backend/augment_picture.h"
#include "backend/host.h"
#include "backend/reference/reference.h"
#include "util/check.h"

/* The number in the data set of sample n of the batch, whose last one is followed by its first. */
static int64_t sample_of(const struct op_call *call, int64_t n)
{
    return host_dataset_sample(call->input->data, call->input->state.batch_first + n % call->tensor[GATHER_X].shape.n);
}

/* The number of pixel (c,h,w) in an image. */
static int64_t place_of(const struct dataset_view *view, int64_t c, int64_t h, int64_t w)
{
    return (c * view->height + h) * view->width + w;
}

static double normalize(const struct dataset_view *view, const uint8_t *image, int64_t place)
{
    int64_t c = place / (view->height * view->width);
    return ((double)image[place] - (double)view->offset[place]) * (double)view->scale[c];
}

/* --- flip, crop and cutout: every pixel takes its offset along --- */

static void gather_moved(const struct op_call *call, int64_t sample, double *x)
{
    const struct dataset_view *view = host_dataset_view(call->input->data);
    const uint8_t *image = host_dataset_pixels(call->input->data, sample);
    int height = (int)view->height, width = (int)view->width;
    struct augment_move move = {0};
    if (call->op->gather.augmented)
        move = augment_draw(call->op->gather.augment, (uint32_t)call->input->state.step, sample, height, width);
    for (int64_t c = 0; c < view->channels; c++)
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++) {
                int source = augment_source(&move, h, w, height, width);
                x[place_of(view, c, h, w)] =
                    source < 0 ? 0 : normalize(view, image, c * view->height * view->width + source);
            }
}

/* --- changed images of bytes --- */

static void move_image(const struct dataset_view *view, const struct augment_map *map, const uint8_t *from, uint8_t *to)
{
    int height = (int)view->height, width = (int)view->width;
    for (int64_t c = 0; c < view->channels; c++)
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++) {
                struct augment_tap row =
                    augment_tap_of(map->row + h * map->row_down + w * map->row_right, height - 1, map->row_folds);
                struct augment_tap column = augment_tap_of(map->column + h * map->column_down + w * map->column_right,
                                                           width - 1, map->column_folds);
                const uint8_t *above = from + place_of(view, c, row.first, 0);
                const uint8_t *below = from + place_of(view, c, row.second, 0);
                to[place_of(view, c, h, w)] =
                    augment_blend(above[column.first], above[column.second], below[column.first], below[column.second],
                                  (unsigned)row.weight, (unsigned)column.weight);
            }
}

static void change_tone(uint8_t *image, int64_t count, int factor, int shift)
{
    for (int64_t i = 0; i < count; i++) image[i] = augment_tone(image[i], factor, shift);
}

/* Away from the mean of the image's greys. */
static void change_contrast(const struct dataset_view *view, uint8_t *image, int factor)
{
    int64_t plane = view->height * view->width, greys = view->channels == 3 ? plane : view->channels * plane, sum = 0;
    for (int64_t i = 0; i < greys; i++)
        sum += view->channels == 3 ? augment_grey(image[i], image[i + plane], image[i + 2 * plane]) : image[i];
    change_tone(image, view->channels * plane, factor, augment_contrast_shift(factor, sum, greys));
}

/* Away from each pixel's own grey. */
static void change_saturation(const struct dataset_view *view, uint8_t *image, int factor)
{
    int64_t plane = view->height * view->width;
    for (int64_t i = 0; i < plane; i++) {
        int grey = augment_grey(image[i], image[i + plane], image[i + 2 * plane]);
        for (int64_t c = 0; c < 3; c++)
            image[i + c * plane] = augment_tone(image[i + c * plane], factor, (AUGMENT_COLOUR_ONE - factor) * grey);
    }
}

/* Steps 1 to 4 of struct augment_params. */
static void change_image(const struct op_call *call, int64_t sample, uint8_t *to)
{
    const struct dataset_view *view = host_dataset_view(call->input->data);
    struct augment_picture picture = augment_picture_draw(call->op->gather.augment, (uint32_t)call->input->state.step,
                                                          sample, (int)view->height, (int)view->width);
    move_image(view, &picture.map, host_dataset_pixels(call->input->data, sample), to);
    change_tone(to, view->channels * view->height * view->width, picture.brightness, 0);
    change_contrast(view, to, picture.contrast);
    if (view->channels == 3) change_saturation(view, to, picture.saturation);
}

/* Step 5: the mixed pixel at (h,w). */
static uint8_t mixed_pixel(const struct batch_mix *mix, uint8_t own, uint8_t other, int64_t h, int64_t w)
{
    bool boxed = h >= mix->top && h < mix->top + mix->height && w >= mix->left && w < mix->left + mix->width;
    if (mix->kind == MIX_BLEND) return augment_mixed(mix, own, other);
    return mix->kind == MIX_BOX && boxed ? other : own;
}

static void gather_changed(const struct op_call *call, int64_t n, double *x)
{
    const struct dataset_view *view = host_dataset_view(call->input->data);
    const struct augment_params *augment = &call->op->gather.augment;
    struct batch_mix mix = augment_mixes(augment) ? call->input->state.mix : (struct batch_mix){.kind = MIX_NONE};
    struct augment_box holes[AUGMENT_HOLES];
    uint8_t *own = call->plan, *other = own + view->channels * view->height * view->width;
    change_image(call, sample_of(call, n), own);
    change_image(call, sample_of(call, n + 1), other);
    augment_holes_draw(holes, *augment, (uint32_t)call->input->state.step, sample_of(call, n), (int)view->height,
                       (int)view->width);
    for (int64_t c = 0; c < view->channels; c++)
        for (int h = 0; h < view->height; h++)
            for (int w = 0; w < view->width; w++) {
                int64_t place = place_of(view, c, h, w);
                bool hidden = augment_box_has(&holes[0], h, w) || augment_box_has(&holes[1], h, w);
                own[place] = mixed_pixel(&mix, own[place], other[place], h, w);
                x[place] = hidden ? 0 : normalize(view, own, place);
            }
}

void reference_gather(struct backend *backend, const struct op_call *call)
{
    const struct tensor *x = &call->tensor[GATHER_X];
    const struct dataset_view *view = host_dataset_view(call->input->data);
    int32_t *labels = call->tensor[GATHER_LABELS].data;
    bool changed = call->op->gather.augmented && augment_is_staged(&call->op->gather.augment);
    (void)backend;
    CHECK(shape_sample_count(x->shape) == view->channels * view->height * view->width);
    CHECK(call->input->state.batch_first + x->shape.n <= view->count);
    for (int64_t n = 0; n < x->shape.n; n++) {
        double *sample = (double *)x->data + n * shape_sample_count(x->shape);
        labels[n] = view->labels[sample_of(call, n)];
        if (changed)
            gather_changed(call, n, sample);
        else
            gather_moved(call, sample_of(call, n), sample);
    }
}
