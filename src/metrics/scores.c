/* Reads the scores of an image. */
#include "metrics/scores.h"

#include <math.h>
#include <stdbool.h>

int64_t scores_predicted(const double *scores, int64_t classes)
{
    int64_t best = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(scores[i])) return classes;
        if (scores[i] > scores[best]) best = i;
    }
    return best;
}

int64_t scores_rank(const double *scores, int64_t classes, int64_t label)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(scores[i])) return classes;
        bool ahead = i < label && scores[i] == scores[label];
        rank += scores[i] > scores[label] || ahead;
    }
    return rank;
}

/* Returns the sum of exponentials of the scores less the maximum, so that nothing overflows. */
static double sum_of_exponentials(const double *scores, int64_t classes, double *largest)
{
    double sum = 0;
    *largest = scores[0];
    for (int64_t i = 1; i < classes; i++) *largest = fmax(*largest, scores[i]);
    for (int64_t i = 0; i < classes; i++) sum += exp(scores[i] - *largest);
    return sum;
}

void scores_probabilities(const double *scores, int64_t classes, double *probabilities)
{
    double largest, sum = sum_of_exponentials(scores, classes, &largest);
    for (int64_t i = 0; i < classes; i++) probabilities[i] = exp(scores[i] - largest) / sum;
}

double scores_cross_entropy(const double *scores, int64_t classes, int64_t label)
{
    double largest, sum = sum_of_exponentials(scores, classes, &largest);
    return log(sum) - (scores[label] - largest);
}
