/* Turns the arrays of an NPZ archive into pixels: finds which axis is which, and makes bytes of their elements. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "npz_private.h"
#include "util/memory.h"

/* --- axes --- */

static const char *const orders[] = {"NHW", "HWN", "NHWC", "NCHW", "HWCN", "CHWN"};
enum { ORDERS = sizeof orders / sizeof *orders };

static int64_t side_of(const struct npy_header *header, const char *order, char axis)
{
    const char *found = strchr(order, axis);
    return found ? header->shape[found - order] : 1;
}

static bool order_fits(const struct npy_header *header, const char *order, int64_t count)
{
    int64_t channels = side_of(header, order, 'C');
    return (int)strlen(order) == header->rank && side_of(header, order, 'N') == count &&
           (channels == 1 || channels == 3);
}

static void set_layout(struct npz_layout *layout, const struct npy_header *header, const char *order)
{
    int64_t stride = 1;
    for (const char *axis = "WHCN"; *axis; axis++) {
        const char *found = strchr(order, *axis);
        if (!found) continue;
        layout->stride[found - order] = stride;
        stride *= header->shape[found - order];
    }
    layout->count = side_of(header, order, 'N'), layout->channels = side_of(header, order, 'C');
    layout->height = side_of(header, order, 'H'), layout->width = side_of(header, order, 'W');
}

static bool fail_order(const struct npz_array *images, const struct npz_array *labels, int64_t count, bool ambiguous,
                       struct status *status)
{
    char *shape = npy_shape_text(&images->header);
    status_fail(status, STATUS_RUNTIME,
                "%s: shape %s%s, expected (N, H, W), (N, H, W, C), (N, C, H, W) or one of them with N last, with N = "
                "%" PRId64 " as %s has so many labels, and C = 1 or 3",
                images->place, shape, ambiguous ? " can be read in more than one way" : "", count, labels->name);
    free(shape);
    return false;
}

static bool check_sides(const struct npz_layout *layout, const struct npz_array *images, struct status *status)
{
    bool good =
        layout->height >= 1 && layout->height <= DATA_SIDE_MAX && layout->width >= 1 && layout->width <= DATA_SIDE_MAX;
    if (good && images->header.count <= DATA_PIXELS_MAX) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: %" PRId64 " images of %" PRId64 "x%" PRId64
                       " pixels, expected sides of 1 to %d and at most %" PRId64 " values",
                       images->place, layout->count, layout->height, layout->width, DATA_SIDE_MAX, DATA_PIXELS_MAX);
}

bool npz_layout_find(struct npz_layout *layout, const struct npz_array *images, const struct npz_array *labels,
                     int64_t count, struct status *status)
{
    int found = 0;
    *layout = (struct npz_layout){0};
    for (int i = 0; i < ORDERS; i++) {
        if (!order_fits(&images->header, orders[i], count)) continue;
        if (found++ == 0) set_layout(layout, &images->header, orders[i]);
    }
    if (found != 1) return fail_order(images, labels, count, found > 1, status);
    return check_sides(layout, images, status);
}

/* --- the place of a pixel --- */

/* Walks through the axes of an array as its elements lie in the file: the last of them runs fastest. */
struct walk {
    int rank;
    int64_t side[NPY_RANK_MAX], stride[NPY_RANK_MAX], index[NPY_RANK_MAX];
    uint8_t *to;
};

/* Adds an axis that runs faster than those before. Two that run through pixels without a gap are one. */
static void walk_add(struct walk *walk, int64_t side, int64_t stride)
{
    int last = walk->rank - 1;
    if (last >= 0 && walk->stride[last] == side * stride) {
        walk->side[last] *= side, walk->stride[last] = stride;
        return;
    }
    walk->side[walk->rank] = side, walk->stride[walk->rank++] = stride;
}

static struct walk walk_begin(const struct npy_header *header, const struct npz_layout *layout, uint8_t *pixels)
{
    struct walk walk = {.to = pixels};
    for (int i = 0; i < header->rank; i++) {
        int axis = header->fortran_order ? header->rank - 1 - i : i;
        walk_add(&walk, header->shape[axis], layout->stride[axis]);
    }
    return walk;
}

/* Goes to the next place of the slower axes, after the fastest one has come to its end. */
static void walk_carry(struct walk *walk)
{
    for (int axis = walk->rank - 1; axis >= 0 && walk->index[axis] == walk->side[axis]; axis--) {
        walk->to -= walk->side[axis] * walk->stride[axis];
        walk->index[axis] = 0;
        if (axis > 0) walk->to += walk->stride[axis - 1], walk->index[axis - 1]++;
    }
}

static void walk_put(struct walk *walk, const uint8_t *bytes, int64_t count)
{
    int fastest = walk->rank - 1;
    int64_t stride = walk->stride[fastest];
    while (count > 0) {
        int64_t left = walk->side[fastest] - walk->index[fastest], run = count < left ? count : left;
        if (stride == 1)
            memcpy(walk->to, bytes, (size_t)run);
        else
            for (int64_t i = 0; i < run; i++) walk->to[i * stride] = bytes[i];
        bytes += run, count -= run;
        walk->to += run * stride, walk->index[fastest] += run;
        walk_carry(walk);
    }
}

/* --- values --- */

/* Makes pixels of an array's elements. */
struct reading {
    const struct npz_array *images;
    struct walk walk;
    enum npz_scale *scale; /* of an array of floats */
    bool seen_one;         /* while the scale is unknown: a value was 1, whose pixel is 255 until then */
    uint8_t *pixels;
    int64_t done; /* elements in pieces before */
    double *values;
    uint8_t *bytes;
};

