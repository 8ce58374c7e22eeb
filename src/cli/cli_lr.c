/* Finds a learning rate for a config. */
#include <stdlib.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "config/experiment_read.h"
#include "report/plot.h"
#include "train/init_from.h"
#include "train/lr_find.h"
#include "util/file_atomic.h"
#include "util/memory.h"
#include "util/number.h"

enum { DEFAULT_STEPS = 200, MOST_STEPS = 1000000 };
static const double default_from = 1e-6, default_to = 10;

/* Reads the rate of an option; NULL stands for the default. */
static bool parse_rate(const char *option, const char *text, double usual, double *rate, struct status *status)
{
    *rate = usual;
    if (!text || (number_parse_real(text, rate) && *rate > 0)) return true;
    return status_fail(status, STATUS_USAGE, "--%s %s: expected a learning rate above 0", option, text);
}

static bool parse_range(const struct cli_arguments *arguments, struct lr_range *range, struct status *status)
{
    range->steps = arguments->steps > 0 ? (int)arguments->steps : DEFAULT_STEPS;
    if (!parse_rate("from", arguments->from, default_from, &range->from, status) ||
        !parse_rate("to", arguments->to, default_to, &range->to, status))
        return false;
    return range->from < range->to ||
           status_fail(status, STATUS_USAGE, "--from %g --to %g: expected a rate that is larger than the first",
                       range->from, range->to);
}

/* --- the training --- */

static void show(void *argument, const struct lr_point *point, int step)
{
    const struct lr_range *range = argument;
    int every = range->steps / 20 > 0 ? range->steps / 20 : 1;
    if (step % every == 0)
        printf("step %6d  learning rate %9.3g  loss %8.4f\n", step + 1, point->rate, point->smoothed);
    fflush(stdout);
}

static bool find(struct experiment *experiment, struct lr_range *range, struct lr_find *found, struct status *status)
{
    struct dataset dataset = {0};
    struct backend *backend = NULL;
    struct trainer trainer = {0};
    char *start = NULL;
    bool good = dataset_from_experiment(&dataset, experiment, NULL, status) &&
                experiment_count_steps(experiment, dataset.train.count, status) &&
                backend_from_experiment(&backend, experiment, status);
    if (good) {
        good = trainer_create(&trainer, experiment, &dataset, backend, NULL, status) &&
               init_from_load(&trainer, &start, status);
        if (good) *found = lr_find_run(&trainer, *range, show, range);
        trainer_destroy(&trainer);
    }
    free(start);
    backend_destroy(backend);
    dataset_free(&dataset);
    return good;
}

/* --- what comes out --- */

static void write_points(const void *found, FILE *out)
{
    lr_find_write(found, out);
}

static bool write_table(const char *base, const struct lr_find *found, struct status *status)
{
    char *path = memory_format("%s.csv", base);
    bool good = file_atomic_print(path, write_points, found, status);
    if (good) printf("%s\n", path);
    free(path);
    return good;
}

/* Draws the picture. Where that fails, the table is there all the same. */
static void draw(const struct experiment *experiment, const char *base, const struct lr_find *found)
{
    struct status status;
    struct plot_rate *points = memory_alloc((size_t)found->count, sizeof *points);
    for (int i = 0; i < found->count; i++)
        points[i] = (struct plot_rate){found->points[i].rate, found->points[i].loss, found->points[i].smoothed};
    if (plot_rates(base, experiment->experiment.name, points, found->count, found->steepest, &status))
        printf("%s.png\n%s.svg\n", base, base);
    else
        fprintf(stderr, "trainer: no picture: %s\n", status.message);
    free(points);
}

static void print_suggestion(const struct lr_find *found)
{
    char suggested[32];
    if (found->steepest < 0) {
        puts("\nno rate is suggested: the loss falls nowhere");
        return;
    }
    snprintf(suggested, sizeof suggested, "%.2g", found->points[found->steepest].rate);
    printf("\noptimizer.learning_rate = %s    the loss falls fastest there; it is lowest at %.2g%s\n", suggested,
           found->points[found->lowest].rate, found->diverged ? ", and training comes apart behind that" : "");
}

static bool report(const struct experiment *experiment, const char *base, const struct lr_find *found,
                   struct status *status)
{
    print_suggestion(found);
    if (!write_table(base, found, status)) return false;
    draw(experiment, base, found);
    return true;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    struct lr_range range;
    struct lr_find found = {0};
    if (!parse_range(arguments, &range, status)) return false;
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    char *base =
        arguments->folder ? memory_copy_string(arguments->folder) : memory_format("lr-%s", experiment.experiment.name);
    bool good = find(&experiment, &range, &found, status) && report(&experiment, base, &found, status);
    lr_find_free(&found);
    free(base);
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "from",
     .kind = CLI_TEXT,
     .argument = "RATE",
     .help = "Learning rate of the first step; default: 1e-6.",
     .expected = "a learning rate",
     CLI_FIELD(from)},
    {.name = "to",
     .kind = CLI_TEXT,
     .argument = "RATE",
     .help = "Learning rate of the last step; default: 10.",
     .expected = "a learning rate",
     CLI_FIELD(to)},
    {.name = "steps",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .argument = "N",
     .help = "Take N steps between them; default: 200.",
     .low = LR_FIND_LEAST_STEPS,
     .high = MOST_STEPS,
     CLI_FIELD(steps)},
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "BASE",
     .help = "Write BASE.csv, BASE.png and BASE.svg; default: lr-<experiment.name> in the current folder.",
     .expected = "a path without its ending",
     CLI_FIELD(folder)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer lr configs/folder.ini --set data.path=photos", "A rate to start from for pictures of one's own."},
    {0},
};

const struct cli_command cli_lr = {
    .name = "lr",
    .summary = "Suggest a learning rate for CONFIG, and draw how the loss depends on it.",
    .description =
        "Trains CONFIG's network for N steps, each at a higher rate than the one before it, and stops where the loss "
        "grows to four times the lowest. The suggested rate is that at which the smoothed loss falls fastest, over an "
        "eighth of the range; where the loss is lowest, steps are nearly too long already. Schedules (warm-up above "
        "all) and long trainings may want half of it or twice as much. Nothing of the training is kept. The loss of "
        "each batch is in BASE.csv.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
