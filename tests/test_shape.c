/* Tests counts and output sizes of shapes. */
#include <criterion/criterion.h>

#include "trainer/shape.h"

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
