/* Chooses the folder that a subcommand writes its run to. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli_private.h"
#include "config/experiment_name.h"
#include "util/memory.h"
#include "util/warning.h"

/* Says so where experiment.name comes from the config's file name and differs from it. */
static void tell_name(const struct experiment *experiment, const char *name)
{
    if (experiment_origin(experiment, "experiment.name").file) return;
    char *stem = experiment_name_of_file(experiment->file);
    if (strcmp(stem, name) != 0)
        warning_print("experiment.name is \"%s\", as the name of the config's file cannot be one", name);
    free(stem);
}

char *cli_run_folder(const struct cli_arguments *arguments, const struct experiment *experiment, const char *name)
{
    if (!arguments->quiet) tell_name(experiment, name);
    return arguments->folder ? memory_copy_string(arguments->folder) : memory_format("runs/%s", name);
}
