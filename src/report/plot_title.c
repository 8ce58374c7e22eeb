/* Describes a run in two lines, for the head of its picture. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/experiment_keys.h"
#include "config/experiment_value.h"
#include "report/plot.h"
#include "util/memory.h"
#include "util/number.h"

struct line {
    char text[512];
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    size_t used = strlen(line->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text + used, sizeof line->text - used, format, arguments);
    va_end(arguments);
}

static void add_real(struct line *line, const char *before, double value)
{
    char text[32];
    number_format_real(value, text, sizeof text);
    add(line, "%s %s", before, text);
}

/* Adds the value of a key whose values are names: the word that a config says. */
static void add_choice(struct line *line, const char *before, const struct experiment *experiment, const char *section,
                       const char *name, const char *after)
{
    char text[VALUE_TEXT_SIZE];
    experiment_value_format(&experiment_keys[experiment_key_find(section, name)], experiment, text, sizeof text);
    add(line, "%s%s%s", before, text, after);
}

static void add_mlp(struct line *line, const struct int_list *hidden)
{
    enum { MOST_SHOWN = 8 };
    if (hidden->count == 0) {
        add(line, "linear model");
    } else if (hidden->count > MOST_SHOWN) {
        add(line, "MLP of %" PRId64 " hidden layers", hidden->count);
    } else {
        add(line, "MLP");
        for (int64_t i = 0; i < hidden->count; i++) add(line, "%s%" PRId64, i == 0 ? " " : "-", hidden->value[i]);
    }
}

static void add_convnet(struct line *line, const struct feature_list *features)
{
    struct feature_counts counts = features_count(features);
    add(line, "ConvNet of %" PRId64 " convolution%s", counts.convolutions, counts.convolutions == 1 ? "" : "s");
    if (counts.blocks > 0) add(line, ", %" PRId64 " residual block%s", counts.blocks, counts.blocks == 1 ? "" : "s");
}

static void add_model(struct line *line, const struct experiment *experiment)
{
    if (experiment->model.kind == MODEL_MLP)
        add_mlp(line, &experiment->model.hidden);
    else
        add_convnet(line, &experiment->model.features);
    if (experiment->model.batchnorm != BATCHNORM_NONE) add(line, ", batch norm");
    if (experiment->model.batchnorm > BATCHNORM_CUSTOM) add_choice(line, " (", experiment, "model", "batchnorm", ")");
    if (experiment->model.dropout > 0) add_real(line, ", dropout", experiment->model.dropout);
}

static void add_optimizer(struct line *line, const struct experiment *experiment)
{
    add_choice(line, ", ", experiment, "optimizer", "name", "");
    if (experiment->optimizer.momentum > 0) add_real(line, ", momentum", experiment->optimizer.momentum);
    add_real(line, ", learning rate", experiment->optimizer.learning_rate);
    if (experiment->schedule.name != SCHEDULE_CONSTANT) add_choice(line, " (", experiment, "schedule", "name", ")");
    if (experiment->optimizer.weight_decay > 0) add_real(line, ", weight decay", experiment->optimizer.weight_decay);
}

char *plot_title(const struct experiment *experiment)
{
    struct line line = {""};
    add_model(&line, experiment);
    add_optimizer(&line, experiment);
    add(&line, ", batch %" PRId64 ", seed %" PRId64, experiment->train.batch_size, experiment->experiment.seed);
    return memory_format("%s\n%s", experiment->experiment.name, line.text);
}
