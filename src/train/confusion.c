#include "trainer/confusion.h"

#include <math.h>
#include <stdlib.h>

#include "trainer/check.h"
#include "trainer/memory.h"

struct confusion confusion_create(int64_t classes)
{
    CHECK(classes >= 1);
    return (struct confusion){classes, memory_alloc((size_t)(classes * (classes + 1)), sizeof(int64_t))};
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
