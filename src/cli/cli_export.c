/* Writes a run's network in a format of other programs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli_private.h"
#include "predict/export.h"
#include "predict/predictor.h"
#include "util/memory.h"

static const char *const formats[] = {"onnx", "safetensors", "npz", NULL};

/* Returns the path of the output beside the named run or checkpoint: RUN/model.<format>, or <checkpoint>.<format>. A
 * safetensors file beside a checkpoint is <checkpoint>-model.safetensors, since the checkpoint has that ending
 * itself. */
static char *default_output(const char *run, const char *format)
{
    struct stat info;
    if (stat(run, &info) == 0 && S_ISDIR(info.st_mode)) return memory_format("%s/model.%s", run, format);
    const char *name = strrchr(run, '/'), *dot = strrchr(name ? name : run, '.');
    int length = dot && dot != run ? (int)(dot - run) : (int)strlen(run);
    return memory_format(strcmp(format, "safetensors") == 0 ? "%.*s-model.%s" : "%.*s.%s", length, run, format);
}

static bool write_file(const struct export_model *model, const char *format, const char *path, struct status *status)
{
    if (strcmp(format, "onnx") == 0) return export_onnx(model, path, status);
    if (strcmp(format, "npz") == 0) return export_npz(model, path, status);
    return export_safetensors(model, path, status);
}

/* Builds the checkpoint's network, which its tensors must fit. The CPU can do so for every device's runs. */
static bool open_network(struct predictor *predictor, const struct checkpoint *checkpoint, struct status *status)
{
    const struct experiment_override overrides[] = {
        {.section = "backend", .key = "device", .value = "cpu"},
        {.section = "backend", .key = "precision", .value = "fp32"},
        {.section = "model", .key = "batchnorm", .value = "custom"},
    };
    struct experiment experiment;
    if (!checkpoint_experiment(checkpoint, NULL, 0, &experiment, status)) return false;
    int count = experiment.model.batchnorm == BATCHNORM_CUDNN ? 3 : 2;
    experiment_free(&experiment);
    return predictor_open(predictor, checkpoint->file.path, CHECKPOINT_BEST, overrides, count, status);
}

static bool export_network(const struct network *network, const struct checkpoint *checkpoint,
                           const struct cli_arguments *arguments, struct status *status)
{
    const char *format = arguments->format ? arguments->format : formats[0];
    struct experiment experiment;
    struct checkpoint_input input;
    if (!checkpoint_experiment(checkpoint, NULL, 0, &experiment, status)) return false;
    bool good = checkpoint_input_read(&input, &checkpoint->file, status);
    if (good) {
        char *path =
            arguments->folder ? memory_copy_string(arguments->folder) : default_output(arguments->words[0], format);
        struct export_model model = {checkpoint, &experiment, &input, network};
        good = write_file(&model, format, path, status);
        if (good) puts(path);
        free(path);
        checkpoint_input_free(&input);
    }
    experiment_free(&experiment);
    return good;
}

static bool export_checkpoint(const struct checkpoint *checkpoint, const struct cli_arguments *arguments,
                              struct status *status)
{
    struct predictor predictor;
    if (!open_network(&predictor, checkpoint, status)) return false;
    bool good = export_network(predictor.network, checkpoint, arguments, status);
    predictor_close(&predictor);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct checkpoint checkpoint;
    char *path = cli_find_checkpoint(arguments, arguments->words[0], status);
    bool good = path && checkpoint_read(&checkpoint, path, status);
    if (good) {
        good = export_checkpoint(&checkpoint, arguments, status);
        checkpoint_free(&checkpoint);
    }
    free(path);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_RUN, {0}};
static const struct cli_option options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = CLI_CHOICE,
     .argument = "FORMAT",
     .help = "onnx (default), safetensors or npz.",
     .choices = formats,
     CLI_FIELD(format)},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Write FILE instead of model.FORMAT in the run's folder.",
     .expected = "a file",
     CLI_FIELD(folder)},
    CLI_OPTION_CHECKPOINT,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer export runs/convnet", "runs/convnet/model.onnx, for onnxruntime and others."},
    {"trainer export runs/convnet --format safetensors --output convnet.safetensors", "Weights for PyTorch."},
    {0},
};

const struct cli_command cli_export = {
    .name = "export",
    .summary = "Write a run's network as ONNX, safetensors or NPZ.",
    .description =
        "onnx: operator set 17. The input `images`, float32 (N,C,H,W), takes pixels of 0 to 255: the normalization is "
        "in the graph. The outputs, (N,classes), are `logits` and `probabilities`.\n\n"
        "safetensors: `layers.I.weight`, `.bias`, `.running_mean` and `.running_var` under the names and in the shapes "
        "that PyTorch gives an nn.Sequential called `layers` of the same layers; `input.offset` (C,H,W) and "
        "`input.scale` (C): a pixel enters the network as (pixel - offset) * scale.\n\n"
        "npz: the same tensors for NumPy.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
