/* Draws a picture of the training images, as they are and as augmentation shows them to the network. */
#include <inttypes.h>
#include <stdlib.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "report/samples.h"
#include "train/train.h"
#include "util/memory.h"

enum { ROWS = 8, COLUMNS = 8 };

static bool write_picture(const struct experiment *experiment, const struct dataset *dataset, const char *path,
                          struct status *status)
{
    if (!trainer_check_dataset(experiment, dataset, status)) return false;
    if (dataset->channels != 1 && dataset->channels != 3)
        return status_fail(status, STATUS_USAGE, "a picture has 1 or 3 channels, these images have %" PRId64,
                           dataset->channels);
    struct image picture =
        samples_picture(experiment, dataset, dataset->train.count < ROWS ? dataset->train.count : ROWS, COLUMNS);
    bool good = image_write_png(&picture, path, status);
    if (good) puts(path);
    image_free(&picture);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    struct dataset dataset;
    const char *path = arguments->folder ? arguments->folder : "samples.png";
    if (!experiment_load(&experiment, arguments->words[0], arguments->overrides, arguments->override_count, status))
        return false;
    bool good = dataset_from_experiment(&dataset, &experiment, NULL, status);
    if (good) {
        good = write_picture(&experiment, &dataset, path, status);
        dataset_free(&dataset);
    }
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_CONFIG, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {
        .name = "output",
        .letter = 'o',
        .kind = CLI_FILE,
        .argument = "FILE",
        .help = "Write to FILE instead of samples.png.",
        CLI_FIELD(folder),
    },
    {0},
};
static const struct cli_example examples[] = {
    {"trainer samples configs/quickstart.ini --set augment.crop=4", "What moving by up to 4 pixels looks like."},
    {0},
};

const struct cli_command cli_samples = {
    .name = "samples",
    .summary = "Draw training images of CONFIG as the network sees them, augmented.",
    .description =
        "A PNG picture, a row per image, of each class in turn: at the left as it is in the file, then as it enters the network in the "
        "first seven epochs, by the same draws as in training. Needs the data.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
