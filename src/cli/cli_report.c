/* Writes a page about runs. Where a config, a checkpoint or the data is missing, the page leaves its part out and says
 * so. */
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "cli/cli_private.h"
#include "cli/cli_runs.h"
#include "data/dataset.h"
#include "metrics/mistakes.h"
#include "predict/predictor.h"
#include "report/plot.h"
#include "report/progress.h"
#include "report/report.h"
#include "train/train.h"
#include "util/memory.h"

/* The parts of a run that the page borrows. */
struct material {
    struct report_run run;
    char *title, *config;
    struct experiment experiment; /* empty where `file` is NULL */
    struct predictor predictor;   /* empty where `path` is NULL; the next two then describe the layers */
    struct backend *backend;
    struct network *network;
    struct report_evaluation evaluation;
    struct confusion confusion;
    struct mistakes mistakes;
    uint8_t *images;           /* images of the mistakes (count,C,H,W) */
    char *files[MISTAKES_MAX]; /* names of their files; NULL where the format has none */
};

/* --- config and layers --- */

/* Returns the second line of a picture's title. The first is the run's name. */
static char *title_of(const struct experiment *experiment)
{
    char *lines = plot_title(experiment), *second = strchr(lines, '\n');
    char *title = memory_copy_string(second ? second + 1 : lines);
    free(lines);
    return title;
}

static void add_config(struct material *material, const char *folder)
{
    struct status status;
    if (cli_run_experiment(&material->experiment, folder, NULL, 0, &status)) {
        const struct experiment *experiment = &material->experiment;
        material->run.config = material->config = experiment_text(experiment);
        material->run.title = material->title = title_of(experiment);
        material->run.batch_size = experiment->train.batch_size;
        material->run.max_steps = experiment->train.max_steps;
    } else {
        report_add_missing(&material->run, "no config: %s", status.message);
    }
}

static bool build_network(struct material *material, struct status *status)
{
    struct backend_options options = {.device = DEVICE_CPU, .precision = PRECISION_FP32, .threads = 1};
    struct dataset_description format;
    struct status missing;
    return description_from_experiment(&format, &material->experiment, &missing, status) &&
           backend_create(&material->backend, &options, status) &&
           cli_network_create(&material->network, &material->experiment, format, material->backend, 1, status);
}

static void add_layers(struct material *material)
{
    struct status status;
    if (material->predictor.network) {
        material->run.network = material->predictor.network;
        return;
    }
    if (!material->config)
        report_add_missing(&material->run, "no table of its layers, for want of a config");
    else if (build_network(material, &status))
        material->run.network = material->network;
    else
        report_add_missing(&material->run, "no table of its layers: %s", status.message);
}

/* --- the network's evaluation --- */

struct watcher {
    struct mistakes *mistakes;
    struct progress progress; /* goes to the standard error, where people see it */
    int64_t count;
    const char *set; /* the set's name for people */
};

/* Returns the test set, or the validation set where the data has no test set, or NULL: it has neither. */
static const struct image_set *evaluated_set(const struct dataset *dataset)
{
    if (dataset->test.count > 0) return &dataset->test;
    return dataset->validation.count > 0 ? &dataset->validation : NULL;
}

static void watch_image(void *argument, int64_t index, int64_t label, const double *logits)
{
    struct watcher *watcher = argument;
    mistakes_add(watcher->mistakes, index, label, logits);
    if (progress_due(&watcher->progress)) progress_evaluating(&watcher->progress, watcher->set, index, watcher->count);
}

/* Copies the images of the mistakes and the names of their files, which go with the data set. */
static void copy_images(struct material *material, const struct image_set *set, int64_t size)
{
    material->images = memory_alloc((size_t)(material->mistakes.count * size), 1);
    for (int i = 0; i < material->mistakes.count; i++) {
        int64_t index = material->mistakes.list[i].index;
        const char *name = image_set_name(set, index);
        memcpy(material->images + i * size, image_set_pixels(set, index, size), (size_t)size);
        if (name) material->files[i] = memory_copy_string(name);
    }
}

static void evaluate(struct material *material, const struct dataset *dataset)
{
    const struct image_set *set = evaluated_set(dataset);
    const struct predictor *predictor = &material->predictor;
    const char *name = set == &dataset->test ? "test set" : "validation set";
    struct watcher watcher = {.mistakes = &material->mistakes, .count = set->count, .set = name};
    struct run_output output = {stderr, PROGRESS_BAR};
    struct predictor_visitor visitor = {watch_image, &watcher};
    material->mistakes = mistakes_create(dataset->classes);
    progress_start(&watcher.progress, &output, 0, set->count);
    struct evaluation figures = predictor_evaluate(&material->predictor, set, visitor, &material->confusion);
    progress_close(&watcher.progress);
    copy_images(material, set, dataset->channels * dataset->height * dataset->width);
    material->evaluation = (struct report_evaluation){
        .checkpoint = predictor->path, .set = name, .step = predictor->step, .figures = figures};
    material->evaluation.confusion = &material->confusion;
    material->evaluation.class_names = predictor->input.class_names;
    material->evaluation.mistakes = material->mistakes.list;
    material->evaluation.mistake_count = material->mistakes.count;
    material->evaluation.channels = dataset->channels;
    material->evaluation.height = dataset->height;
    material->evaluation.width = dataset->width;
    material->evaluation.images = material->images;
    material->evaluation.mistake_files = set->names ? material->files : NULL;
    material->run.evaluation = &material->evaluation;
}

