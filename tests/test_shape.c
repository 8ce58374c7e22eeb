/* Tests counts and output sizes of shapes. */
#include <criterion/criterion.h>
#include <string.h>

#include "tensor/shape.h"
#include "tensor/window.h"

Test(shape, counts)
{
    struct shape shape = {2, 3, 5, 7};
    cr_assert_eq(shape_count(shape), 210);
    cr_assert_eq(shape_sample_count(shape), 105);
    cr_assert(shape_equal(shape_vector(11), (struct shape){1, 11, 1, 1}));
    cr_assert(shape_equal(shape, shape));
    cr_assert_not(shape_equal(shape, (struct shape){2, 3, 7, 5}));
    cr_assert_not(shape_equal(shape, (struct shape){1, 3, 5, 7}));
}

/* A count that does not fit is the largest number, so that every limit refuses it. */
Test(shape, counts_do_not_overflow)
{
    const int64_t huge = INT64_C(1) << 62;
    cr_assert_eq(count_product(huge, 1), huge);
    cr_assert_eq(count_product(huge, 2), INT64_MAX);
    cr_assert_eq(count_product(huge, 0), 0);
    cr_assert_eq(shape_count((struct shape){1, huge, huge, 1}), INT64_MAX);
    cr_assert_eq(shape_count((struct shape){huge, 1, 1, 4}), INT64_MAX);
    cr_assert_eq(shape_count((struct shape){0, huge, huge, huge}), 0);
    cr_assert_eq(shape_count((struct shape){1, 2000000000, 2000000000, 1}), INT64_C(4000000000000000000));
}

/* Counts the positions of the window one by one. */
static int64_t slow_output_size(int64_t size, struct window window)
{
    int64_t positions = 0;
    for (int64_t first = -window.padding; first + window.kernel <= size + window.padding; first += window.stride)
        positions++;
    return positions;
}

Test(shape, window_output_size_counts_the_positions)
{
    for (int64_t size = 1; size <= 13; size++)
        for (int64_t kernel = 1; kernel <= 7; kernel++)
            for (int64_t stride = 1; stride <= 5; stride++)
                for (int64_t padding = 0; padding <= 3; padding++) {
                    struct window window = {kernel, stride, padding};
                    cr_assert_eq(window_output_size(size, window), slow_output_size(size, window),
                                 "size %ld kernel %ld stride %ld padding %ld", (long)size, (long)kernel, (long)stride,
                                 (long)padding);
                }
}

Test(shape, window_output_size_of_the_report)
{
    struct window conv = {3, 1, 1}, pool = {3, 2, 1};
    cr_assert_eq(window_output_size(32, conv), 32);
    int64_t size = 32;
    const int64_t expected[] = {16, 8, 4, 2, 1};
    for (int i = 0; i < 5; i++) cr_assert_eq(size = window_output_size(size, pool), expected[i]);
    cr_assert_eq(window_output_size(2, (struct window){3, 2, 0}), 0);
}

/* Pairs of an output and a tap: bit `tap` of pairs[output] is set where the tap lies on the image. */
struct pairs {
    unsigned of_output[32], listed[32];
};

static void check_pairs(const struct pairs *pairs, const char *function, int64_t size, struct window window)
{
    cr_assert_arr_eq(pairs->listed, pairs->of_output, sizeof pairs->listed,
                     "%s: size %ld kernel %ld stride %ld padding %ld", function, (long)size, (long)window.kernel,
                     (long)window.stride, (long)window.padding);
}

/* Tries every pair against the definition: tap k of output p lies on p*stride + k - padding. */
static struct pairs find_pairs(int64_t size, int64_t outputs, struct window window)
{
    struct pairs pairs = {{0}, {0}};
    for (int64_t p = 0; p < outputs; p++)
        for (int64_t k = 0; k < window.kernel; k++) {
            int64_t input = p * window.stride + k - window.padding;
            cr_assert_eq(window_input(window, p, k), input);
            cr_assert_eq(window_tap(window, p, input), k);
            if (input >= 0 && input < size) pairs.of_output[p] |= 1u << k;
        }
    return pairs;
}

static void check_ranges(int64_t size, struct window window)
{
    int64_t outputs = window_output_size(size, window);
    struct pairs pairs = find_pairs(size, outputs, window);
    for (int64_t p = 0; p < outputs; p++) {
        struct window_range taps = window_taps(window, p, size);
        for (int64_t k = taps.first; k < taps.last; k++) pairs.listed[p] |= 1u << k;
    }
    check_pairs(&pairs, "window_taps", size, window);
    memset(pairs.listed, 0, sizeof pairs.listed);
    for (int64_t input = 0; input < size; input++) {
        struct window_range range = window_outputs(window, input, outputs);
        for (int64_t p = range.first; p < range.last; p++) pairs.listed[p] |= 1u << window_tap(window, p, input);
    }
    check_pairs(&pairs, "window_outputs", size, window);
    memset(pairs.listed, 0, sizeof pairs.listed);
    for (int64_t k = 0; k < window.kernel; k++)
        for (int64_t part = 0; part < outputs; part += 2) { /* two outputs at a time */
            struct window_range among = {part, part + 2 < outputs ? part + 2 : outputs};
            struct window_range range = window_outputs_of_tap(window, k, size, among);
            for (int64_t p = range.first; p < range.last; p++) pairs.listed[p] |= 1u << k;
        }
    check_pairs(&pairs, "window_outputs_of_tap", size, window);
}

Test(shape, the_ranges_of_a_window_list_every_tap_on_the_image)
{
    for (int64_t size = 1; size <= 13; size++)
        for (int64_t kernel = 1; kernel <= 7; kernel++)
            for (int64_t stride = 1; stride <= 5; stride++)
                for (int64_t padding = 0; padding <= 6; padding++)
                    check_ranges(size, (struct window){kernel, stride, padding});
}
