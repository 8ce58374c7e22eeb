/* Compares the figures of confusion matrices with scikit-learn's. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "metrics/confusion.h"

enum { CLASSES_MAX = 4 };

/* A matrix and the figures of scikit-learn 1.9.1 for it: precision_recall_fscore_support with zero_division = nan for
 * the classes, with its defaults and average = "macro" for the means; balanced_accuracy_score. */
struct known {
    int64_t classes;
    int64_t counts[CLASSES_MAX][CLASSES_MAX + 1];
    struct class_figures figures[CLASSES_MAX];
    struct macro_figures macro;
};

static const struct known cases[] = {
    {.classes = 3,
     .counts = {{5, 1, 0}, {2, 7, 1}, {0, 3, 6}},
     .figures = {{0.7142857142857143, 0.8333333333333334, 0.7692307692307693},
                 {0.6363636363636364, 0.7, 0.6666666666666666},
                 {0.8571428571428571, 0.6666666666666666, 0.75}},
     .macro = {0.735930735930736, 0.7333333333333333, 0.7286324786324787, 0.7333333333333333}},
    /* class 2 is never predicted, class 3 has no sample */
    {.classes = 4,
     .counts = {{8, 2, 0, 1}, {1, 6, 0, 0}, {3, 1, 0, 2}, {0, 0, 0, 0}},
     .figures = {{0.6666666666666666, 0.7272727272727273, 0.6956521739130435},
                 {0.6666666666666666, 0.8571428571428571, 0.75},
                 {NAN, 0, 0},
                 {0, NAN, 0}},
     .macro = {0.3333333333333333, 0.39610389610389607, 0.36141304347826086, 0.5281385281385281}},
    /* class 1 has no sample and is never predicted */
    {.classes = 4,
     .counts = {{4, 0, 1, 0}, {0, 0, 0, 0}, {2, 0, 3, 0}, {1, 0, 0, 6}},
     .figures = {{0.5714285714285714, 0.8, 0.6666666666666666},
                 {NAN, NAN, NAN},
                 {0.75, 0.6, 0.6666666666666666},
                 {1, 0.8571428571428571, 0.9230769230769231}},
     .macro = {0.7738095238095237, 0.7523809523809524, 0.7521367521367521, 0.7523809523809524}},
    /* two samples of class 0 get no class as their prediction */
    {.classes = 2,
     .counts = {{3, 1, 2}, {1, 4, 0}},
     .figures = {{0.75, 0.5, 0.6}, {0.8, 0.8, 0.8}},
     .macro = {0.775, 0.65, 0.7, 0.65}},
};

static void expect_number(double found, double expected, const char *name)
{
    bool same = isnan(expected) ? isnan(found) : fabs(found - expected) <= 4e-16; /* a rounding or two */
    cr_expect(same, "%s: %.17g, expected %.17g", name, found, expected);
}

static void expect_known(const struct known *known)
{
    struct confusion confusion = confusion_create(known->classes);
    for (int64_t i = 0; i < known->classes; i++)
        for (int64_t k = 0; k <= known->classes; k++)
            for (int64_t n = 0; n < known->counts[i][k]; n++) confusion_add(&confusion, i, k);
    for (int64_t i = 0; i < known->classes; i++) {
        struct class_figures found = confusion_class_figures(&confusion, i);
        expect_number(found.precision, known->figures[i].precision, "precision");
        expect_number(found.recall, known->figures[i].recall, "recall");
        expect_number(found.f1, known->figures[i].f1, "F1");
    }
    struct macro_figures macro = confusion_macro_figures(&confusion);
    expect_number(macro.precision, known->macro.precision, "macro precision");
    expect_number(macro.recall, known->macro.recall, "macro recall");
    expect_number(macro.f1, known->macro.f1, "macro F1");
    expect_number(macro.balanced_accuracy, known->macro.balanced_accuracy, "balanced accuracy");
    confusion_free(&confusion);
}

Test(confusion, figures_are_those_of_scikit_learn)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect_known(&cases[i]);
}

Test(confusion, nothing_is_known_of_no_samples)
{
    expect_known(
        &(struct known){.classes = 2, .figures = {{NAN, NAN, NAN}, {NAN, NAN, NAN}}, .macro = {NAN, NAN, NAN, NAN}});
}

/* Four samples of seven classes. 5, 4, 2 and 6 outputs are larger than the label's; top_k_accuracy_score finds 0.5. */
Test(confusion, top_k)
{
    const double outputs[4][7] = {{.1, .2, .3, .05, .15, .12, .08},
                                  {.3, .2, .1, .15, .05, .12, .08},
                                  {.3, .2, .3, .06, .15, .12, .08},
                                  {.5, .01, .1, .2, .3, .4, .35}};
    const int64_t labels[] = {6, 2, 1, 1};
    struct confusion confusion = confusion_create(7);
    cr_expect_eq(confusion.top, 5);
    for (int i = 0; i < 4; i++) confusion_add_scores(&confusion, labels[i], outputs[i]);
    cr_expect(confusion.top_correct == 2 && confusion_total(&confusion) == 4, "%d", (int)confusion.top_correct);
    cr_expect_eq(confusion_top_accuracy(&confusion), 0.5);
    confusion_free(&confusion);
}

