/* Writes a row for each image that an evaluation comes by. */
#include "cli/cli_eval_csv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/csv_field.h"
#include "util/memory.h"

enum { NAME_SIZE = 256 };

static const char header[] =
    "index,path,label,label_name,prediction,prediction_name,probability,label_probability,correct\n";

/* Writes a class, its name and the commas before them; nothing between the commas where there is no class. */
static void write_class(const struct cli_eval_csv *csv, int64_t label)
{
    char name[NAME_SIZE];
    if (label == csv->predictor->input.classes) {
        fputs(",,", csv->out);
        return;
    }
    predictor_class_name(csv->predictor, label, name, sizeof name);
    fprintf(csv->out, ",%" PRId64 ",", label);
    csv_field_write(name, csv->out);
}

/* The scores of a network that gives NaN tell no class, and have no probabilities. */
static void write_row(void *argument, int64_t index, int64_t label, const double *logits)
{
    struct cli_eval_csv *csv = argument;
    int64_t classes = csv->predictor->input.classes, predicted = scores_predicted(logits, classes);
    const char *path = image_set_name(csv->set, index);
    fprintf(csv->out, "%" PRId64 ",", index);
    if (path) csv_field_write(path, csv->out);
    write_class(csv, label);
    write_class(csv, predicted);
    if (predicted == classes) {
        fputs(",,,0\n", csv->out);
        return;
    }
    scores_probabilities(logits, classes, csv->probabilities);
    fprintf(csv->out, ",%.9g,%.9g,%d\n", csv->probabilities[predicted], csv->probabilities[label], predicted == label);
}

bool cli_eval_csv_open(struct cli_eval_csv *csv, const char *path, const struct predictor *predictor,
                       const struct image_set *set, struct status *status)
{
    *csv = (struct cli_eval_csv){.predictor = predictor, .set = set};
    if (!path) return true;
    bool to_file = strcmp(path, "-") != 0;
    if (to_file && !file_atomic_open(&csv->file, path, status)) return false;
    csv->out = to_file ? memory_stream(&csv->text, &csv->size) : stdout;
    csv->probabilities = memory_alloc((size_t)predictor->input.classes, sizeof *csv->probabilities);
    fputs(header, csv->out);
    return true;
}

struct predictor_visitor cli_eval_csv_visitor(struct cli_eval_csv *csv)
{
    return (struct predictor_visitor){csv->out ? write_row : NULL, csv};
}

bool cli_eval_csv_close(struct cli_eval_csv *csv, struct status *status)
{
    bool written = true;
    free(csv->probabilities);
    if (csv->out && csv->out != stdout) {
        memory_stream_close(csv->out, &csv->text);
        written = file_atomic_write(&csv->file, csv->text, csv->size, status) && file_atomic_commit(&csv->file, status);
        free(csv->text);
    }
    *csv = (struct cli_eval_csv){0};
    return written;
}
