/* Evaluates a trained network on one of its data sets: loss, accuracy, figures of each class, confusion matrix. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "cli/cli_eval_csv.h"
#include "cli/cli_json.h"
#include "cli/cli_private.h"
#include "predict/predictor.h"
#include "predict/views.h"
#include "util/thousands.h"

enum {
    NAME_SIZE = 256,
    MATRIX_CLASSES_MAX = 20, /* with more classes the matrix is too wide to read */
    TABLE_CLASSES_MAX = 100, /* with more classes the table has only the worst of them */
    TABLE_CLASSES_WORST = 20,
};

struct outcome {
    const struct predictor *predictor;
    const char *run, *set;
    struct evaluation evaluation;
    struct confusion confusion;
};

/* Returns the number of images in the batch whose statistics normalise the network, or 0: it has running statistics. */
static int64_t statistics_batch(const struct outcome *outcome)
{
    if (!network_needs_batches(outcome->predictor->network)) return 0;
    return predictor_batch(outcome->predictor, confusion_total(&outcome->confusion));
}

/* --- for people --- */

static const char macro_name[] = "macro average"; /* the last line of the table of classes */

static int name_width(const struct predictor *predictor)
{
    int widest = (int)strlen(macro_name);
    for (int64_t i = 0; i < predictor->input.classes; i++) {
        char name[NAME_SIZE];
        predictor_class_name(predictor, i, name, sizeof name);
        int width = (int)strlen(name);
        if (width > widest) widest = width;
    }
    return widest;
}

/* Prints a share in percent, or "-" where it is not defined. */
static void print_share(double share)
{
    if (isnan(share))
        printf("  %9s", "-");
    else
        printf("  %8.2f%%", 100 * share);
}

static void print_worst(const struct outcome *outcome, int64_t label)
{
    const struct confusion *confusion = &outcome->confusion;
    int64_t count = confusion_label_count(confusion, label), worst = confusion_worst(confusion, label);
    char name[NAME_SIZE];
    if (worst < 0) return;
    predictor_class_name(outcome->predictor, worst, name, sizeof name);
    printf("  %s (%.2f%%)", name, 100 * (double)confusion_count(confusion, label, worst) / (double)count);
}

static void print_class(const struct outcome *outcome, int64_t label, int width)
{
    char name[NAME_SIZE];
    const struct confusion *confusion = &outcome->confusion;
    struct class_figures figures = confusion_class_figures(confusion, label);
    predictor_class_name(outcome->predictor, label, name, sizeof name);
    printf("%-*s  %8s", width, name, thousands_format(confusion_label_count(confusion, label)).text);
    print_share(figures.precision), print_share(figures.recall), print_share(figures.f1);
    print_worst(outcome, label);
    putchar('\n');
}

/* Prints a line per class, or of very many classes those with the lowest F1. */
static void print_classes(const struct outcome *outcome, int width)
{
    const struct confusion *confusion = &outcome->confusion;
    struct macro_figures macro = confusion_macro_figures(confusion);
    int64_t *worst = confusion->classes > TABLE_CLASSES_MAX ? confusion_classes_by_f1(confusion) : NULL;
    int64_t shown = worst ? TABLE_CLASSES_WORST : confusion->classes;
    if (worst)
        printf("The %" PRId64 " of %s classes with the lowest F1; --json has all.\n", shown,
               thousands_format(confusion->classes).text);
    printf("%-*s  %8s  %9s  %9s  %9s%s\n", width, "class", "images", "precision", "recall", "F1",
           confusion->matrix ? "  most often taken for" : "");
    for (int64_t i = 0; i < shown; i++) print_class(outcome, worst ? worst[i] : i, width);
    free(worst);
    printf("%-*s  %8s", width, macro_name, "");
    print_share(macro.precision), print_share(macro.recall), print_share(macro.f1);
    putchar('\n');
}

static void print_matrix(const struct outcome *outcome, int width)
{
    const struct confusion *confusion = &outcome->confusion;
    if (!confusion->matrix) {
        printf("\nNo confusion matrix is kept of more than %s classes; --csv FILE has the answer for each image.\n",
               thousands_format(CONFUSION_MATRIX_MAX).text);
        return;
    }
    if (confusion->classes > MATRIX_CLASSES_MAX) {
        printf("\nThe confusion matrix of %s classes is in the output of --json.\n",
               thousands_format(confusion->classes).text);
        return;
    }
    int digits = snprintf(NULL, 0, "%" PRId64, confusion_total(confusion));
    printf("\nrows: the true class; columns: the class predicted, in the same order\n");
    for (int64_t i = 0; i < confusion->classes; i++) {
        char name[NAME_SIZE];
        predictor_class_name(outcome->predictor, i, name, sizeof name);
        printf("%-*s", width, name);
        for (int64_t k = 0; k < confusion->classes; k++)
            printf("  %*" PRId64, digits, confusion_count(confusion, i, k));
        putchar('\n');
    }
}

