/* Finds the source of each pixel of an augmented training image. This is a header only, because the CPU's gather
 * inlines it and the CUDA kernel compiles it for the device: both move an image alike since they run the same lines.
 * The definition stands at struct augment_params in backend.h. Letters: H height, W width, h and w a place in the image
 * that the network sees. */
#ifndef AUGMENT_H
#define AUGMENT_H

#include "backend/augment_math.h"
#include "backend/backend.h"

/* The draws of one sample in one step. */
struct augment_move {
    bool flipped;
    int down, right;               /* -crop..crop */
    int hole, hole_top, hole_left; /* a square of hole x hole; parts of it may lie outside of the image */
};

/* Tells whether the sample is mirrored; `place` are the words of its index. */
PHILOX_FUNCTION bool augment_flipped(struct augment_params params, uint32_t step, int64_t sample,
                                     struct philox_words place)
{
    if (!params.flip || params.flip_epoch == 0) return params.flip && place.word[0] >> 31;
    struct philox_words once = philox_draw(params.seed, RNG_STREAM_AUGMENT, UINT32_MAX, 2 * (uint64_t)sample);
    return (once.word[0] >> 31) ^ (step / params.flip_epoch & 1);
}

/* Draws the move of a sample. `sample` is its place in the data set's file order. */
PHILOX_FUNCTION struct augment_move augment_draw(struct augment_params params, uint32_t step, int64_t sample,
                                                 int height, int width)
{
    struct philox_words place = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * (uint64_t)sample);
    struct philox_words hole = philox_draw(params.seed, RNG_STREAM_AUGMENT, step, 2 * (uint64_t)sample + 1);
    int crop = (int)params.crop, side = (int)params.cutout;
    struct augment_move move;
    move.flipped = augment_flipped(params, step, sample, place);
    move.down = augment_below(place.word[1], 2 * crop + 1) - crop;
    move.right = augment_below(place.word[2], 2 * crop + 1) - crop;
    move.hole = side;
    move.hole_top = augment_below(hole.word[0], height) - side / 2;
    move.hole_left = augment_below(hole.word[1], width) - side / 2;
    return move;
}

/* Mirrors a place up to size-1 before the first or after the last one back into 0..size-1. */
PHILOX_FUNCTION int augment_reflect(int place, int size)
{
    int inside = place < 0 ? -place : place;
    return inside < size ? inside : 2 * (size - 1) - inside;
}

/* The pixel, counted row by row, that the network sees at (h,w); -1: it looks into the hole. */
PHILOX_FUNCTION int augment_source(const struct augment_move *move, int h, int w, int height, int width)
{
    bool in_hole =
        (unsigned)(h - move->hole_top) < (unsigned)move->hole && (unsigned)(w - move->hole_left) < (unsigned)move->hole;
    if (in_hole) return -1;
    int row = augment_reflect(h + move->down, height);
    int column = augment_reflect((move->flipped ? width - 1 - w : w) + move->right, width);
    return row * width + column;
}

#endif