Test(confusion, equal_outputs_and_nan_in_the_top)
{
    const double equal[3] = {.25, .25, .25}, no_number[3] = {.5, NAN, .25};
    struct confusion confusion = confusion_create(3);
    cr_expect_eq(confusion.top, 2); /* a top 3 of three classes would always be right */
    confusion_add_scores(&confusion, 1, equal);
    cr_expect_eq(confusion.top_correct, 1);
    confusion_add_scores(&confusion, 2, equal);
    confusion_add_scores(&confusion, 0, no_number);
    cr_expect_eq(confusion.top_correct, 1);
    cr_expect_eq(confusion_count(&confusion, 0, 3), 1);
    confusion_free(&confusion);
    confusion = confusion_create(2);
    cr_expect_eq(confusion.top, 1);
    confusion_free(&confusion);
}

/* --- many classes --- */

/* Without a matrix the figures are the same ones, and no class is the worst. */
Test(confusion, keeps_no_matrix_of_very_many_classes)
{
    enum { FEW = 50, SAMPLES = 700 };
    struct confusion few = confusion_create(FEW), many = confusion_create(CONFUSION_MATRIX_MAX + 1),
                     most = confusion_create(CONFUSION_MATRIX_MAX);
    cr_assert(few.matrix && most.matrix && !many.matrix);
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t label = i % FEW, predicted = i % 3 == 0 ? label : i * i % FEW;
        confusion_add(&few, label, predicted), confusion_add(&many, label, predicted);
    }
    for (int64_t i = 0; i < FEW; i++) {
        struct class_figures a = confusion_class_figures(&few, i), b = confusion_class_figures(&many, i);
        expect_number(a.precision, b.precision, "precision"), expect_number(a.recall, b.recall, "recall");
        cr_expect_eq(confusion_correct_count(&few, i), confusion_count(&few, i, i));
        cr_expect_eq(confusion_worst(&many, i), -1);
    }
    cr_expect(confusion_total(&many) == SAMPLES && confusion_correct(&many) == confusion_correct(&few));
    expect_number(confusion_macro_figures(&many).f1, confusion_macro_figures(&few).f1, "macro F1");
    struct confused_pair pairs[2];
    cr_expect(confusion_pairs(&many, pairs, 2) == 0 && confusion_pairs(&few, pairs, 2) == 2);
    confusion_free(&few), confusion_free(&many), confusion_free(&most);
}

Test(confusion, largest_pairs)
{
    struct confusion confusion = confusion_create(3);
    struct confused_pair pairs[8];
    const int adds[][3] = {{0, 1, 2}, {0, 2, 5}, {1, 3, 5}, {2, 0, 1}, {2, 2, 9}};
    cr_expect_eq(confusion_pairs(&confusion, pairs, 8), 0);
    for (int i = 0; i < 5; i++)
        for (int n = 0; n < adds[i][2]; n++) confusion_add(&confusion, adds[i][0], adds[i][1]);
    cr_assert_eq(confusion_pairs(&confusion, pairs, 8), 4);
    const int64_t expected[][3] = {{0, 2, 5}, {1, 3, 5}, {0, 1, 2}, {2, 0, 1}};
    for (int i = 0; i < 4; i++)
        cr_expect(pairs[i].label == expected[i][0] && pairs[i].predicted == expected[i][1] &&
                  pairs[i].count == expected[i][2]);
    cr_assert_eq(confusion_pairs(&confusion, pairs, 2), 2);
    cr_expect(pairs[0].label == 0 && pairs[0].predicted == 2 && pairs[1].label == 1);
    confusion_free(&confusion);
}

Test(confusion, classes_from_the_lowest_f1)
{
    struct confusion confusion = confusion_create(5); /* class 1 has no F1 */
    const int pairs[][2] = {{0, 0}, {2, 2}, {2, 4}, {3, 3}, {4, 3}};
    for (int i = 0; i < 5; i++) confusion_add(&confusion, pairs[i][0], pairs[i][1]);
    const int64_t expected[] = {4, 2, 3, 0, 1}; /* 0, 2/3, 2/3, 1, NaN */
    int64_t *order = confusion_classes_by_f1(&confusion);
    for (int i = 0; i < 5; i++) cr_expect_eq(order[i], expected[i]);
    free(order);
    confusion_free(&confusion);
}
