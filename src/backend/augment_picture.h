/* Changes whole images of a training batch: geometry, colour, mixing, holes. This is a header only, because the CPU's
 * kernels inline it and the CUDA kernels compile it for the device. All of it is arithmetic of whole numbers, so an
 * image has the same bytes on every backend. The definition, with the letters of this file, stands at struct
 * augment_params in backend.h. "Q16" is a number in units of 2^-16. */
#ifndef AUGMENT_PICTURE_H
#define AUGMENT_PICTURE_H

#include "backend/augment.h"
#include "backend/augment_math.h"

enum {
    AUGMENT_TRIES = 10,      /* rectangles that are drawn before one must fit */
    AUGMENT_TAP_BITS = 12,   /* the weights of neighbouring pixels are Q12 */
    AUGMENT_PLACE_BITS = 33, /* places in the source are Q33: half pixels in Q32 */
    AUGMENT_COLOUR_ONE = 1 << 16,
};

/* True where images are mixed with one another. */
PHILOX_FUNCTION bool augment_mixes(const struct augment_params *params)
{
    return params->mixup > 0 || params->cutmix > 0;
}

/* True where images are changed as whole images of bytes, before the batch is gathered from them. */
PHILOX_FUNCTION bool augment_is_staged(const struct augment_params *params)
{
    return params->vertical_flip || params->rotate || params->scale || params->resized_crop || params->brightness ||
           params->contrast || params->saturation || params->erase || augment_mixes(params);
}

/* --- rectangles --- */

/* A rectangle of an image; with height or width 0 it is empty. Parts of it may lie outside of the image. */
struct augment_box {
    int top, left, height, width;
};

/* The limits of a random rectangle: its share of the image's area in 2^-32, and log2(width / height) / 2 in Q30. */
struct augment_limits {
    int64_t least, most, narrowest, widest;
};

/* Draws a rectangle. Its place is drawn where it fits into the image, and is 0 elsewhere. */
PHILOX_FUNCTION struct augment_box augment_box_draw(struct philox_words words, struct augment_limits limits, int height,
                                                    int width)
{
    uint64_t share = (uint64_t)augment_between(words.word[0], limits.least, limits.most);
    int64_t half = augment_between(words.word[1], limits.narrowest, limits.widest);
    int64_t side = augment_root((uint64_t)height * (uint64_t)width * share); /* of the square of this area, Q16 */
    struct augment_box box = {0, 0, 0, 0};
    box.width = (int)((augment_times(augment_power(half), side) + 32768) >> 16);
    box.height = (int)((augment_times(augment_power(-half), side) + 32768) >> 16);
    if (box.height <= height && box.width <= width) {
        box.top = augment_below(words.word[2], height - box.height + 1);
        box.left = augment_below(words.word[3], width - box.width + 1);
    }
    return box;
}

/* The largest part of the image, in its middle, whose width / height lies between 3/4 and 4/3. */
PHILOX_FUNCTION struct augment_box augment_box_central(int height, int width)
{
    struct augment_box box = {0, 0, height, width};
    if (4 * (int64_t)width < 3 * (int64_t)height) box.height = (4 * width + 1) / 3;
    if (3 * (int64_t)width > 4 * (int64_t)height) box.width = (4 * height + 1) / 3;
    box.top = (height - box.height) / 2;
    box.left = (width - box.width) / 2;
    return box;
}

/* --- geometry --- */

/* Where an image's pixels come from. The pixel at (h,w) is seen at the place
 *   (row + h*row_down + w*row_right, column + h*column_down + w*column_right) / 2^33
 * of the source, which is mirrored at its edges; `row_folds` and `column_folds` mirrorings bring every place there. */
struct augment_map {
    int64_t row, row_down, row_right, column, column_down, column_right;
    int row_folds, column_folds;
};

/* The mirrorings that bring every place of this axis, and the pixel after it, into 0..size-1. */
PHILOX_FUNCTION int augment_folds(int64_t start, int64_t down, int64_t right, int height, int width, int size)
{
    int64_t least = start, most = start, over_h = down * (height - 1), over_w = right * (width - 1);
    if (over_h < 0) least += over_h;
    if (over_h > 0) most += over_h;
    if (over_w < 0) least += over_w;
    if (over_w > 0) most += over_w;
    int64_t pixel = INT64_C(1) << AUGMENT_PLACE_BITS, outermost = most / pixel + 2;
    if (-least / pixel + 2 > outermost) outermost = -least / pixel + 2;
    int64_t reach = 2 * ((int64_t)size - 1);
    return reach == 0 ? 1 : (int)((outermost + reach - 1) / reach);
}