static bool load_and_evaluate(struct material *material, const char *folder, const struct cli_arguments *arguments,
                              struct status *status)
{
    struct dataset dataset = {0};
    if (!cli_open_predictor_of(&material->predictor, arguments, folder, status)) return false;
    if (!progress_load_data(&dataset, &material->predictor.experiment, &(struct run_output){stderr, PROGRESS_BAR},
                            status))
        return false;
    bool good = predictor_check_data(&material->predictor, &dataset, status);
    if (good && !evaluated_set(&dataset))
        good = status_fail(status, STATUS_RUNTIME, "the data has neither a test set nor a validation set");
    good = good && predictor_check_set(&material->predictor, evaluated_set(&dataset), status);
    if (good) {
        cli_warn_of_other_data(&material->predictor, &dataset, arguments);
        evaluate(material, &dataset);
    }
    dataset_free(&dataset);
    return good;
}

static void add_evaluation(struct material *material, const char *folder, const struct cli_arguments *arguments)
{
    struct status status;
    if (arguments->no_evaluation || load_and_evaluate(material, folder, arguments, &status)) return;
    report_add_missing(&material->run, "no confusion matrix and no images: %s", status.message);
}

/* --- the page --- */

static void gather(struct material *material, const struct cli_source *source, const struct cli_arguments *arguments)
{
    material->run = (struct report_run){.name = source->label, .rows = source->rows, .row_count = source->row_count};
    material->run.running = source->columns.running;
    material->run.best_by = trainer_best_by(CHECKPOINT_BEST_AUTO, source->columns);
    add_config(material, source->folder);
    if (material->config)
        material->run.best_by = trainer_best_by(material->experiment.checkpoint.best_by, source->columns);
    add_evaluation(material, source->folder, arguments);
    add_layers(material);
}

static void material_free(struct material *material)
{
    for (int i = 0; i < REPORT_MISSING_MAX; i++) free(material->run.missing[i]);
    free(material->title);
    free(material->config);
    if (material->experiment.file) experiment_free(&material->experiment);
    predictor_close(&material->predictor);
    confusion_free(&material->confusion);
    mistakes_free(&material->mistakes);
    free(material->images);
    for (int i = 0; i < MISTAKES_MAX; i++) free(material->files[i]);
    network_destroy(material->network);
    backend_destroy(material->backend);
}

static char *path_of(const char *out, const struct cli_source *sources, int count)
{
    if (out) return memory_copy_string(out);
    if (count == 1) return memory_format("%s/report.html", sources->folder);
    return memory_copy_string("report.html");
}

static bool write_page(const struct cli_source *sources, struct material *materials, int count, const char *out,
                       struct status *status)
{
    struct report_run *runs = memory_alloc((size_t)count, sizeof *runs);
    for (int i = 0; i < count; i++) runs[i] = materials[i].run;
    char *path = path_of(out, sources, count);
    bool good = report_write(path, runs, count, status);
    if (good) puts(path);
    free(path);
    free(runs);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    int count;
    struct cli_source *sources = cli_sources_read(arguments->words, arguments->word_count, &count, status);
    if (!sources) return false;
    struct material *materials = memory_alloc((size_t)count, sizeof *materials);
    for (int i = 0; i < count; i++) gather(&materials[i], &sources[i], arguments);
    bool good = write_page(sources, materials, count, arguments->folder, status);
    for (int i = 0; i < count; i++) material_free(&materials[i]);
    free(materials);
    cli_sources_free(sources, count);
    return good && cli_sources_check(count, arguments->word_count, status);
}

static const char *const checkpoints[] = {"best", "last", NULL};
static const struct cli_operand operands[] = {CLI_OPERAND_RUNS, {0}};
static const struct cli_option options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Write FILE; default: report.html in the run's folder, or in the current folder for several runs.",
     .expected = "a file",
     CLI_FIELD(folder)},
    {.name = "output", .kind = CLI_FILE, .argument = "FILE", .help = "The same as --out.", CLI_FIELD(folder)},
    {.name = "checkpoint",
     .letter = 'c',
     .kind = CLI_CHOICE,
     .argument = "best|last",
     .help = "Which network is evaluated; default: best, by checkpoint.best_by.",
     .choices = checkpoints,
     CLI_FIELD(checkpoint)},
    {.name = "no-evaluation",
     .help = "Evaluate nothing: no confusion matrix and no images, but done at once.",
     CLI_FIELD(no_evaluation)},
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer report runs/quickstart", "Write runs/quickstart/report.html."},
    {"trainer report runs/a runs/b --out compare.html", "Two runs on one page."},
    {0},
};

const struct cli_command cli_report = {
    .name = "report",
    .summary = "Write a page about runs: curves, confusion matrix, mistakes, layers, config; one HTML file.",
    .description =
        "Also while a run is still going on. The file needs no server, no network and no other file. The "
        "confusion matrix and the images are of the test set that the run's config names, or of its validation set "
        "where there is no test set, by its best checkpoint; --set changes that config. What cannot be had is left out, and the page says so.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
