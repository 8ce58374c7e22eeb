/* Trained networks in use (trainer/predictor.h). */
#include <trainer/predictor.h>

#include <stdlib.h>

#include "build/build.h"
#include "library/library_private.h"
#include "metrics/scores.h"
#include "predict/picture_queue.h"
#include "predict/predictor.h"
#include "util/check.h"
#include "util/memory.h"

enum { CLASS_NAME_SIZE = 4096 }; /* cuts a longer name */

struct trainer_predictor {
    struct predictor predictor;
    char **class_names; /* (D); owned */
};

/* Finds the best checkpoint of a run, or else the last. */
static char *find_checkpoint(const char *run, struct status *status)
{
    struct status no_best;
    char *best = checkpoint_find(run, CHECKPOINT_BEST, &no_best);
    return best ? best : checkpoint_find(run, CHECKPOINT_LAST, status);
}

static bool open_with(struct predictor *predictor, const char *run, const char *const *set, int set_count,
                      struct status *status)
{
    struct experiment_override *overrides = library_overrides(set, set_count, status);
    char *path = overrides ? find_checkpoint(run, status) : NULL;
    bool good = path && predictor_open(predictor, path, CHECKPOINT_BEST, overrides, set_count, status);
    free(path);
    experiment_overrides_free(overrides, overrides ? set_count : 0);
    return good && predictor_check_single(predictor, status);
}

static void copy_class_names(struct trainer_predictor *predictor)
{
    int64_t classes = predictor->predictor.input.classes;
    predictor->class_names = memory_alloc((size_t)classes, sizeof *predictor->class_names);
    for (int64_t i = 0; i < classes; i++) {
        char name[CLASS_NAME_SIZE];
        predictor_class_name(&predictor->predictor, i, name, sizeof name);
        predictor->class_names[i] = memory_copy_string(name);
    }
}

struct trainer_predictor *trainer_predictor_open(const char *checkpoint, const char *const *set, int set_count,
                                                 struct trainer_status *status)
{
    struct status inner = {.code = STATUS_OK};
    struct trainer_predictor *opened = memory_alloc(1, sizeof *opened);
    if (open_with(&opened->predictor, checkpoint, set, set_count, &inner)) copy_class_names(opened);
    if (library_pass(&inner, status)) return opened;
    trainer_predictor_free(opened);
    return NULL;
}

void trainer_predictor_free(struct trainer_predictor *predictor)
{
    if (!predictor) return;
    for (int64_t i = 0; predictor->class_names && i < predictor->predictor.input.classes; i++)
        free(predictor->class_names[i]);
    free(predictor->class_names);
    predictor_close(&predictor->predictor);
    free(predictor);
}

struct trainer_image_format trainer_predictor_format(const struct trainer_predictor *predictor)
{
    const struct checkpoint_input *input = &predictor->predictor.input;
    return (struct trainer_image_format){.channels = input->channels, .height = input->height, .width = input->width};
}

int64_t trainer_predictor_classes(const struct trainer_predictor *predictor)
{
    return predictor->predictor.input.classes;
}

const char *trainer_predictor_class_name(const struct trainer_predictor *predictor, int64_t label)
{
    CHECK(label >= 0 && label < predictor->predictor.input.classes);
    return predictor->class_names[label];
}

void trainer_predictor_scores(struct trainer_predictor *predictor, const uint8_t *pixels, int64_t n, double *scores)
{
    predictor_logits(&predictor->predictor, pixels, n, scores);
}

bool trainer_predictor_read(const struct trainer_predictor *predictor, const char *path, uint8_t *pixels,
                            struct trainer_status *status)
{
    const struct predictor *inside = &predictor->predictor;
    const struct checkpoint_input *input = &inside->input;
    struct status inner = {.code = STATUS_OK};
    const struct image_format format =
        image_format_from_experiment(&inside->experiment, input->channels, input->height, input->width);
    if (picture_queue_check(inside, &inner)) image_read_fitted(pixels, path, &format, &inner);
    return library_pass(&inner, status);
}

void trainer_predictor_probabilities(const struct trainer_predictor *predictor, const double *scores,
                                     double *probabilities)
{
    scores_probabilities(scores, predictor->predictor.input.classes, probabilities);
}
