#include <stdlib.h>

#include "cli/cli_private.h"
#include "trainer/memory.h"
#include "trainer/sweep.h"

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    if (arguments->folder && *arguments->folder == '\0')
        return status_fail(status, STATUS_USAGE, "--out: expected a folder, found nothing");
    struct sweep sweep;
    if (!sweep_load(&sweep, arguments->words[0], arguments->overrides, arguments->override_count, status)) return false;
    char *folder = arguments->folder ? memory_copy_string(arguments->folder) : memory_format("runs/%s", sweep.name);
    bool good = sweep_run(&sweep, folder, arguments->quiet ? NULL : stdout, status);
    free(folder);
    sweep_free(&sweep);
    return good;
}

const struct cli_command cli_sweep = {
    .name = "sweep",
    .usage = "sweep CONFIG [--set SECTION.KEY=VALUE]... [--out FOLDER] [--quiet]",
    .summary = "Train every combination of the values in CONFIG's [sweep] section and rank them; goes on where it was.",
    .options = "s:o:q",
    .out_help = "FOLDER              write to FOLDER instead of runs/<experiment.name>, or go on there",
    .fewest_words = 1,
    .most_words = 1,
    .run = run,
};
