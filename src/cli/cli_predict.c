/* Classifies pictures with a trained network. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_json.h"
#include "cli/cli_pictures.h"
#include "cli/cli_private.h"
#include "trainer/image.h"
#include "trainer/memory.h"
#include "trainer/predictor.h"
#include "util/csv_field.h"
#include "util/warning.h"

enum { NAME_SIZE = 256, DEFAULT_TOP = 5 };

struct prediction {
    const char *file;
    int64_t height, width;          /* size of the picture before it was resized */
    double *logits, *probabilities; /* (D) */
    int *order;                     /* (D) classes, the most probable first */
};

static void prediction_free(struct prediction *prediction)
{
    free(prediction->logits);
    free(prediction->probabilities);
    free(prediction->order);
}

/* Sorts classes by probability. The sort is stable: classes of equal probability keep their order. */
static void sort_classes(struct prediction *prediction, int classes)
{
    for (int i = 0; i < classes; i++) {
        int place = i;
        for (; place > 0 && prediction->probabilities[prediction->order[place - 1]] < prediction->probabilities[i];
             place--)
            prediction->order[place] = prediction->order[place - 1];
        prediction->order[place] = i;
    }
}

static bool predict(struct predictor *predictor, const char *file, struct prediction *prediction, struct status *status)
{
    const struct checkpoint_input *input = &predictor->input;
    struct image image;
    if (!image_read(&image, file, input->channels, status)) return false;
    size_t classes = (size_t)input->classes;
    *prediction = (struct prediction){.file = file,
                                      .height = image.height,
                                      .width = image.width,
                                      .logits = memory_alloc(classes, sizeof(double)),
                                      .probabilities = memory_alloc(classes, sizeof(double)),
                                      .order = memory_alloc(classes, sizeof(int))};
    image_resize(&image, input->height, input->width);
    predictor_logits(predictor, image.pixels, 1, prediction->logits);
    predictor_probabilities(prediction->logits, input->classes, prediction->probabilities);
    sort_classes(prediction, (int)input->classes);
    image_free(&image);
    return true;
}

/* --- for people --- */

static void print_text(const struct predictor *predictor, const struct prediction *prediction, int64_t top)
{
    fputs(prediction->file, stdout);
    putchar('\n');
    for (int64_t i = 0; i < top; i++) {
        char name[NAME_SIZE];
        predictor_class_name(predictor, prediction->order[i], name, sizeof name);
        printf("  %6.2f%%  %s\n", 100 * prediction->probabilities[prediction->order[i]], name);
    }
}

/* --- CSV --- */

static void print_header(int64_t top)
{
    printf("file,class,name,probability,");
    for (int64_t i = 2; i <= top; i++) printf("class_%" PRId64 ",name_%" PRId64 ",probability_%" PRId64 ",", i, i, i);
    puts("error");
}

static void print_row(const struct predictor *predictor, const struct prediction *prediction, int64_t top)
{
    csv_field_write(prediction->file, stdout);
    for (int64_t i = 0; i < top; i++) {
        char name[NAME_SIZE];
        int label = prediction->order[i];
        predictor_class_name(predictor, label, name, sizeof name);
        printf(",%d,", label);
        csv_field_write(name, stdout);
        printf(",%.9g", prediction->probabilities[label]);
    }
    puts(",");
}

static void print_problem_row(const char *path, const char *problem, int64_t top)
{
    csv_field_write(path, stdout);
    for (int64_t i = 0; i < 3 * top + 1; i++) putchar(',');
    csv_field_write(problem, stdout);
    putchar('\n');
}

/* --- JSON --- */

static json_t *prediction_object(const struct predictor *predictor, const struct prediction *prediction, int64_t top)
{
    json_t *best = json_array(), *logits = json_array();
    for (int64_t i = 0; i < top; i++) {
        char name[NAME_SIZE];
        int label = prediction->order[i];
        predictor_class_name(predictor, label, name, sizeof name);
        json_array_append_new(best, json_pack("{s:i, s:o, s:o}", "class", label, "name", json_value_text(name),
                                              "probability", json_value_number(prediction->probabilities[label])));
    }
    for (int64_t i = 0; i < predictor->input.classes; i++)
        json_array_append_new(logits, json_value_number(prediction->logits[i]));
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "file", json_value_text(prediction->file), "width",
                     (json_int_t)prediction->width, "height", (json_int_t)prediction->height, "top", best, "logits",
                     logits);
}

/* --- a list of pictures --- */

struct list {
    struct predictor *predictor;
    const struct cli_arguments *arguments;
    int64_t top;
    json_t *answers; /* with --json: an answer for each picture */
    int64_t count, bad;
    struct status first; /* the first picture's problem: a warning if another picture follows, else the error */
};

static void answer(struct list *list, const struct prediction *prediction)
{
    const struct cli_arguments *arguments = list->arguments;
    if (arguments->json)
        json_array_append_new(list->answers, prediction_object(list->predictor, prediction, list->top));
    else if (arguments->csv)
        print_row(list->predictor, prediction, list->top);
    else
        print_text(list->predictor, prediction, list->top);
}