static void print_text(const struct outcome *outcome)
{
    const struct confusion *confusion = &outcome->confusion;
    int width = name_width(outcome->predictor);
    printf("%s, step %" PRId64 ", on %s\n", outcome->predictor->path, outcome->predictor->step,
           outcome->predictor->backend->description);
    if (outcome->predictor->views > 1) printf("each image by the mean of %d views\n", outcome->predictor->views);
    int64_t batch = statistics_batch(outcome);
    if (batch > 0) printf("batch statistics: normalised by batches of %s images\n", thousands_format(batch).text);
    printf("%s: %s images, loss %.4f, accuracy %.2f%%\n", outcome->set,
           thousands_format(confusion_total(confusion)).text, outcome->evaluation.loss,
           100 * outcome->evaluation.accuracy);
    printf("balanced accuracy %.2f%%", 100 * confusion_macro_figures(confusion).balanced_accuracy);
    if (confusion->top > 1)
        printf(", top-%" PRId64 " accuracy %.2f%%", confusion->top, 100 * confusion_top_accuracy(confusion));
    fputs("\n\n", stdout);
    print_classes(outcome, width);
    print_matrix(outcome, width);
}

/* --- for programs --- */

static json_t *class_object(const struct outcome *outcome, int64_t label)
{
    char name[NAME_SIZE];
    const struct confusion *confusion = &outcome->confusion;
    struct class_figures figures = confusion_class_figures(confusion, label);
    json_int_t count = confusion_label_count(confusion, label), correct = confusion_correct_count(confusion, label);
    predictor_class_name(outcome->predictor, label, name, sizeof name);
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "class", (json_int_t)label, "name",
                     json_value_text(name), "images", count, "correct", correct, "predicted",
                     (json_int_t)confusion_predicted_count(confusion, label), "accuracy",
                     json_value_number(figures.recall), "precision", json_value_number(figures.precision), "recall",
                     json_value_number(figures.recall), "f1", json_value_number(figures.f1));
}

static json_t *classes_array(const struct outcome *outcome)
{
    json_t *classes = json_array();
    for (int64_t i = 0; i < outcome->confusion.classes; i++) json_array_append_new(classes, class_object(outcome, i));
    return classes;
}

/* Null where no matrix is kept. */
static json_t *matrix_array(const struct confusion *confusion)
{
    if (!confusion->matrix) return json_null();
    json_t *matrix = json_array();
    for (int64_t i = 0; i < confusion->classes; i++) {
        json_t *row = json_array();
        for (int64_t k = 0; k < confusion->classes; k++)
            json_array_append_new(row, json_integer((json_int_t)confusion_count(confusion, i, k)));
        json_array_append_new(matrix, row);
    }
    return matrix;
}

static void add_figures(json_t *json, const struct outcome *outcome)
{
    const struct confusion *confusion = &outcome->confusion;
    struct macro_figures macro = confusion_macro_figures(confusion);
    json_object_set_new(json, "loss", json_value_number(outcome->evaluation.loss));
    json_object_set_new(json, "accuracy", json_value_number(outcome->evaluation.accuracy));
    json_object_set_new(json, "balanced_accuracy", json_value_number(macro.balanced_accuracy));
    json_object_set_new(json, "macro",
                        json_pack("{s:o, s:o, s:o}", "precision", json_value_number(macro.precision), "recall",
                                  json_value_number(macro.recall), "f1", json_value_number(macro.f1)));
    json_object_set_new(json, "top",
                        json_pack("{s:I, s:o}", "k", (json_int_t)confusion->top, "accuracy",
                                  json_value_number(confusion_top_accuracy(confusion))));
}

static void print_json(const struct outcome *outcome)
{
    int64_t batch = statistics_batch(outcome);
    json_t *json = json_pack("{s:o, s:o, s:I, s:s, s:I}", "run", json_value_text(outcome->run), "checkpoint",
                             json_value_text(outcome->predictor->path), "step", (json_int_t)outcome->predictor->step,
                             "set", outcome->set, "images", (json_int_t)confusion_total(&outcome->confusion));
    add_figures(json, outcome);
    json_object_set_new(json, "views", json_integer(outcome->predictor->views));
    json_object_set_new(json, "statistics_batch", batch > 0 ? json_integer((json_int_t)batch) : json_null());
    json_object_set_new(json, "classes", classes_array(outcome));
    json_object_set_new(json, "confusion", matrix_array(&outcome->confusion));
    cli_json_print(json);
}

/* --- the subcommand --- */

static const char *const sets[] = {"test", "train", "validation", NULL};

