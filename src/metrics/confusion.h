/* Counts how often each class is taken for each other one, and computes the figures that follow from the counts. */
#ifndef CONFUSION_H
#define CONFUSION_H

#include <stdbool.h>
#include <stdint.h>

/* With more classes than CONFUSION_MATRIX_MAX no matrix is kept, whose memory grows with their square. */
enum { CONFUSION_TOP_MAX = 5, CONFUSION_MATRIX_MAX = 2048 };

struct confusion {
    int64_t classes;
    int64_t *matrix;    /* (classes, classes + 1): row: the label; column: the predicted class, the last one: none,
                         * because a score was NaN. NULL: not kept. Owned */
    int64_t *labels;    /* (classes): samples of each label; owned */
    int64_t *predicted; /* (classes + 1): samples that were predicted as each class, the last one: as none; owned */
    int64_t *correct;   /* (classes): samples of each label that were predicted as it; owned */
    /* top is the k of the top-k accuracy: CONFUSION_TOP_MAX, or classes - 1 where that is smaller, but 1 at least.
     * top_correct counts the samples of confusion_add_scores whose label is among the k largest scores. */
    int64_t top;
    int64_t top_correct;
};

struct confusion confusion_create(int64_t classes);
void confusion_free(struct confusion *confusion); /* leaves it empty */

void confusion_add(struct confusion *confusion, int64_t label, int64_t predicted);

/* Adds a sample by its scores (classes), for the top-k accuracy too (scores.h). */
void confusion_add_scores(struct confusion *confusion, int64_t label, const double *scores);

/* Returns the number of samples with the label, or of those among them that were predicted as it. */
int64_t confusion_label_count(const struct confusion *confusion, int64_t label);
int64_t confusion_correct_count(const struct confusion *confusion, int64_t label);

/* Returns the number of samples with the label that were predicted as a class. There must be a matrix. */
int64_t confusion_count(const struct confusion *confusion, int64_t label, int64_t predicted);

/* Returns the number of samples that were predicted as a class, whatever their label. */
int64_t confusion_predicted_count(const struct confusion *confusion, int64_t predicted);

int64_t confusion_total(const struct confusion *confusion);
int64_t confusion_correct(const struct confusion *confusion);

/* Returns the class that the label is most often mistaken for, the first of equal ones, or -1: none, or no matrix is
 * kept. */
int64_t confusion_worst(const struct confusion *confusion, int64_t label);

/* A label that is taken for another class, or for none: `predicted` is then the number of classes. */
struct confused_pair {
    int64_t label, predicted, count;
};

/* Finds the pairs with the largest counts, the largest first, at most `most`; returns their number. Of equal ones the
 * first in the matrix comes first. There are none where no matrix is kept. */
int confusion_pairs(const struct confusion *confusion, struct confused_pair *pairs, int most);

/* Lists the classes from the lowest F1 to the highest, in a new array of `classes` numbers; those whose F1 is not
 * defined come last. Of equal ones the first comes first. */
int64_t *confusion_classes_by_f1(const struct confusion *confusion);

/* With T samples of a class predicted as that class, R samples of the class and P samples predicted as it:
 *   precision = T / P    recall = T / R    f1 = 2 T / (P + R)
 * A quotient by 0 is not defined, and is NaN here: the precision of a class that is never predicted, the recall of a
 * class without samples, the F1 of a class with neither. */
struct class_figures {
    double precision, recall, f1;
};
struct class_figures confusion_class_figures(const struct confusion *confusion, int64_t label);

/* Means in which each class weighs the same, however many samples it has.
 *   precision, recall, f1 (macro averages): over the classes that have samples or are predicted; a figure that is not
 *     defined counts as 0 (scikit-learn's average="macro" with its default zero_division)
 *   balanced_accuracy: the mean recall of the classes that have samples (scikit-learn's balanced_accuracy_score)
 * NaN where there is no sample. */
struct macro_figures {
    double precision, recall, f1, balanced_accuracy;
};
struct macro_figures confusion_macro_figures(const struct confusion *confusion);

/* Returns top_correct as a share of all samples; NaN where there are none. */
double confusion_top_accuracy(const struct confusion *confusion);

#endif
