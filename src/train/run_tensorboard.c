/* Writes a run's metrics, config and histograms for TensorBoard. */
#include "train/run_tensorboard.h"

#include <stdlib.h>

#include "util/memory.h"

#ifdef TRAINER_TENSORBOARD

/* Returns the config as Markdown: four spaces make a line code, in which no character has a special meaning. */
static char *config_text(const struct experiment *experiment)
{
    char *text = experiment_text(experiment), *indented;
    size_t size;
    FILE *out = memory_stream(&indented, &size);
    bool line_begins = true;
    for (const char *c = text; *c; c++) {
        if (line_begins) fputs("    ", out);
        fputc(*c, out);
        line_begins = *c == '\n';
    }
    memory_stream_close(out, &indented);
    free(text);
    return indented;
}

bool run_tensorboard_start(struct run_tensorboard *run, const struct experiment *experiment, const char *folder,
                           int64_t steps_done, struct status *status)
{
    *run = (struct run_tensorboard){.histograms = experiment->report.histograms};
    if (!experiment->report.tensorboard) return true;
    char *path = memory_format("%s/tensorboard", folder), *config = config_text(experiment);
    bool good = tensorboard_open(&run->board, path, steps_done == 0 ? 0 : steps_done + 1, status) &&
                tensorboard_add_text(&run->board, steps_done, "config", config, status);
    free(config);
    free(path);
    return good;
}

static bool add_histogram(struct run_tensorboard *run, struct backend *backend, int64_t step, const char *what,
                          const struct layer *layer, int p, const struct tensor *tensor, struct status *status)
{
    int64_t count = shape_count(tensor->shape);
    double *values = memory_alloc((size_t)count, sizeof *values);
    backend->table->tensor_read(backend, tensor, values);
    char *tag = memory_format("%s/%02d_%s.%s", what, layer->index, layer->ops->name, layer->parameter[p].name);
    bool good = tensorboard_add_histogram(&run->board, step, tag, values, count, status);
    free(tag);
    free(values);
    return good;
}

static bool add_histograms(struct run_tensorboard *run, const struct network *network, int64_t step,
                           struct status *status)
{
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        for (int p = 0; p < layer->parameter_count; p++) {
            const struct parameter *parameter = &layer->parameter[p];
            if (!add_histogram(run, network->backend, step, "weights", layer, p, &parameter->value, status) ||
                !add_histogram(run, network->backend, step, "gradients", layer, p, &parameter->gradient, status))
                return false;
        }
    }
    return true;
}

/* Collects loss and accuracy of the sets that were measured; returns the number of these scalars. */
static int collect_figures(const struct run_result *result, struct tensorboard_scalar *scalars)
{
    const struct metrics_row *row = &result->final;
    bool running = result->columns.running;
    const struct {
        const char *loss, *accuracy;
        const struct evaluation *figures;
    } sets[] = {
        {running ? "loss/running" : "loss/train", running ? "accuracy/running" : "accuracy/train", &row->train},
        {"loss/validation", "accuracy/validation", &row->validation},
        {"loss/test", "accuracy/test", &row->test},
    };
    int count = 0;
    for (int i = 0; i < 3; i++) {
        if (!evaluation_exists(sets[i].figures)) continue;
        scalars[count++] = (struct tensorboard_scalar){sets[i].loss, sets[i].figures->loss};
        scalars[count++] = (struct tensorboard_scalar){sets[i].accuracy, sets[i].figures->accuracy};
    }
    return count;
}

bool run_tensorboard_add(struct run_tensorboard *run, const struct network *network, const struct run_result *result,
                         struct status *status)
{
    if (!run->board.file) return true;
    const struct metrics_row *row = &result->final;
    double seconds = result->train_seconds - run->train_seconds;
    double speed = seconds > 0 ? (double)(result->images - run->images) / seconds : 0;
    struct tensorboard_scalar scalars[9];
    int count = collect_figures(result, scalars);
    scalars[count++] = (struct tensorboard_scalar){"training/learning_rate", row->learning_rate};
    scalars[count++] = (struct tensorboard_scalar){"training/images_per_second", speed};
    scalars[count++] = (struct tensorboard_scalar){"training/epoch", (double)row->epoch};
    run->images = result->images, run->train_seconds = result->train_seconds;
    return tensorboard_add_scalars(&run->board, row->step, scalars, count, status) &&
           (!run->histograms || add_histograms(run, network, row->step, status));
}

void run_tensorboard_close(struct run_tensorboard *run)
{
    tensorboard_close(&run->board);
}

#else

bool run_tensorboard_start(struct run_tensorboard *run, const struct experiment *experiment, const char *folder,
                           int64_t steps_done, struct status *status)
{
    (void)folder, (void)steps_done;
    *run = (struct run_tensorboard){0};
    if (!experiment->report.tensorboard) return true;
    return experiment_fail(
        experiment, "report.tensorboard", status,
        "this trainer was built without protobuf-c (Debian: libprotobuf-c-dev, protobuf-c-compiler)");
}

bool run_tensorboard_add(struct run_tensorboard *run, const struct network *network, const struct run_result *result,
                         struct status *status)
{
    (void)run, (void)network, (void)result, (void)status;
    return true;
}

void run_tensorboard_close(struct run_tensorboard *run)
{
    (void)run;
}

#endif