/* Mirrors a place that `folds` mirrorings bring into 0..last, where that is possible (last is not 0). */
PHILOX_FUNCTION int augment_fold(int place, int last, int folds)
{
    for (int i = 0; i < folds; i++) {
        int beyond = last - (place < 0 ? -place : place);
        place = last - (beyond < 0 ? -beyond : beyond);
    }
    return place < 0 ? 0 : place;
}

/* The map of an image that is turned by `turn` and enlarged by zoom (Q16), and of which `window` is shown. */
PHILOX_FUNCTION struct augment_map augment_map_of(struct augment_move move, bool upside_down, struct augment_turn turn,
                                                  int64_t zoom, struct augment_box window, int height, int width)
{
    int64_t cosine = turn.cosine * (1 << 18) / zoom, sine = turn.sine * (1 << 18) / zoom; /* Q32 */
    int64_t high = window.height, wide = window.width, half = INT64_C(1) << 32;
    int64_t up = upside_down ? -1 : 1, left = move.flipped ? -1 : 1;
    struct augment_map map;
    map.row_down = up * 2 * (cosine * high / height), map.row_right = -left * 2 * (sine * high / height);
    map.column_down = up * 2 * (sine * wide / width), map.column_right = left * 2 * (cosine * wide / width);
    map.row = (2 * window.top + high - 1) * half + move.down * 2 * (half * high / height);
    map.column = (2 * window.left + wide - 1) * half + move.right * 2 * (half * wide / width);
    map.row -= (map.row_down * (height - 1) + map.row_right * (width - 1)) / 2;
    map.column -= (map.column_down * (height - 1) + map.column_right * (width - 1)) / 2;
    map.row_folds = augment_folds(map.row, map.row_down, map.row_right, height, width, height);
    map.column_folds = augment_folds(map.column, map.column_down, map.column_right, height, width, width);
    return map;
}

/* A place of an axis: the pixels before and after it, and the weight of the second in Q12. */
struct augment_tap {
    int first, second, weight;
};

PHILOX_FUNCTION struct augment_tap augment_tap_of(int64_t place, int last, int folds)
{
    const int drop = AUGMENT_PLACE_BITS - AUGMENT_TAP_BITS;
    /* The lower 32 bits of an arithmetic shift, which a logical one has as well, and vectors have that. */
    int rounded = (int)(uint32_t)((uint64_t)(place + (INT64_C(1) << (drop - 1))) >> drop);
    int before = rounded >> AUGMENT_TAP_BITS;
    struct augment_tap tap;
    tap.first = augment_fold(before, last, folds), tap.second = augment_fold(before + 1, last, folds);
    tap.weight = rounded & ((1 << AUGMENT_TAP_BITS) - 1);
    return tap;
}

/* The byte between four pixels: a b above, c d below; `down` and `right` are the weights of c d and of b d. */
PHILOX_FUNCTION uint8_t augment_blend(unsigned a, unsigned b, unsigned c, unsigned d, unsigned down, unsigned right)
{
    const unsigned one = 1 << AUGMENT_TAP_BITS, bits = 2 * AUGMENT_TAP_BITS;
    unsigned above = a * (one - right) + b * right, below = c * (one - right) + d * right;
    return (uint8_t)((above * (one - down) + below * down + (1u << (bits - 1))) >> bits);
}

/* --- colour --- */

