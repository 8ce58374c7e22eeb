/* --checkpoint: which of a run's networks a subcommand uses. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "trainer/predictor.h"

char *cli_find_checkpoint(const struct cli_arguments *arguments, struct status *status)
{
    const char *which = arguments->checkpoint ? arguments->checkpoint : "best", *run = arguments->words[0];
    if (strcmp(which, "best") == 0) return checkpoint_find(run, CHECKPOINT_BEST, status);
    if (strcmp(which, "last") == 0) return checkpoint_find(run, CHECKPOINT_LAST, status);
    return checkpoint_find(which, CHECKPOINT_BEST, status);
}

bool cli_open_predictor(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    char *path = cli_find_checkpoint(arguments, status);
    bool good = path && predictor_open(predictor, path, CHECKPOINT_BEST, arguments->overrides,
                                       arguments->override_count, status);
    free(path);
    return good;
}