static bool select_set(const struct dataset *dataset, const char *name, const struct image_set **set,
                       struct status *status)
{
    *set = strcmp(name, "train") == 0  ? &dataset->train
           : strcmp(name, "test") == 0 ? &dataset->test
                                       : &dataset->validation;
    if ((*set)->count > 0) return true;
    if (*set == &dataset->test)
        return status_fail(status, STATUS_USAGE, "the data has no test set; expected --on %s",
                           dataset->validation.count > 0 ? "validation" : "train");
    return status_fail(status, STATUS_USAGE, "--on %s: this run holds out no images (data.validation_size = 0)", name);
}

/* Tells whether the table is all that the standard output gets. */
static bool prints_table(const struct cli_arguments *arguments)
{
    return arguments->table && strcmp(arguments->table, "-") == 0;
}

static bool evaluate_set(struct outcome *outcome, struct predictor *predictor, const struct image_set *set,
                         const struct cli_arguments *arguments, struct status *status)
{
    struct cli_eval_csv csv;
    if (!cli_eval_csv_open(&csv, arguments->table, predictor, set, status)) return false;
    outcome->evaluation = predictor_evaluate(predictor, set, cli_eval_csv_visitor(&csv), &outcome->confusion);
    bool written = cli_eval_csv_close(&csv, status);
    if (arguments->json)
        print_json(outcome);
    else if (!prints_table(arguments))
        print_text(outcome);
    confusion_free(&outcome->confusion);
    return written;
}

static bool evaluate(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    struct outcome outcome = {.predictor = predictor, .run = arguments->words[0], .set = "test"};
    if (arguments->image_set) outcome.set = arguments->image_set;
    struct dataset dataset;
    const struct image_set *set;
    if (!dataset_from_experiment(&dataset, &predictor->experiment, NULL, status)) return false;
    bool good = predictor_check_data(predictor, &dataset, status) && select_set(&dataset, outcome.set, &set, status) &&
                predictor_check_set(predictor, set, status);
    if (good) {
        cli_warn_of_other_data(predictor, &dataset, arguments);
        dataset_warn_of_skipped(&dataset);
        good = evaluate_set(&outcome, predictor, set, arguments, status);
    }
    dataset_free(&dataset);
    return good;
}

static bool run(const struct cli_arguments *arguments, struct status *status)
{
    struct predictor predictor;
    if (arguments->json && prints_table(arguments))
        return status_fail(status, STATUS_USAGE, "--json and --csv -: expected one of them on the standard output");
    if (!cli_open_predictor(&predictor, arguments, status)) return false;
    bool good = evaluate(&predictor, arguments, status);
    predictor_close(&predictor);
    return good;
}

static const struct cli_operand operands[] = {CLI_OPERAND_RUN, {0}};
static const struct cli_option options[] = {
    CLI_OPTION_CHECKPOINT,
    {.name = "on",
     .kind = CLI_CHOICE,
     .argument = "SET",
     .help = "test (default), train, or validation.",
     .choices = sets,
     CLI_FIELD(image_set)},
    CLI_OPTION_JSON,
    {.name = "csv",
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "Also write a table with a row for each image to FILE; -: print it alone.",
     .expected = "a file",
     CLI_FIELD(table)},
    CLI_OPTION_VIEWS,
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer eval runs/quickstart", "Precision and recall of each class, and the confusion matrix."},
    {"trainer eval runs/quickstart --set data.path=/elsewhere --json", "Data in another folder; for a program."},
    {"trainer eval runs/pets --on train --csv train.csv", "The answer for each training image, to find wrong labels."},
    {0},
};

const struct cli_command cli_eval = {
    .name = "eval",
    .summary = "Evaluate a run's network: loss, accuracy, figures of each class, confusion matrix.",
    .description =
        "On all images of the set, with the data that the run's config names. `--set` changes that config.\n\n"
        "Precision is the share of a class's predictions that are right, recall the share of its images that are "
        "found, F1 their harmonic mean. A figure that is not defined is `-`, in JSON null: the precision of a class "
        "that is never predicted, the recall of a class without images. In the macro averages every class that has "
        "images or is predicted weighs the same, and such a figure counts as 0, as in scikit-learn. The balanced "
        "accuracy is the mean recall of the classes that have images. The top-5 accuracy is the share of the images "
        "whose class is among the 5 with the largest scores; with 5 classes or fewer, k is one less than the classes. "
        "`train.class_weights` weighs none of these figures. Of more than 100 classes the table has the 20 with the lowest "
        "F1; `--json` has all. Of more than 2,048 classes no confusion matrix is kept.\n\n"
        "`--csv` writes a row for each image in the order of the set: `index` from 0, `path` of its file as the data set "
        "names it (empty where the format has no files), `label` and `label_name`, `prediction` and `prediction_name`, "
        "the `probability` of the predicted class, `label_probability`, and `correct`, 1 or 0. A network that gives scores "
        "which are no numbers predicts nothing; those fields are empty then.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