PHILOX_FUNCTION int augment_to_byte(int value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* factor * pixel + shift, both Q16, rounded and limited to a byte. */
PHILOX_FUNCTION uint8_t augment_tone(int pixel, int factor, int shift)
{
    return (uint8_t)augment_to_byte((factor * pixel + shift + 32768) >> 16);
}

/* Pillow's grey of a colour. */
PHILOX_FUNCTION int augment_grey(int red, int green, int blue)
{
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

/* The shift with which augment_tone moves pixels away from the mean of `count` greys. */
PHILOX_FUNCTION int augment_contrast_shift(int factor, int64_t sum, int64_t count)
{
    int64_t mean = (sum * AUGMENT_COLOUR_ONE + count / 2) / count;
    return (int)(((AUGMENT_COLOUR_ONE - factor) * mean) >> 16);
}

/* --- mixing --- */

/* The pixel of a mixed image, where its own is `own` and its partner's `other`. */
PHILOX_FUNCTION uint8_t augment_mixed(const struct batch_mix *mix, int own, int other)
{
    return (uint8_t)(((AUGMENT_COLOUR_ONE - mix->second) * own + mix->second * other + 32768) >> 16);
}

/* --- the draws of a sample --- */

struct augment_picture {
    struct augment_map map;
    int brightness, contrast, saturation; /* factors, Q16 */
};

enum { AUGMENT_PICTURE_INDICES = 16 }; /* indices of a sample in the stream of pictures */

/* Draws the part of a sample that the network is shown. */
PHILOX_FUNCTION struct augment_box augment_window_draw(struct augment_params params, uint32_t step, int64_t sample,
                                                       int height, int width)
{
    enum { HALF_LOG_4_3 = 222821561 };
    struct augment_box window = {0, 0, height, width};
    if (params.resized_crop == 0) return window;
    struct augment_limits limits = {params.resized_crop, INT64_C(1) << 32, -HALF_LOG_4_3, HALF_LOG_4_3};
    for (int i = 0; i < AUGMENT_TRIES; i++) {
        uint64_t index = (uint64_t)sample * AUGMENT_PICTURE_INDICES + 2 + (uint64_t)i;
        window =
            augment_box_draw(philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, index), limits, height, width);
        bool fits = window.height > 0 && window.height <= height && window.width > 0 && window.width <= width;
        if (fits) return window;
    }
    return augment_box_central(height, width);
}

PHILOX_FUNCTION int augment_factor_draw(uint32_t word, int64_t change)
{
    return (int)augment_between(word, AUGMENT_COLOUR_ONE - change, AUGMENT_COLOUR_ONE + change);
}

PHILOX_FUNCTION struct augment_picture augment_picture_draw(struct augment_params params, uint32_t step, int64_t sample,
                                                            int height, int width)
{
    uint64_t index = (uint64_t)sample * AUGMENT_PICTURE_INDICES;
    struct philox_words place = philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, index);
    struct philox_words colour = philox_draw(params.seed, RNG_STREAM_AUGMENT_PICTURE, step, index + 1);
    struct augment_move move = augment_draw(params, step, sample, height, width);
    bool upside_down = params.vertical_flip && place.word[0] >> 31;
    int64_t angle = augment_between(place.word[1], -params.rotate, params.rotate);
    struct augment_picture picture;
    picture.map = augment_map_of(move, upside_down, augment_turn_by((uint32_t)angle),
                                 augment_factor_draw(place.word[2], params.scale),
                                 augment_window_draw(params, step, sample, height, width), height, width);
    picture.brightness = augment_factor_draw(colour.word[0], params.brightness);
    picture.contrast = augment_factor_draw(colour.word[1], params.contrast);
    picture.saturation = augment_factor_draw(colour.word[2], params.saturation);
    return picture;
}

/* --- holes --- */

enum { AUGMENT_HOLES = 2, AUGMENT_ERASE_INDICES = 16 }; /* of a sample: its holes; indices in the stream of erasing */

/* Draws the rectangle that erasing takes out of a sample; empty where it takes none. */
PHILOX_FUNCTION struct augment_box augment_erase_draw(struct augment_params params, uint32_t step, int64_t sample,
                                                      int height, int width)
{
    /* 0.02 and 0.33 in 2^-32; log2(1/3.3)/2 and log2(1/0.3)/2 in Q30: the ratio of height to width is 0.3 to 3.3. */
    const struct augment_limits limits = {85899346, 1417339208, -924741905, 932526303};
    struct augment_box none = {0, 0, 0, 0};
    uint64_t first = (uint64_t)sample * AUGMENT_ERASE_INDICES;
    struct philox_words chance = philox_draw(params.seed, RNG_STREAM_AUGMENT_ERASE, step, first);
    if (chance.word[0] >= params.erase) return none;
    for (int i = 1; i <= AUGMENT_TRIES; i++) {
        struct philox_words words = philox_draw(params.seed, RNG_STREAM_AUGMENT_ERASE, step, first + (uint64_t)i);
        struct augment_box box = augment_box_draw(words, limits, height, width);
        if (box.height < height && box.width < width) return box;
    }
    return none;
}

/* Draws the holes of a sample: that of cutout, then that of erasing. */
PHILOX_FUNCTION void augment_holes_draw(struct augment_box holes[AUGMENT_HOLES], struct augment_params params,
                                        uint32_t step, int64_t sample, int height, int width)
{
    struct augment_move move = augment_draw(params, step, sample, height, width);
    struct augment_box cutout = {move.hole_top, move.hole_left, move.hole, move.hole};
    holes[0] = cutout;
    holes[1] = augment_erase_draw(params, step, sample, height, width);
}

PHILOX_FUNCTION bool augment_box_has(const struct augment_box *box, int h, int w)
{
    return (unsigned)(h - box->top) < (unsigned)box->height && (unsigned)(w - box->left) < (unsigned)box->width;
}

#endif
