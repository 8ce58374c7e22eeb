/* Measures a config's speed, on noise of its data's format. */
#include "bench/bench.h"
#include "cli/cli_private.h"
#include "train/ranks.h"
#include "util/file_atomic.h"

enum { DEFAULT_STEPS = 30, MOST_STEPS = 1000000 };

struct figures {
    const struct bench_result *result;
    const struct experiment *experiment;
};

static void write_figures(const void *argument, FILE *file)
{
    const struct figures *figures = argument;
    bench_write(figures->result, figures->experiment, file);
}

/* Rank 0 finds out the format of the images, and gives it to the others; no channels stand for a failure. */
static bool find_format(struct dataset_description *format, const struct experiment *experiment, struct comm *comm,
                        struct status *status)
{
    *format = (struct dataset_description){0};
    bool leads = !comm || comm->rank == 0, good = !leads || cli_image_format(format, experiment, status);
    if (!good) *format = (struct dataset_description){0};
    struct status broken;
    if (comm && !comm_broadcast(comm, format, sizeof *format, "the format of the images", &broken)) {
        *status = broken;
        return false;
    }
    if (format->channels > 0) return true;
    return leads ? false : status_fail(status, STATUS_USAGE, "rank 0 has no format of the images");
}

static bool measure(const struct experiment *experiment, const struct cli_arguments *arguments, struct comm *comm,
                    struct status *status)
{
    const struct bench_wish wish = {.steps = arguments->steps > 0 ? (int)arguments->steps : DEFAULT_STEPS,
                                    .evaluation = !arguments->no_evaluation,
                                    .ops = arguments->ops};
    const char *path = arguments->folder;
    struct dataset_description format;
    struct bench_result result;
    if (!find_format(&format, experiment, comm, status)) return false;
    struct shape image = {1, format.channels, format.height, format.width};
    if (!bench_run(&result, experiment, image, format.classes, wish, comm, status)) return false;
    struct figures figures = {&result, experiment};
    bool good = true;
    if (!comm || comm->rank == 0) {
        printf("%s, batches of %lld images", experiment->experiment.name, (long long)experiment->train.batch_size);
        if (comm) printf(", %d ranks, of which this is the first", comm->size);
        putchar('\n');
        bench_print(&result, stdout);
        good = !path || file_atomic_print(path, write_figures, &figures, status);
    }
    bench_free(&result);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    struct comm *comm;
    if (!cli_join_ranks(&comm, status)) return false;
    bool good = true;
    if (!comm || comm->rank == 0)
        good =
            experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status);
    if (comm) good = ranks_share_experiment(comm, good, &experiment, status);
    if (good) {
        if (comm) comm->timeout = experiment.backend.exchange_timeout;
        good = measure(&experiment, arguments, comm, status);
        experiment_free(&experiment);
    }
    cli_leave_ranks(comm, good, status);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "steps",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .argument = "N",
     .help = "Measure N training steps; default: 30.",
     .low = 1,
     .high = MOST_STEPS,
     CLI_FIELD(steps)},
    {.name = "ops",
     .help = "Also measure each operation of a training step alone, and how many bytes a second it moves at least.",
     CLI_FIELD(ops)},
    {.name = "no-evaluation", .help = "Measure training alone.", CLI_FIELD(no_evaluation)},
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Also write the figures and every key of the config to FILE, as INI.",
     .expected = "a file",
     CLI_FIELD(folder)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer bench configs/convnet.ini --set backend.threads=1", "Measure on one thread."},
    {0},
};

const struct cli_command cli_bench = {
    .name = "bench",
    .ranks = true,
    .summary = "Measure how fast CONFIG trains and evaluates here, layer by layer.",
    .description = "Uses noise in the shape of the data's images, so the data need not be there.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
