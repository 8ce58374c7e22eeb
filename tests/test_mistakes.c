/* Tests the choice of the wrong answers that a network was surest of. */
#include <criterion/criterion.h>
#include <math.h>

#include "metrics/mistakes.h"

/* Adds an image of class 0 whose scores say class 1 with odds of e^lead : 1 : 1. */
static void add(struct mistakes *mistakes, int64_t index, double lead)
{
    const double logits[] = {0, lead, 0};
    mistakes_add(mistakes, index, 0, logits);
}

Test(mistakes, right_answers_and_none_are_left_out)
{
    struct mistakes mistakes = mistakes_create(3);
    const double right[] = {2, 1, 0}, equal[] = {1, 1, 1}, none[] = {0, NAN, 1};
    mistakes_add(&mistakes, 0, 0, right);
    mistakes_add(&mistakes, 1, 0, equal); /* the first of equal ones is the answer */
    mistakes_add(&mistakes, 2, 0, none);
    cr_assert_eq(mistakes.count, 0);
    mistakes_add(&mistakes, 3, 2, right);
    cr_assert_eq(mistakes.count, 1);
    double sum = exp(2) + exp(1) + 1;
    cr_assert(mistakes.list[0].index == 3 && mistakes.list[0].label == 2 && mistakes.list[0].predicted == 0);
    cr_assert_float_eq(mistakes.list[0].probability, exp(2) / sum, 1e-12);
    cr_assert_float_eq(mistakes.list[0].label_probability, 1 / sum, 1e-12);
    mistakes_free(&mistakes);
}

Test(mistakes, the_surest_come_first_and_of_equal_ones_the_first_image)
{
    struct mistakes mistakes = mistakes_create(3);
    const double leads[] = {1, 3, 2, 3, 1};
    const int64_t expected[] = {1, 3, 2, 0, 4};
    for (int i = 0; i < 5; i++) add(&mistakes, i, leads[i]);
    cr_assert_eq(mistakes.count, 5);
    for (int i = 0; i < 5; i++) cr_assert_eq(mistakes.list[i].index, expected[i], "place %d", i);
    mistakes_free(&mistakes);
}

/* The images come in rising and in falling order: each is surer, or less sure, than the one before. */
Test(mistakes, only_the_surest_are_kept)
{
    struct mistakes rising = mistakes_create(3), falling = mistakes_create(3);
    for (int i = 0; i < 3 * MISTAKES_MAX; i++) {
        add(&rising, i, 1 + 0.01 * i);
        add(&falling, i, 5 - 0.01 * i);
    }
    cr_assert(rising.count == MISTAKES_MAX && falling.count == MISTAKES_MAX);
    for (int i = 0; i < MISTAKES_MAX; i++) {
        cr_assert_eq(rising.list[i].index, 3 * MISTAKES_MAX - 1 - i);
        cr_assert_eq(falling.list[i].index, i);
    }
    mistakes_free(&rising), mistakes_free(&falling);
}
