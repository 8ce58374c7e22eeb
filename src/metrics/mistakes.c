/* Collects the wrong answers that a network is surest of. */
#include "metrics/mistakes.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/scores.h"
#include "util/memory.h"

struct mistakes mistakes_create(int64_t classes)
{
    return (struct mistakes){.classes = classes, .probabilities = memory_alloc((size_t)classes, sizeof(double))};
}

void mistakes_free(struct mistakes *mistakes)
{
    free(mistakes->probabilities);
    *mistakes = (struct mistakes){0};
}

static void insert(struct mistakes *mistakes, const struct mistake *mistake)
{
    int place = mistakes->count;
    while (place > 0 && mistakes->list[place - 1].probability < mistake->probability) place--;
    if (place == MISTAKES_MAX) return;
    if (mistakes->count < MISTAKES_MAX) mistakes->count++;
    struct mistake *at = &mistakes->list[place];
    memmove(at + 1, at, (size_t)(mistakes->count - place - 1) * sizeof *at);
    *at = *mistake;
}

void mistakes_add(struct mistakes *mistakes, int64_t index, int64_t label, const double *logits)
{
    int64_t predicted = scores_predicted(logits, mistakes->classes);
    if (predicted == label || predicted == mistakes->classes) return;
    scores_probabilities(logits, mistakes->classes, mistakes->probabilities);
    struct mistake mistake = {.index = index, .label = label, .predicted = predicted};
    mistake.probability = mistakes->probabilities[predicted];
    mistake.label_probability = mistakes->probabilities[label];
    insert(mistakes, &mistake);
}
