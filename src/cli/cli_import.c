/* Makes a run of weights that another program wrote. */
#include <stdlib.h>

#include "cli/cli_private.h"
#include "predict/import.h"
#include "util/memory.h"

static void print_set(const char *before, const char *name, const struct evaluation *figures)
{
    if (evaluation_exists(figures))
        printf("%s%s loss %.4f  accuracy %.2f%%", before, name, figures->loss, 100 * figures->accuracy);
}

static void print_row(const char *folder, const struct metrics_row *row)
{
    printf("%s:", folder);
    print_set(" ", "train", &row->train);
    print_set("  ", "val", &row->validation);
    print_set("  ", "test", &row->test);
    putchar('\n');
}

/* --names comes last, as the setting that it is. */
static bool load(struct experiment *experiment, const struct cli_arguments *arguments, struct status *status)
{
    int count = arguments->override_count;
    struct experiment_override *overrides = memory_alloc((size_t)count + 1, sizeof *overrides);
    for (int i = 0; i < count; i++) overrides[i] = arguments->overrides[i];
    if (arguments->names)
        overrides[count++] =
            (struct experiment_override){.section = "model", .key = "init_names", .value = arguments->names};
    bool good = experiment_load(experiment, arguments->words[0], overrides, count, status);
    free(overrides);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct experiment experiment;
    if (!load(&experiment, arguments, status)) return false;
    char *folder = cli_run_folder(arguments, &experiment, experiment.experiment.name);
    struct metrics_row row;
    enum train_start start = arguments->overwrite ? TRAIN_OVERWRITE : TRAIN_NEW;
    bool good = import_weights(&experiment, arguments->words[1], folder, start, &row, status);
    if (good) print_row(folder, &row);
    free(folder);
    experiment_free(&experiment);
    return good;
}

static const struct cli_operand operands[] = {
    CLI_OPERAND_CONFIG,
    {.name = "WEIGHTS", .help = "A safetensors file.", .expected = "a safetensors file", .kind = CLI_FILE},
    {0},
};
static const struct cli_option options[] = {
    CLI_OPTION_SET,
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FOLDER,
     .argument = "FOLDER",
     .help = "Make this folder the run, instead of runs/<experiment.name>.",
     .expected = "a folder",
     CLI_FIELD(folder)},
    {.name = "output",
     .kind = CLI_FOLDER,
     .argument = "FOLDER",
     .help = "The same as --out.",
     .expected = "a folder",
     CLI_FIELD(folder)},
    {.name = "names",
     .kind = CLI_FILE,
     .argument = "FILE",
     .help =
         "The order of the modules by their names, where the program does not know them (below): sets model.init_names.",
     .expected = "a file",
     CLI_FIELD(names)},
    {.name = "overwrite", .help = "Replace the run that the folder holds.", CLI_FIELD(overwrite)},
    {0},
};
static const struct cli_example examples[] = {
    {"trainer import configs/convnet.ini from-pytorch.safetensors --out runs/imported",
     "A run that can be evaluated, exported, and trained further with trainer resume."},
    {"trainer import configs/resnet18.ini resnet18.safetensors --set data.path=photos",
     "The weights of torchvision's ResNet-18, where photos has as many classes."},
    {0},
};

const struct cli_command cli_import = {
    .name = "import",
    .summary = "Make a run of weights that PyTorch or another program saved as safetensors.",
    .description =
        "WEIGHTS holds the tensors of CONFIG's network, F32, F64, F16 or BF16, under the names that PyTorch gives an "
        "nn.Sequential of the layers that `trainer summary` lists: `layers.I.weight` (O,I,K,K) of a convolution, (O,I) "
        "of a linear layer, (C) of a batch normalization; `layers.I.bias`; `layers.I.running_mean` and "
        "`.running_var`.\n\n"
        "Words that all names begin with are left out: `module.0.weight`, `_orig_mod.layers.0.weight` and `0.weight` "
        "are the same. Where the numbers are others, because the module has an nn.Flatten more, its modules with "
        "tensors are taken in their order, and a line says so; there must be as many as the network's.\n\n"
        "The names of ResNets (ResNeXt, wide ResNets) and MobileNetV2 of torchvision and timm are known: `conv1.weight`, "
        "`layer1.0.bn1.bias`. FILE tells other names. A line is a module, in the order of `trainer summary`: words with "
        "dots between, `#` for a number, and `*` at the end for any more words. Behind a colon stand the ends of "
        "names, as in `layer1.#: conv1, bn1, conv2, bn2`. The first line that fits a module counts, and modules of a "
        "line come in the order of their numbers.\n\n"
        "All tensors of the network must be there, and no others. Passed over are `num_batches_tracked` and, in a "
        "checkpoint of the trainer, the optimizer's state; a tensor of whole numbers that the network has no place for "
        "is passed over with a line. A tensor that is missing is named with the nearest one of "
        "the file; one that the network has no place for, or that has another shape, is named too. `input.offset` and "
        "`input.scale`, which `trainer export` writes, must be the normalization of CONFIG's data.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
