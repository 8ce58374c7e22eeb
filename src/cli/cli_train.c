#include <stdlib.h>

#include "cli/cli_private.h"
#include "trainer/experiment.h"
#include "trainer/memory.h"
#include "trainer/train.h"

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    if (arguments->folder && *arguments->folder == '\0')
        return status_fail(status, STATUS_USAGE, "--out: expected a folder, found nothing");
    struct experiment experiment;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    char *folder = arguments->folder ? memory_copy_string(arguments->folder)
                                     : memory_format("runs/%s", experiment.experiment.name);
    bool good = train_run(&experiment, folder, arguments->quiet ? NULL : stdout, NULL, status);
    free(folder);
    experiment_free(&experiment);
    return good;
}

const struct cli_command cli_train = {
    .name = "train",
    .usage = "[train] CONFIG [--set SECTION.KEY=VALUE]... [--out FOLDER] [--quiet]",
    .summary = "Train the network that CONFIG describes; write metrics.csv, resolved.ini and pictures of the curves.",
    .options = "s:o:q",
    .out_help = "FOLDER              write to FOLDER instead of runs/<experiment.name>",
    .fewest_words = 1,
    .most_words = 1,
    .run = run,
};
