/* Shapes, and every formula for the size of an output. Letters: N batch, C channels, H height, W width. */
#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
    int64_t n, c, h, w; /* (N,C,H,W); a vector of D features per sample is (N,D,1,1) */
};

/* A window that slides over an image: the geometry shared by convolution and pooling. Square kernels. */
struct window {
    int64_t kernel;  /* >= 1 */
    int64_t stride;  /* >= 1 */
    int64_t padding; /* on every side, 0 <= padding; pooling wants padding <= kernel/2 */
};

/* Counts stay right for the sizes that a config can ask for: a product that does not fit is INT64_MAX, which is over
 * every limit that it is compared with. */
int64_t count_product(int64_t a, int64_t b);    /* a*b, both >= 0 */
int64_t shape_count(struct shape shape);        /* n*c*h*w */
int64_t shape_sample_count(struct shape shape); /* c*h*w */
struct shape shape_vector(int64_t c);           /* (1,C,1,1) */
/* Writes the shape of a sample for people: "64x32x32", or "10" for a vector. */
void shape_format(struct shape shape, char *text, size_t size);
bool shape_equal(struct shape a, struct shape b);

/* floor((size + 2*padding - kernel) / stride) + 1, or 0 where the window does not fit even once. */
int64_t window_output_size(int64_t size, struct window window);

/* Pairs of an output pixel and a tap that meet inside the image, along one side: without padding, outputs * kernel. */
int64_t window_useful_taps(int64_t size, struct window window);

#endif
