/* Describes a run as JSON for the page (page/page.js). */
#include "report/report_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_value.h"
#include "nn/network_lanes.h"
#include "util/text.h"

enum {
    MATRIX_CLASSES_MAX = 40, /* with more classes a matrix is no picture any more */
    TABLE_CLASSES_MAX = 100, /* lines of the table of classes */
    PAIRS_MAX = 10,          /* most frequent mistakes */
};

static json_t *text_json(const char *text)
{
    return text ? json_value_text(text) : json_null();
}

/* --- metrics: an array per column --- */

struct column {
    const char *name;
    double (*value)(const struct metrics_row *row);
};

#define COLUMN(name, field)                                                                                            \
    static double value_of_##name(const struct metrics_row *row)                                                       \
    {                                                                                                                  \
        return (double)row->field;                                                                                     \
    }
COLUMN(step, step)
COLUMN(train_loss, train.loss)
COLUMN(train_accuracy, train.accuracy)
COLUMN(validation_loss, validation.loss)
COLUMN(validation_accuracy, validation.accuracy)
COLUMN(test_loss, test.loss)
COLUMN(test_accuracy, test.accuracy)
COLUMN(learning_rate, learning_rate)
COLUMN(elapsed_seconds, elapsed_seconds)

static const struct column columns[] = {
    {"step", value_of_step},
    {"train_loss", value_of_train_loss},
    {"train_accuracy", value_of_train_accuracy},
    {"validation_loss", value_of_validation_loss},
    {"validation_accuracy", value_of_validation_accuracy},
    {"test_loss", value_of_test_loss},
    {"test_accuracy", value_of_test_accuracy},
    {"learning_rate", value_of_learning_rate},
    {"elapsed_seconds", value_of_elapsed_seconds},
};

static void add_columns(json_t *run_json, const struct report_run *run)
{
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        json_t *values = json_array();
        for (int i = 0; i < run->row_count; i++)
            json_array_append_new(values, json_value_number(columns[c].value(&run->rows[i])));
        json_object_set_new(run_json, columns[c].name, values);
    }
}

/* --- layers --- */

static json_t *shape_json(struct shape shape)
{
    char text[64];
    shape_format(shape, text, sizeof text);
    return json_string(text);
}

static json_t *group_json(const struct network *network, struct layer_group group)
{
    char name[NETWORK_GROUP_TEXT];
    struct shape output = network_describe_group(network, group, name, sizeof name);
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "output", shape_json(output));
    json_object_set_new(json, "parameters", json_integer(network_group_scalars(network, group)));
    json_object_set_new(json, "multiply_adds", json_integer(network_group_multiply_adds(network, group)));
    return json;
}

/* An array per row of the table of layers, the input's first, with the bits of each lane; empty for a chain. */
static json_t *lanes_json(const struct network *network)
{
    struct network_lanes lanes = network_lanes_draw(network);
    json_t *rows = json_array();
    for (int row = 0; lanes.lanes > 0 && row < lanes.rows; row++) {
        json_t *cells = json_array();
        for (int i = 0; i < lanes.lanes; i++)
            json_array_append_new(cells, json_integer(lanes.cells[row * lanes.lanes + i]));
        json_array_append_new(rows, cells);
    }
    network_lanes_free(&lanes);
    return rows;
}

static void add_layers(json_t *run_json, const struct network *network)
{
    json_t *layers = network ? json_array() : json_null();
    for (int i = 0; network && i < network->group_count; i++)
        json_array_append_new(layers, group_json(network, network->groups[i]));
    json_object_set_new(run_json, "layers", layers);
    json_object_set_new(run_json, "lanes", network ? lanes_json(network) : json_null());
    json_object_set_new(run_json, "input", network ? shape_json(network->input) : json_null());
    json_object_set_new(run_json, "parameters", network ? json_integer(network->parameter_count) : json_null());
}

/* --- what the network makes of the test set --- */

/* Null where there are too many classes for a drawing. */
static json_t *confusion_json(const struct confusion *confusion)
{
    if (confusion->classes > MATRIX_CLASSES_MAX) return json_null();
    json_t *matrix = json_array();
    for (int64_t label = 0; label < confusion->classes; label++) {
        json_t *row = json_array();
        for (int64_t i = 0; i <= confusion->classes; i++)
            json_array_append_new(row, json_integer(confusion_count(confusion, label, i)));
        json_array_append_new(matrix, row);
    }
    return matrix;
}

static json_t *pairs_json(const struct confusion *confusion)
{
    struct confused_pair pairs[PAIRS_MAX];
    int count = confusion_pairs(confusion, pairs, PAIRS_MAX);
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "label", (json_int_t)pairs[i].label, "taken",
                                              (json_int_t)pairs[i].predicted, "count", (json_int_t)pairs[i].count));
    return confusion->matrix ? list : (json_decref(list), json_null());
}

static json_t *classes_json(const struct report_evaluation *evaluation)
{
    json_t *names = json_array();
    for (int64_t i = 0; i < evaluation->confusion->classes; i++) {
        char number[32];
        snprintf(number, sizeof number, "%" PRId64, i);
        json_array_append_new(names, text_json(evaluation->class_names ? evaluation->class_names[i] : number));
    }
    return names;
}

