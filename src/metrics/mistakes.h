/* The wrong answers that a network was surest of, for people to look at. */
#ifndef MISTAKES_H
#define MISTAKES_H

#include <stdint.h>

enum { MISTAKES_MAX = 32 };

struct mistake {
    int64_t index; /* index of the image in its set */
    int64_t label, predicted;
    double probability, label_probability; /* shares of the predicted class and of the label, 0..1 */
};

struct mistakes {
    int64_t classes;
    int count;
    struct mistake list[MISTAKES_MAX]; /* by falling probability; of equal ones the first image comes first */
    double *probabilities;             /* (classes) scratch */
};

struct mistakes mistakes_create(int64_t classes);
void mistakes_free(struct mistakes *mistakes); /* leaves it empty; an empty one is allowed */

/* Adds an image with its scores (classes) if it is a mistake. An image with a NaN score has no predicted class and is
 * left out. */
void mistakes_add(struct mistakes *mistakes, int64_t index, int64_t label, const double *logits);

#endif
