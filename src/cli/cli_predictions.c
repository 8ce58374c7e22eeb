/* Prints the answers of predict. */
#include "cli/cli_predictions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli_json.h"
#include "util/csv_field.h"
#include "util/memory.h"

enum { NAME_SIZE = 256, DEFAULT_TOP = 5 };

struct ranked {
    double probability;
    int label;
};

/* Sorts by falling probability. Classes of equal probability keep their order. */
static int compare(const void *first, const void *second)
{
    const struct ranked *a = first, *b = second;
    if (a->probability != b->probability) return a->probability > b->probability ? -1 : 1;
    return a->label - b->label;
}

static void rank(struct cli_predictions *predictions, const double *logits)
{
    int64_t classes = predictions->predictor->input.classes;
    scores_probabilities(logits, classes, predictions->probabilities);
    for (int64_t i = 0; i < classes; i++)
        predictions->ranking[i] = (struct ranked){predictions->probabilities[i], (int)i};
    qsort(predictions->ranking, (size_t)classes, sizeof *predictions->ranking, compare);
}

/* Writes the name of the class at a place of the ranking. */
static void name_of(const struct cli_predictions *predictions, int64_t place, char name[NAME_SIZE])
{
    predictor_class_name(predictions->predictor, predictions->ranking[place].label, name, NAME_SIZE);
}

/* --- for people --- */

static void print_text(const struct cli_predictions *predictions, const char *path)
{
    puts(path);
    for (int64_t i = 0; i < predictions->top; i++) {
        char name[NAME_SIZE];
        name_of(predictions, i, name);
        printf("  %6.2f%%  %s\n", 100 * predictions->ranking[i].probability, name);
    }
}

/* --- CSV --- */

static void print_header(int64_t top)
{
    printf("file,class,name,probability,");
    for (int64_t i = 2; i <= top; i++) printf("class_%" PRId64 ",name_%" PRId64 ",probability_%" PRId64 ",", i, i, i);
    puts("error");
}

static void print_row(const struct cli_predictions *predictions, const char *path)
{
    csv_field_write(path, stdout);
    for (int64_t i = 0; i < predictions->top; i++) {
        char name[NAME_SIZE];
        name_of(predictions, i, name);
        printf(",%d,", predictions->ranking[i].label);
        csv_field_write(name, stdout);
        printf(",%.9g", predictions->ranking[i].probability);
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

static json_t *answer_object(const struct cli_predictions *predictions, const struct queued_picture *picture)
{
    json_t *best = json_array(), *logits = json_array();
    for (int64_t i = 0; i < predictions->top; i++) {
        char name[NAME_SIZE];
        name_of(predictions, i, name);
        json_array_append_new(best, json_pack("{s:i, s:o, s:o}", "class", predictions->ranking[i].label, "name",
                                              json_value_text(name), "probability",
                                              json_value_number(predictions->ranking[i].probability)));
    }
    for (int64_t i = 0; i < predictions->predictor->input.classes; i++)
        json_array_append_new(logits, json_value_number(picture->logits[i]));
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "file", json_value_text(picture->path), "width",
                     (json_int_t)picture->header.width, "height", (json_int_t)picture->header.height, "top", best,
                     "logits", logits);
}

static json_t *problem_object(const struct queued_picture *picture)
{
    return json_pack("{s:o, s:o}", "file", json_value_text(picture->path), "error",
                     json_value_text(picture->problem.message));
}

/* --- all of them --- */

struct cli_predictions cli_predictions_start(const struct predictor *predictor, const struct cli_arguments *arguments)
{
    int64_t classes = predictor->input.classes;
    struct cli_predictions predictions = {.predictor = predictor, .arguments = arguments, .answers = json_array()};
    predictions.top = arguments->top > 0 ? arguments->top : arguments->csv ? 1 : DEFAULT_TOP;
    if (predictions.top > classes) predictions.top = classes;
    predictions.probabilities = memory_alloc((size_t)classes, sizeof *predictions.probabilities);
    predictions.ranking = memory_alloc((size_t)classes, sizeof *predictions.ranking);
    if (arguments->csv) print_header(predictions.top);
    return predictions;
}

/* Text has nothing on a picture that cannot be read: its line is on the standard error. */
static void add_problem(const struct cli_predictions *predictions, const struct queued_picture *picture)
{
    if (predictions->arguments->json)
        json_array_append_new(predictions->answers, problem_object(picture));
    else if (predictions->arguments->csv)
        print_problem_row(picture->path, picture->problem.message, predictions->top);
}

void cli_predictions_add(struct cli_predictions *predictions, const struct queued_picture *picture)
{
    if (!picture->good) {
        add_problem(predictions, picture);
        return;
    }
    rank(predictions, picture->logits);
    if (predictions->arguments->json)
        json_array_append_new(predictions->answers, answer_object(predictions, picture));
    else if (predictions->arguments->csv)
        print_row(predictions, picture->path);
    else
        print_text(predictions, picture->path);
}

void cli_predictions_end(struct cli_predictions *predictions)
{
    const struct predictor *predictor = predictions->predictor;
    if (predictions->arguments->json)
        cli_json_print(json_pack("{s:o, s:o, s:I, s:O}", "run", json_value_text(predictions->arguments->words[0]),
                                 "checkpoint", json_value_text(predictor->path), "step", (json_int_t)predictor->step,
                                 "predictions", predictions->answers));
    json_decref(predictions->answers);
    free(predictions->probabilities);
    free(predictions->ranking);
    *predictions = (struct cli_predictions){0};
}
