/* Prints what the program finds on this machine, and what it could do more with. */
#include "cli/cli_doctor.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli_json.h"
#include "cli/cli_private.h"

static bool begins_group(const struct cli_findings *findings, int i)
{
    return i == 0 || strcmp(findings->all[i - 1].group, findings->all[i].group) != 0;
}

static void print_text(const struct cli_findings *findings)
{
    int missing = 0;
    printf("trainer %s\n", TRAINER_VERSION);
    for (int i = 0; i < findings->count; i++) {
        const struct cli_finding *finding = &findings->all[i];
        if (begins_group(findings, i)) printf("\n%s\n", finding->group);
        printf("  %-18s%s%s\n", finding->name, finding->missing ? "MISSING: " : "", finding->text);
        missing += finding->missing;
    }
    puts(missing ? "\nmissing, and what brings it" : "\nnothing is missing");
    for (int i = 0; i < findings->count; i++)
        if (findings->all[i].missing) printf("  %-18s%s\n", findings->all[i].name, findings->all[i].remedy);
}

/* An object per group would lose one of two GPUs, so it is an array. */
static void print_json(const struct cli_findings *findings)
{
    json_t *all = json_array();
    for (int i = 0; i < findings->count; i++) {
        const struct cli_finding *finding = &findings->all[i];
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:o, s:b, s:o}", "group", finding->group, "name", finding->name,
                                        "text", json_value_text(finding->text), "missing", finding->missing, "remedy",
                                        finding->remedy ? json_value_text(finding->remedy) : json_null()));
    }
    cli_json_print(json_pack("{s:s, s:o}", "version", TRAINER_VERSION, "findings", all));
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    (void)status;
    struct cli_findings findings;
    cli_findings_collect(&findings, "");
    (arguments->json ? print_json : print_text)(&findings);
    cli_findings_free(&findings);
    return true;
}

static const struct cli_option options[] = {CLI_OPTION_JSON, {0}};
static const struct cli_example examples[] = {
    {"trainer doctor", "What a run would compute on, and what to install for more."},
    {"trainer doctor --json", "The same for a program."},
    {0},
};

const struct cli_command cli_doctor = {
    .name = "doctor",
    .summary = "Tell what the program finds on this machine, and what is missing.",
    .description =
        "The processor and its instruction sets, the cores and the memory that the process may use, GPUs with "
        "their driver and libraries, the self-test of the GPU, the formats of files that are built in, the "
        "programs of others that it uses, and MPI. What is missing stands at the end, with Debian's package for it. The exit "
        "code is 0 then too, because every part of it can be done without.",
    .operands = cli_no_operands,
    .options = options,
    .examples = examples,
    .run = run,
};
