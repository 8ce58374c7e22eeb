/* Classifies pictures with a trained network. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_pictures.h"
#include "cli/cli_predictions.h"
#include "cli/cli_private.h"
#include "predict/views.h"
#include "util/memory.h"
#include "util/warning.h"

enum { QUEUE_MAX = 64 }; /* pictures that are read and classified at a time */

struct list {
    struct picture_queue queue;
    struct cli_predictions predictions;
    int64_t count, bad;
    int64_t opposite;    /* pictures with the opposite of the training images' background */
    char *opposite_path; /* the first of them; owned */
    struct status first; /* the first picture's problem: a warning if another picture follows, else the error */
};

/* --- backgrounds --- */

/* Tells whether one background is dark and the other light. */
static bool is_opposite(struct image_border picture, struct image_border training)
{
    enum image_background a = image_border_background(picture), b = image_border_background(training);
    return a != BACKGROUND_MIXED && b != BACKGROUND_MIXED && a != b;
}

static void count_background(struct list *list, const struct queued_picture *picture)
{
    if (!is_opposite(picture->border, list->queue.predictor->input.border)) return;
    if (list->opposite++ == 0) list->opposite_path = memory_copy_string(picture->path);
}

/* Prints a line where pictures have a light background and the training images a dark one, or the other way round. */
static void print_hint(const struct list *list)
{
    if (list->opposite == 0) return;
    bool dark = image_border_background(list->queue.predictor->input.border) == BACKGROUND_DARK;
    const char *found = dark ? "light" : "dark", *expected = dark ? "dark" : "light";
    const char *advice = list->queue.invert ? "--invert made it so" : "--invert turns light and dark round";
    if (list->count == 1)
        warning_print("%s: the background is %s, that of the training images %s; %s", list->opposite_path, found,
                      expected, advice);
    else
        warning_print("%" PRId64 " of %" PRId64 " pictures have a %s background, the training images a %s one; %s",
                      list->opposite, list->count, found, expected, advice);
}

/* --- answers --- */

/* Prints each line of the text as a warning. */
static void print_lines(char *text)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) warning_print("%s", line);
}

/* Reports a bad picture on the standard error. */
static void tell_problem(struct list *list, const struct queued_picture *picture)
{
    list->bad++;
    if (list->count == 1)
        list->first = picture->problem;
    else
        warning_print("%s", picture->problem.message);
}

static void answer(struct list *list, const struct queued_picture *picture)
{
    if (++list->count == 2 && list->bad == 1) warning_print("%s", list->first.message);
    print_lines(picture->warnings);
    cli_predictions_add(&list->predictions, picture);
    if (picture->good)
        count_background(list, picture);
    else
        tell_problem(list, picture);
}

static void answer_queue(struct list *list)
{
    picture_queue_run(&list->queue);
    for (int64_t i = 0; i < list->queue.count; i++) answer(list, &list->queue.pictures[i]);
    picture_queue_clear(&list->queue);
}

static void visit(void *argument, const char *path, const struct status *problem)
{
    struct list *list = argument;
    picture_queue_add(&list->queue, path, problem);
    if (list->queue.count == list->queue.capacity) answer_queue(list);
}

/* --- the subcommand --- */

/* Returns the number of pictures to take at a time. A list that a person types is answered line by line. */
static int64_t queue_size(const struct predictor *predictor, const struct cli_arguments *arguments)
{
    bool reads_list = false;
    for (int i = 1; i < arguments->word_count; i++) reads_list = reads_list || strcmp(arguments->words[i], "-") == 0;
    return reads_list && isatty(STDIN_FILENO) ? 1 : predictor_batch(predictor, QUEUE_MAX);
}

static bool finish(const struct list *list, struct status *status)
{
    print_hint(list);
    if (list->bad == 0) return true;
    if (list->count == 1) return *status = list->first, false;
    return status_fail(status, STATUS_RUNTIME, "%" PRId64 " of %" PRId64 " pictures could not be read", list->bad,
                       list->count);
}

static bool predict_all(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    struct list list = {.queue = picture_queue_create(predictor, queue_size(predictor, arguments), arguments->invert),
                        .predictions = cli_predictions_start(predictor, arguments)};
    cli_pictures_visit(arguments->words + 1, arguments->word_count - 1, arguments->recursive, visit, &list);
    answer_queue(&list);
    cli_predictions_end(&list.predictions);
    bool good = finish(&list, status);
    picture_queue_free(&list.queue);
    free(list.opposite_path);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct predictor predictor;
    if (arguments->json && arguments->csv)
        return status_fail(status, STATUS_USAGE, "--json and --csv: expected one of them");
    if (!cli_open_predictor(&predictor, arguments, status)) return false;
    bool good = predictor_check_single(&predictor, status) && picture_queue_check(&predictor, status) &&
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
    CLI_OPTION_VIEWS,
    CLI_OPTION_JSON,
    {.name = "csv",
     .help = "Print a table: a line with the names of its columns, and a line for each picture.",
     CLI_FIELD(csv)},
    {.name = "recursive",
     .letter = 'r',
     .help = "Also take the pictures in the subfolders of a folder.",
     CLI_FIELD(recursive)},
    {.name = "invert",
     .help =
         "Turn light and dark round: a pixel becomes 255 - pixel. For digits drawn in black on white and a network that "
         "learned white ones on black.",
     CLI_FIELD(invert)},
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer predict runs/convnet cat.jpg dog.png", "The five most probable classes of each picture."},
    {"trainer predict runs/convnet photos --recursive --csv > photos.csv",
     "A table of the pictures in the folder photos and below."},
    {"find photos -newer last | trainer predict runs/convnet -", "The pictures that another program lists."},
    {"trainer predict runs/mnist scan.png --invert",
     "A digit in black on white, for a network of white ones on black."},
    {0},
};

const struct cli_command cli_predict = {
    .name = "predict",
    .summary = "Tell what a run's network sees in pictures.",
    .description =
        "A picture is fitted to the network's input as the pictures of a data set are in training: by `data.resize` it is "
        "cropped, padded or stretched, and transparent parts lie on `data.background`. `--set data.resize=pad` asks for "
        "another way. A run of a program that had no such key stretches, as that program did. Photos are turned upright by "
        "their EXIF orientation. A network that takes grey images gets the luminance 0.299 R + 0.587 G + 0.114 B. Pixels are "
        "then "
        "normalized as in training. Pictures of more than 16384 pixels on a side or 67,108,864 in all are refused.\n\n"
        "Where the training images have a dark background and a picture a light one, or the other way round, a line on the "
        "standard error says so, since a network that learned white digits on black fails on black ones on white. The "
        "background is told by the outermost pixels: dark is a mean below 64, light one above 191, and either only where "
        "their standard deviation is below 64.\n\n"
        "The pictures of a folder come in the order of the bytes of their names. Names that begin with a dot are left "
        "out, and its subfolders, unless `--recursive` asks for them; links are then followed. A list on the standard input has a name in each line.\n\n"
        "A picture that cannot be read is a line on the standard error, and the rest is answered; the exit code is then "
        "1. With `--json` it is an object with `file` and `error`; the others also have the logits, the scores of all "
        "classes before the softmax. With `--csv` its row has the reason in the column `error`. The other columns are "
        "`file`, `class` (a number from 0), `name` and `probability`, then `class_2` and so on with `--top`.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
