/* Finds and opens the checkpoint of a run that --checkpoint chooses. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "predict/predictor.h"
#include "util/warning.h"

/* A run with checkpoint.best = false, or one that was stopped before its first evaluation, has no best checkpoint. */
static char *find_default(const char *run, struct status *status)
{
    struct status ignored;
    char *best = checkpoint_find(run, CHECKPOINT_BEST, &ignored);
    if (best) return best;
    char *last = checkpoint_find(run, CHECKPOINT_LAST, status);
    if (last) warning_print("%s has no best checkpoint; this is by the last one, %s", run, last);
    return last;
}

char *cli_find_checkpoint(const struct cli_arguments *arguments, const char *run, struct status *status)
{
    const char *which = arguments->checkpoint;
    if (!which) return find_default(run, status);
    if (strcmp(which, "best") == 0) return checkpoint_find(run, CHECKPOINT_BEST, status);
    if (strcmp(which, "last") == 0) return checkpoint_find(run, CHECKPOINT_LAST, status);
    return checkpoint_find(which, CHECKPOINT_BEST, status);
}

bool cli_open_predictor_of(struct predictor *predictor, const struct cli_arguments *arguments, const char *run,
                           struct status *status)
{
    char *path = cli_find_checkpoint(arguments, run, status);
    bool good = path && predictor_open(predictor, path, CHECKPOINT_BEST, arguments->overrides,
                                       arguments->override_count, status);
    if (good && arguments->views) predictor->views = atoi(arguments->views); /* one of the choices */
    free(path);
    return good;
}

bool cli_open_predictor(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    return cli_open_predictor_of(predictor, arguments, arguments->words[0], status);
}

static bool asks_for_other_data(const struct cli_arguments *arguments)
{
    for (int i = 0; i < arguments->override_count; i++) {
        const struct experiment_override *override = &arguments->overrides[i];
        if (strcmp(override->section, "data") == 0) return true;
        if (strcmp(override->section, "experiment") == 0 && strcmp(override->key, "seed") == 0) return true;
    }
    return false;
}

void cli_warn_of_other_data(const struct predictor *predictor, const struct dataset *dataset,
                            const struct cli_arguments *arguments)
{
    const struct dataset_digest *before = &predictor->input.data;
    if (before->train.count == 0 || asks_for_other_data(arguments)) return;
    char *difference = dataset_digest_difference(before, &dataset->digest);
    if (!difference) return;
    warning_print("the data set is no longer the one that %s was trained with: %s", predictor->path, difference);
    free(difference);
}
