/* Counts which class is taken for which, and computes figures from the counts. */
#include "metrics/confusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/scores.h"
#include "util/check.h"
#include "util/memory.h"

struct confusion confusion_create(int64_t classes)
{
    CHECK(classes >= 1);
    int64_t top = classes - 1 < CONFUSION_TOP_MAX ? classes - 1 : CONFUSION_TOP_MAX;
    struct confusion confusion = {.classes = classes, .top = top > 1 ? top : 1};
    if (classes <= CONFUSION_MATRIX_MAX)
        confusion.matrix = memory_alloc((size_t)(classes * (classes + 1)), sizeof(int64_t));
    confusion.labels = memory_alloc((size_t)classes, sizeof(int64_t));
    confusion.predicted = memory_alloc((size_t)classes + 1, sizeof(int64_t));
    confusion.correct = memory_alloc((size_t)classes, sizeof(int64_t));
    return confusion;
}

void confusion_free(struct confusion *confusion)
{
    free(confusion->matrix);
    free(confusion->labels);
    free(confusion->predicted);
    free(confusion->correct);
    *confusion = (struct confusion){0};
}

static int64_t *cell(const struct confusion *confusion, int64_t label, int64_t predicted)
{
    CHECK(confusion->matrix);
    CHECK(label >= 0 && label < confusion->classes && predicted >= 0 && predicted <= confusion->classes);
    return &confusion->matrix[label * (confusion->classes + 1) + predicted];
}

void confusion_add(struct confusion *confusion, int64_t label, int64_t predicted)
{
    CHECK(label >= 0 && label < confusion->classes && predicted >= 0 && predicted <= confusion->classes);
    confusion->labels[label]++;
    confusion->predicted[predicted]++;
    confusion->correct[label] += predicted == label;
    if (confusion->matrix) ++*cell(confusion, label, predicted);
}

void confusion_add_scores(struct confusion *confusion, int64_t label, const double *scores)
{
    confusion_add(confusion, label, scores_predicted(scores, confusion->classes));
    confusion->top_correct += scores_rank(scores, confusion->classes, label) < confusion->top;
}

int64_t confusion_count(const struct confusion *confusion, int64_t label, int64_t predicted)
{
    return *cell(confusion, label, predicted);
}

int64_t confusion_label_count(const struct confusion *confusion, int64_t label)
{
    CHECK(label >= 0 && label < confusion->classes);
    return confusion->labels[label];
}

int64_t confusion_correct_count(const struct confusion *confusion, int64_t label)
{
    CHECK(label >= 0 && label < confusion->classes);
    return confusion->correct[label];
}

int64_t confusion_predicted_count(const struct confusion *confusion, int64_t predicted)
{
    CHECK(predicted >= 0 && predicted < confusion->classes);
    return confusion->predicted[predicted];
}

static int64_t sum_of(const int64_t *counts, int64_t count)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += counts[i];
    return sum;
}

int64_t confusion_total(const struct confusion *confusion)
{
    return sum_of(confusion->labels, confusion->classes);
}

int64_t confusion_correct(const struct confusion *confusion)
{
    return sum_of(confusion->correct, confusion->classes);
}

int64_t confusion_worst(const struct confusion *confusion, int64_t label)
{
    int64_t worst = -1;
    for (int64_t i = 0; confusion->matrix && i < confusion->classes; i++) {
        if (i == label || confusion_count(confusion, label, i) == 0) continue;
        if (worst < 0 || confusion_count(confusion, label, i) > confusion_count(confusion, label, worst)) worst = i;
    }
    return worst;
}

/* Puts a pair into its place among the first *count, the larger ones before it. */
static void insert_pair(struct confused_pair *pairs, int *count, int most, struct confused_pair pair)
{
    int place = *count;
    while (place > 0 && pairs[place - 1].count < pair.count) place--;
    if (place == most) return;
    if (*count < most) ++*count;
    memmove(&pairs[place + 1], &pairs[place], (size_t)(*count - place - 1) * sizeof *pairs);
    pairs[place] = pair;
}

int confusion_pairs(const struct confusion *confusion, struct confused_pair *pairs, int most)
{
    int count = 0;
    for (int64_t label = 0; confusion->matrix && label < confusion->classes; label++)
        for (int64_t i = 0; i <= confusion->classes; i++) {
            int64_t samples = confusion_count(confusion, label, i);
            if (i != label && samples > 0) insert_pair(pairs, &count, most, (struct confused_pair){label, i, samples});
        }
    return count;
}

static double quotient(double part, int64_t whole)
{
    return whole > 0 ? part / (double)whole : NAN;
}

struct class_figures confusion_class_figures(const struct confusion *confusion, int64_t label)
{
    double hits = (double)confusion_correct_count(confusion, label);
    int64_t samples = confusion_label_count(confusion, label), predicted = confusion_predicted_count(confusion, label);
    return (struct class_figures){quotient(hits, predicted), quotient(hits, samples),
                                  quotient(2 * hits, samples + predicted)};
}

struct ranked {
    int64_t label;
    double f1;
};

static int compare_f1(const void *first, const void *second)
{
    const struct ranked *a = first, *b = second;
    if (isnan(a->f1) != isnan(b->f1)) return isnan(a->f1) ? 1 : -1;
    if (!isnan(a->f1) && a->f1 != b->f1) return a->f1 < b->f1 ? -1 : 1;
    return a->label < b->label ? -1 : 1;
}

int64_t *confusion_classes_by_f1(const struct confusion *confusion)
{
    size_t count = (size_t)confusion->classes;
    struct ranked *ranking = memory_alloc(count, sizeof *ranking);
    int64_t *labels = memory_alloc(count, sizeof *labels);
    for (size_t i = 0; i < count; i++)
        ranking[i] = (struct ranked){(int64_t)i, confusion_class_figures(confusion, (int64_t)i).f1};
    qsort(ranking, count, sizeof *ranking, compare_f1);
    for (size_t i = 0; i < count; i++) labels[i] = ranking[i].label;
    free(ranking);
    return labels;
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
