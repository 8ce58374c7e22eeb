/* Test-time augmentation: an image is seen several times, mirrored and moved, and the scores are averaged. */
#ifndef PREDICT_VIEWS_H
#define PREDICT_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/choice.h"

/* The numbers of views that there are. 1: the image alone. 2: also mirrored left to right. 6: both, and both moved by a
 * pixel up and left, and down and right; the moved ones have half the weight (Jordan 2024, "94% on CIFAR-10 in 3.29
 * Seconds on a Single GPU"). */
#define VIEWS_CHOICES(X) X(1, "1") X(2, "2") X(6, "6")

struct view {
    bool mirrored;
    int dy, dx; /* the pixel at (h,w) shows that at (h + dy, w + dx) of the image; beyond an edge, its mirror image */
    double weight; /* those of all views add up to 1 */
};

/* The views of that number, `count` of them. */
const struct view *views_of(int count);

/* Writes images as the view shows them: (N,C,H,W) to the same shape. */
void view_images(struct view view, const uint8_t *from, int64_t n, int64_t channels, int64_t height, int64_t width,
                 uint8_t *to);

#endif
