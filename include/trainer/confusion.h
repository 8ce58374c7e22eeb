/* Which class is taken for which: one count per pair. */
#ifndef TRAINER_CONFUSION_H
#define TRAINER_CONFUSION_H

#include <stdbool.h>
#include <stdint.h>

struct confusion {
    int64_t classes;
    int64_t *counts; /* (classes, classes + 1): row: the label; column: the class predicted, the last one: none, as an
                      * output was no number. Owned */
};

struct confusion confusion_create(int64_t classes);
void confusion_free(struct confusion *confusion); /* leaves it empty */

/* The class of the largest output, the first of equal ones; `classes` where one is NaN, which is never right. */
int64_t confusion_predicted(const double *outputs, int64_t classes);

void confusion_add(struct confusion *confusion, int64_t label, int64_t predicted);

/* Samples of the label, and of them those predicted as a class. */
int64_t confusion_label_count(const struct confusion *confusion, int64_t label);
int64_t confusion_count(const struct confusion *confusion, int64_t label, int64_t predicted);

int64_t confusion_total(const struct confusion *confusion);
int64_t confusion_correct(const struct confusion *confusion);

/* The class that the label is most often mistaken for, the first of equal ones, or -1: none. */
int64_t confusion_worst(const struct confusion *confusion, int64_t label);

#endif