/* How far a float may be from k/255, which was rounded once in half precision, and a few times in others. */
static double tolerance_of(const struct npy_header *header, double value)
{
    return value * (header->dtype == SAFETENSORS_F16 ? 0x1p-11 : 0x1p-22);
}

/* Tells whether a value is k/scale for a k of 0..255, and gives k. */
static bool has_scale(const struct npy_header *header, double value, enum npz_scale scale, uint8_t *byte)
{
    double whole = rint(value * (int)scale), tolerance = scale == NPZ_SCALE_255 ? tolerance_of(header, value) : 0;
    if (!(whole >= 0 && whole <= 255) || !(fabs(value - whole / (int)scale) <= tolerance)) return false;
    *byte = (uint8_t)whole;
    return true;
}

/* Finds the scale by a value that is neither 0 nor 1. Half precision cannot tell k/256 from k/255. */
static enum npz_scale find_scale(const struct npy_header *header, double value)
{
    static const enum npz_scale scales[] = {NPZ_SCALE_WHOLE, NPZ_SCALE_255, NPZ_SCALE_256};
    uint8_t byte;
    for (int i = 0; i < (header->dtype == SAFETENSORS_F16 ? 2 : 3); i++)
        if (has_scale(header, value, scales[i], &byte)) return scales[i];
    return NPZ_SCALE_UNKNOWN;
}

static bool fail_value(const struct reading *reading, int64_t element, double value, const char *expected,
                       struct status *status)
{
    char *place = npz_element(reading->images, reading->done + element);
    status_fail(status, STATUS_RUNTIME, "%s: value %.9g, expected %s", place, value, expected);
    free(place);
    return false;
}

static bool fail_float(const struct reading *reading, int64_t element, double value, struct status *status)
{
    static const char *const expected[] = {
        [NPZ_SCALE_UNKNOWN] = "0 to 255, or k/255 or k/256 with whole k: pictures before any normalization",
        [NPZ_SCALE_WHOLE] = "whole numbers of 0 to 255, as the values before are",
        [NPZ_SCALE_255] = "k/255 with a whole k of 0 to 255, as the values before are",
        [NPZ_SCALE_256] = "k/256 with a whole k of 0 to 255, as other values are"};
    return fail_value(reading, element, value, expected[*reading->scale], status);
}

/* Gives the pixels so far, and `count` bytes of this piece, the scale that was found: 255 stands for a value of 1. */
static bool rescale(const struct reading *reading, int64_t count, struct status *status)
{
    if (*reading->scale == NPZ_SCALE_256 && reading->seen_one) return fail_float(reading, count, 1, status);
    if (*reading->scale != NPZ_SCALE_WHOLE || !reading->seen_one) return true;
    for (int64_t i = 0; i < reading->images->header.count; i++) reading->pixels[i] &= 1;
    for (int64_t i = 0; i < count; i++) reading->bytes[i] &= 1;
    return true;
}

static bool convert_float(struct reading *reading, int64_t element, struct status *status)
{
    double value = reading->values[element];
    if (*reading->scale == NPZ_SCALE_UNKNOWN && (value == 0 || value == 1)) {
        reading->seen_one |= value == 1;
        reading->bytes[element] = value == 1 ? 255 : 0;
        return true;
    }
    if (*reading->scale == NPZ_SCALE_UNKNOWN) {
        *reading->scale = find_scale(&reading->images->header, value);
        if (*reading->scale != NPZ_SCALE_UNKNOWN && !rescale(reading, element, status)) return false;
    }
    if (*reading->scale != NPZ_SCALE_UNKNOWN &&
        has_scale(&reading->images->header, value, *reading->scale, &reading->bytes[element]))
        return true;
    return fail_float(reading, element, value, status);
}

static bool convert_whole(struct reading *reading, int64_t element, struct status *status)
{
    double value = reading->values[element];
    bool truth = reading->images->header.dtype == SAFETENSORS_BOOL;
    if (!(value >= 0 && value <= 255)) return fail_value(reading, element, value, "0 to 255", status);
    reading->bytes[element] = truth ? 255 * (value != 0) : (uint8_t)value;
    return true;
}

static bool take_pixels(void *taker, uint8_t *bytes, int64_t count, struct status *status)
{
    struct reading *reading = taker;
    const struct npy_header *header = &reading->images->header;
    bool is_float = safetensors_dtype_is_real(header->dtype);
    if (header->dtype == SAFETENSORS_U8) return walk_put(&reading->walk, bytes, count), true;
    npy_values(header, bytes, count, reading->values);
    for (int64_t i = 0; i < count; i++)
        if (!(is_float ? convert_float(reading, i, status) : convert_whole(reading, i, status))) return false;
    walk_put(&reading->walk, reading->bytes, count);
    reading->done += count;
    return true;
}

bool npz_pixels_read(const struct npz *npz, const struct npz_array *images, const struct npz_layout *layout,
                     enum npz_scale *scale, uint8_t *pixels, struct status *status)
{
    struct reading reading = {
        .images = images, .walk = walk_begin(&images->header, layout, pixels), .scale = scale, .pixels = pixels};
    size_t size = (size_t)(images->header.count < NPZ_PIECE_SIZE ? images->header.count : NPZ_PIECE_SIZE);
    reading.values = memory_alloc(size, sizeof *reading.values);
    reading.bytes = memory_alloc(size, 1);
    bool good = npz_read(npz, images, take_pixels, &reading, status);
    free(reading.values);
    free(reading.bytes);
    if (*scale == NPZ_SCALE_UNKNOWN) *scale = NPZ_SCALE_255; /* only zeros and ones: black and white */
    return good;
}
