/* Counts which class is taken for which, and computes figures from the counts. */
#include "trainer/confusion.h"

#include <math.h>
#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/memory.h"

struct confusion confusion_create(int64_t classes)
{
    CHECK(classes >= 1);
    int64_t top = classes - 1 < CONFUSION_TOP_MAX ? classes - 1 : CONFUSION_TOP_MAX;
    return (struct confusion){.classes = classes,
                              .counts = memory_alloc((size_t)(classes * (classes + 1)), sizeof(int64_t)),
                              .top = top > 1 ? top : 1};
}

void confusion_free(struct confusion *confusion)
{
    free(confusion->counts);
    *confusion = (struct confusion){0};
}

int64_t confusion_predicted(const double *outputs, int64_t classes)
{
    int64_t best = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(outputs[i])) return classes;
        if (outputs[i] > outputs[best]) best = i;
    }
    return best;
}

static int64_t *cell(const struct confusion *confusion, int64_t label, int64_t predicted)
{
    CHECK(label >= 0 && label < confusion->classes && predicted >= 0 && predicted <= confusion->classes);
    return &confusion->counts[label * (confusion->classes + 1) + predicted];
}

void confusion_add(struct confusion *confusion, int64_t label, int64_t predicted)
{
    ++*cell(confusion, label, predicted);
}

/* Returns the number of classes before the label in the order of their outputs; `classes` where an output is NaN. */
static int64_t rank_of(int64_t label, const double *outputs, int64_t classes)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(outputs[i])) return classes;
        bool ahead = i < label && outputs[i] == outputs[label];
        rank += outputs[i] > outputs[label] || ahead;
    }
    return rank;
}

void confusion_add_outputs(struct confusion *confusion, int64_t label, const double *outputs)
{
    confusion_add(confusion, label, confusion_predicted(outputs, confusion->classes));
    confusion->top_correct += rank_of(label, outputs, confusion->classes) < confusion->top;
}

int64_t confusion_count(const struct confusion *confusion, int64_t label, int64_t predicted)
{
    return *cell(confusion, label, predicted);
}

int64_t confusion_label_count(const struct confusion *confusion, int64_t label)
{
    int64_t count = 0;
    for (int64_t i = 0; i <= confusion->classes; i++) count += confusion_count(confusion, label, i);
    return count;
}

int64_t confusion_predicted_count(const struct confusion *confusion, int64_t predicted)
{
    int64_t count = 0;
    for (int64_t i = 0; i < confusion->classes; i++) count += confusion_count(confusion, i, predicted);
    return count;
}

int64_t confusion_total(const struct confusion *confusion)
{
    int64_t count = 0;
    for (int64_t i = 0; i < confusion->classes; i++) count += confusion_label_count(confusion, i);
    return count;
}

int64_t confusion_correct(const struct confusion *confusion)
{
    int64_t count = 0;
    for (int64_t i = 0; i < confusion->classes; i++) count += confusion_count(confusion, i, i);
    return count;
}

int64_t confusion_worst(const struct confusion *confusion, int64_t label)
{
    int64_t worst = -1;
    for (int64_t i = 0; i < confusion->classes; i++) {
        if (i == label || confusion_count(confusion, label, i) == 0) continue;
        if (worst < 0 || confusion_count(confusion, label, i) > confusion_count(confusion, label, worst)) worst = i;
    }
    return worst;
}

static double quotient(double part, int64_t whole)
{
    return whole > 0 ? part / (double)whole : NAN;
}

struct class_figures confusion_class_figures(const struct confusion *confusion, int64_t label)
{
    double hits = (double)confusion_count(confusion, label, label);
    int64_t samples = confusion_label_count(confusion, label), predicted = confusion_predicted_count(confusion, label);
    return (struct class_figures){quotient(hits, predicted), quotient(hits, samples),
                                  quotient(2 * hits, samples + predicted)};
}

static double zero_unless_defined(double value)
{
    return isnan(value) ? 0 : value;
}

struct macro_figures confusion_macro_figures(const struct confusion *confusion)
{
    struct macro_figures sums = {0};
    int64_t seen = 0, with_samples = 0; /* classes */
    for (int64_t i = 0; i < confusion->classes; i++) {
        struct class_figures figures = confusion_class_figures(confusion, i);
        sums.precision += zero_unless_defined(figures.precision);
        sums.recall += zero_unless_defined(figures.recall);
        sums.f1 += zero_unless_defined(figures.f1);
        seen += !isnan(figures.f1);
        with_samples += !isnan(figures.recall);
    }
    return (struct macro_figures){quotient(sums.precision, seen), quotient(sums.recall, seen), quotient(sums.f1, seen),
                                  quotient(sums.recall, with_samples)};
}

double confusion_top_accuracy(const struct confusion *confusion)
{
    return quotient((double)confusion->top_correct, confusion_total(confusion));
}
