/* Packs a config's data set into one file, and checks such files. */
#include <inttypes.h>
#include <stdlib.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "data/pack_dataset.h"
#include "report/progress.h"
#include "util/clock.h"
#include "util/memory.h"
#include "util/thousands.h"

/* Prints "FILE: 50,000 training, 10,000 test images of 3x32x32, 10 classes, 184,400,000 bytes, ". */
static void print_summary(const char *path, const struct pack_summary *summary)
{
    const struct {
        int64_t count;
        const char *name;
    } sets[] = {{summary->train, "training"}, {summary->validation, "validation"}, {summary->test, "test"}};
    printf("%s:", path);
    for (int i = 0, printed = 0; i < 3; i++)
        if (sets[i].count > 0)
            printf("%s %s %s", printed++ > 0 ? "," : "", thousands_format(sets[i].count).text, sets[i].name);
    printf(" images of %" PRId64 "x%" PRId64 "x%" PRId64 ", %s classes, %s bytes, ", summary->channels, summary->height,
           summary->width, thousands_format(summary->classes).text, thousands_format(summary->bytes).text);
}

static bool check(const char *path, struct status *status)
{
    struct pack_summary summary;
    if (!dataset_pack_check(&summary, path, status)) return false;
    print_summary(path, &summary);
    puts("good");
    return true;
}

static bool write(const struct experiment *experiment, const struct dataset *dataset, const char *path, double start,
                  struct status *status)
{
    struct pack_summary summary = {.channels = dataset->channels,
                                   .height = dataset->height,
                                   .width = dataset->width,
                                   .classes = dataset->classes,
                                   .train = dataset->train.count,
                                   .validation = dataset->validation.count,
                                   .test = dataset->test.count};
    struct status problem;
    const struct dataset_spec spec = dataset_spec_from_experiment(experiment);
    if (!dataset_pack(dataset, &spec, path, &summary.bytes, &problem))
        return experiment_fail_placed(experiment, &problem, status);
    print_summary(path, &summary);
    printf("%.1f s\n", clock_seconds() - start);
    return true;
}

static bool pack(const struct experiment *experiment, const char *wanted, struct status *status)
{
    struct dataset dataset;
    double start = clock_seconds();
    const struct run_output output = {stderr, PROGRESS_BAR}; /* where people see it */
    if (!progress_load_files(&dataset, experiment, &output, status)) return false;
    char *path = wanted ? memory_copy_string(wanted) : memory_format("%s.pack", experiment->experiment.name);
    bool good = write(experiment, &dataset, path, start, status);
    free(path);
    dataset_free(&dataset);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (arguments->check && arguments->word_count > 0)
        return status_fail(status, STATUS_USAGE, "--check: expected no config beside it, found \"%s\"",
                           arguments->words[0]);
    if (arguments->check) return check(arguments->check, status);
    if (arguments->word_count == 0)
        return status_fail(status, STATUS_USAGE, "expected a config file, or --check FILE; see trainer pack --help");
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    bool good = pack(&experiment, arguments->folder, status);
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {
    {.name = "CONFIG",
     .help = "A config file, whose data set is packed.",
     .expected = "a config file",
     .kind = CLI_CONFIG,
     .optional = true},
    {0},
};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "output",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Write to FILE instead of <experiment.name>.pack.",
     .expected = "a file",
     CLI_FIELD(folder)},
    {.name = "check",
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Check every byte of a packed file, in place of writing one.",
     .expected = "a packed file",
     CLI_FIELD(check)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer pack photos.ini -o photos.pack",
     "One file, which trains with --set data.dataset=pack --set data.path=photos.pack."},
    {"trainer pack --check photos.pack", "Whether the file is whole."},
    {0},
};

const struct cli_command cli_pack = {
    .name = "pack",
    .summary = "Pack the data set of CONFIG into one file, which starts at once.",
    .description =
        "The file holds the images as they enter the network, the classes, and the names of the images' files: "
        "`data.dataset = pack` reads it, with `data.path` as its path. It is mapped into memory, so that nothing is "
        "decoded at the start of a run, and a data set may be larger than memory. A run of the packed file has the "
        "results of a run of the data set itself, to the bit.\n\n"
        "Training, validation and test set are packed as the data set has them. `data.test_size` is drawn before; "
        "`data.validation_size` and `data.normalization` are left to the runs.\n\n"
        "Header and tables of a packed file are always checked by their SHA-256 when it is opened, and its pixels "
        "too where they have at most 1 GiB; --check also checks those of larger files.\n\n"
        "Folders of pictures are packed by themselves: the decoded pictures are kept in $XDG_CACHE_HOME/trainer, or "
        "~/.cache/trainer, which may be deleted at any time.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