/* Returns precision, recall and F1 of a class; null where one is not defined. */
static json_t *class_json(const struct confusion *confusion, int64_t label)
{
    struct class_figures figures = confusion_class_figures(confusion, label);
    return json_pack("{s:I, s:o, s:o, s:o}", "label", (json_int_t)label, "precision",
                     json_value_number(figures.precision), "recall", json_value_number(figures.recall), "f1",
                     json_value_number(figures.f1));
}

/* Returns the figures of all classes in their order, or of very many those with the lowest F1. */
static json_t *class_figures_json(const struct confusion *confusion)
{
    json_t *list = json_array();
    bool all = confusion->classes <= TABLE_CLASSES_MAX;
    int64_t *order = all ? NULL : confusion_classes_by_f1(confusion);
    for (int64_t i = 0; i < confusion->classes && i < TABLE_CLASSES_MAX; i++)
        json_array_append_new(list, class_json(confusion, all ? i : order[i]));
    free(order);
    return list;
}

static void add_means(json_t *evaluated, const struct confusion *confusion)
{
    struct macro_figures macro = confusion_macro_figures(confusion);
    json_object_set_new(evaluated, "macro",
                        json_pack("{s:o, s:o, s:o}", "precision", json_value_number(macro.precision), "recall",
                                  json_value_number(macro.recall), "f1", json_value_number(macro.f1)));
    json_object_set_new(evaluated, "balanced_accuracy", json_value_number(macro.balanced_accuracy));
    json_object_set_new(evaluated, "top", json_integer(confusion->top));
    json_object_set_new(evaluated, "top_accuracy", json_value_number(confusion_top_accuracy(confusion)));
}

/* Returns the name of a file with its control characters escaped; null where there is no name. */
static json_t *file_json(const char *name)
{
    if (!name) return json_null();
    char *escaped = text_escape(name);
    json_t *json = json_value_text(escaped);
    free(escaped);
    return json;
}

static json_t *mistakes_json(const struct report_evaluation *evaluation)
{
    json_t *list = json_array();
    int64_t size = evaluation->channels * evaluation->height * evaluation->width;
    for (int i = 0; i < evaluation->mistake_count; i++) {
        const struct mistake *mistake = &evaluation->mistakes[i];
        json_t *json = json_object();
        json_object_set_new(json, "index", json_integer(mistake->index));
        json_object_set_new(json, "file", file_json(evaluation->mistake_files ? evaluation->mistake_files[i] : NULL));
        json_object_set_new(json, "label", json_integer(mistake->label));
        json_object_set_new(json, "predicted", json_integer(mistake->predicted));
        json_object_set_new(json, "probability", json_value_number(mistake->probability));
        json_object_set_new(json, "label_probability", json_value_number(mistake->label_probability));
        json_object_set_new(json, "image",
                            report_image_json(evaluation->images + i * size, evaluation->channels, evaluation->height,
                                              evaluation->width));
        json_array_append_new(list, json);
    }
    return list;
}

static void add_evaluation(json_t *run_json, const struct report_evaluation *evaluation)
{
    if (!evaluation) return;
    json_t *evaluated = json_object();
    json_object_set_new(evaluated, "checkpoint", text_json(evaluation->checkpoint));
    json_object_set_new(evaluated, "set", text_json(evaluation->set));
    json_object_set_new(evaluated, "step", json_integer(evaluation->step));
    json_object_set_new(evaluated, "count", json_integer(confusion_total(evaluation->confusion)));
    json_object_set_new(evaluated, "loss", json_value_number(evaluation->figures.loss));
    json_object_set_new(evaluated, "accuracy", json_value_number(evaluation->figures.accuracy));
    add_means(evaluated, evaluation->confusion);
    json_object_set_new(run_json, "evaluated", evaluated);
    json_object_set_new(run_json, "class_figures", class_figures_json(evaluation->confusion));
    json_object_set_new(run_json, "classes", classes_json(evaluation));
    json_object_set_new(run_json, "confusion", confusion_json(evaluation->confusion));
    json_object_set_new(run_json, "pairs", pairs_json(evaluation->confusion));
    json_object_set_new(run_json, "mistakes", mistakes_json(evaluation));
}

/* --- all of it --- */

json_t *report_run_json(const struct report_run *run)
{
    json_t *json = json_object(), *missing = json_array();
    json_object_set_new(json, "name", text_json(run->name));
    json_object_set_new(json, "title", text_json(run->title));
    json_object_set_new(json, "best_by", json_string(best_by_name(run->best_by)));
    json_object_set_new(json, "running", json_boolean(run->running));
    json_object_set_new(json, "batch_size", json_integer(run->batch_size));
    json_object_set_new(json, "max_steps", json_integer(run->max_steps));
    json_object_set_new(json, "config", text_json(run->config));
    add_columns(json, run);
    add_layers(json, run->network);
    add_evaluation(json, run->evaluation);
    for (int i = 0; i < REPORT_MISSING_MAX && run->missing[i]; i++)
        json_array_append_new(missing, text_json(run->missing[i]));
    json_object_set_new(json, "missing", missing);
    return json;
}