/* Reports a bad picture among the answers and on the standard error. The pictures after it are still answered. */
static void answer_problem(struct list *list, const char *path, const struct status *problem)
{
    const struct cli_arguments *arguments = list->arguments;
    list->bad++;
    if (arguments->json)
        json_array_append_new(list->answers, json_pack("{s:o, s:o}", "file", json_value_text(path), "error",
                                                       json_value_text(problem->message)));
    else if (arguments->csv)
        print_problem_row(path, problem->message, list->top);
    if (list->count == 1)
        list->first = *problem;
    else
        warning_print("%s", problem->message);
}

static void visit(void *argument, const char *path, const struct status *problem)
{
    struct list *list = argument;
    struct prediction prediction;
    struct status status;
    if (++list->count == 2 && list->bad == 1) warning_print("%s", list->first.message);
    if (problem) {
        answer_problem(list, path, problem);
    } else if (!predict(list->predictor, path, &prediction, &status)) {
        answer_problem(list, path, &status);
    } else {
        answer(list, &prediction);
        prediction_free(&prediction);
    }
}

static void print_answers(const struct list *list)
{
    cli_json_print(json_pack("{s:o, s:o, s:I, s:O}", "run", json_value_text(list->arguments->words[0]), "checkpoint",
                             json_value_text(list->predictor->path), "step", (json_int_t)list->predictor->step,
                             "predictions", list->answers));
}

static bool predict_all(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    struct list list = {.predictor = predictor, .arguments = arguments, .answers = json_array()};
    list.top = arguments->top > 0 ? arguments->top : arguments->csv ? 1 : DEFAULT_TOP;
    if (list.top > predictor->input.classes) list.top = predictor->input.classes;
    if (arguments->csv) print_header(list.top);
    cli_pictures_visit(arguments->words + 1, arguments->word_count - 1, visit, &list);
    if (arguments->json) print_answers(&list);
    json_decref(list.answers);
    if (list.bad == 0) return true;
    if (list.count == 1) return *status = list.first, false;
    return status_fail(status, STATUS_RUNTIME, "%" PRId64 " of %" PRId64 " pictures could not be read", list.bad,
                       list.count);
}

static bool check_channels(const struct predictor *predictor, struct status *status)
{
    int64_t channels = predictor->input.channels;
    if (channels == 1 || channels == 3) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: the network takes images of %" PRId64 " channels, and pictures have 1 or 3",
                       predictor->path, channels);
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct predictor predictor;
    if (arguments->json && arguments->csv)
        return status_fail(status, STATUS_USAGE, "--json and --csv: expected one of them");
    if (!cli_open_predictor(&predictor, arguments, status)) return false;
    bool good = predictor_check_single(&predictor, status) && check_channels(&predictor, status) &&
                predict_all(&predictor, arguments, status);
    predictor_close(&predictor);
    return good;
}

static const struct cli_operand operands[] = {
    CLI_OPERAND_RUN,
    {.name = "IMAGE",
     .help = "A PNG or JPEG file; a folder, for the .png, .jpg and .jpeg files in it; or -, for a list of both on the "
             "standard input.",
     .expected = "an image",
     .kind = CLI_FILE,
     .repeated = true},
    {0},
};
static const struct cli_option options[] = {
    {.name = "top",
     .letter = 't',
     .kind = CLI_NUMBER,
     .argument = "N",
     .help = "Show the N most probable classes; default: 5, with --csv 1.",
     .low = 1,
     .high = DATASET_CLASSES_MAX,
     CLI_FIELD(top)},
    CLI_OPTION_CHECKPOINT,
    CLI_OPTION_JSON,
    {.name = "csv",
     .help = "Print a table: a line with the names of its columns, and a line for each picture.",
     CLI_FIELD(csv)},
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer predict runs/convnet cat.jpg dog.png", "The five most probable classes of each picture."},
    {"find photos -name '*.jpg' | trainer predict runs/convnet --csv - > photos.csv",
     "A table of all photos, also of those in subfolders."},
    {0},
};

const struct cli_command cli_predict = {
    .name = "predict",
    .summary = "Tell what a run's network sees in pictures.",
    .description =
        "A picture is scaled to the network's input, whatever its shape, by a triangular filter that does not alias "
        "when it reduces (Pillow's BILINEAR). Photos are turned upright by their EXIF orientation. Transparent parts lie "
        "on white; a network that takes grey images gets the luminance 0.299 R + 0.587 G + 0.114 B. Pixels are then "
        "normalized as in training. Pictures of more than 16384 pixels on a side or 67,108,864 in all are refused.\n\n"
        "The pictures of a folder come in the order of the bytes of their names. Its subfolders and names that begin "
        "with a dot are left out. A list on the standard input has a name in each line.\n\n"
        "A picture that cannot be read is a line on the standard error, and the rest is answered; the exit code is then "
        "1. With `--json` it is an object with `file` and `error`; the others also have the logits, the scores of all "
        "classes before the softmax. With `--csv` its row has the reason in the column `error`. The other columns are "
        "`file`, `class` (a number from 0), `name` and `probability`, then `class_2` and so on with `--top`.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
