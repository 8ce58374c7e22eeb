/* What a trained network sees in pictures. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/cli_json.h"
#include "cli/cli_private.h"
#include "trainer/image.h"
#include "trainer/memory.h"
#include "trainer/predictor.h"

enum { NAME_SIZE = 256, DEFAULT_TOP = 5, MOST_CLASSES = 256 };

struct prediction {
    const char *file;
    int64_t height, width;          /* of the picture before it was resized */
    double *logits, *probabilities; /* (D) */
    int *order;                     /* (D) classes, the most probable first */
};

static void prediction_free(struct prediction *prediction)
{
    free(prediction->logits);
    free(prediction->probabilities);
    free(prediction->order);
}

/* Stable, so that of equal classes the first comes first. */
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

static bool predict_all(struct predictor *predictor, const struct cli_arguments *arguments, struct status *status)
{
    int64_t top = arguments->top > 0 ? arguments->top : DEFAULT_TOP;
    if (top > predictor->input.classes) top = predictor->input.classes;
    json_t *predictions = json_array();
    bool good = true;
    for (int i = 1; good && i < arguments->word_count; i++) {
        struct prediction prediction;
        good = predict(predictor, arguments->words[i], &prediction, status);
        if (!good) break;
        if (arguments->json)
            json_array_append_new(predictions, prediction_object(predictor, &prediction, top));
        else
            print_text(predictor, &prediction, top);
        prediction_free(&prediction);
    }
    if (good && arguments->json)
        cli_json_print(json_pack("{s:o, s:o, s:I, s:O}", "run", json_value_text(arguments->words[0]), "checkpoint",
                                 json_value_text(predictor->path), "step", (json_int_t)predictor->step, "predictions",
                                 predictions));
    json_decref(predictions);
    return good;
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
    if (!cli_open_predictor(&predictor, arguments, status)) return false;
    bool good = predictor_check_single(&predictor, status) && check_channels(&predictor, status) &&
                predict_all(&predictor, arguments, status);
    predictor_close(&predictor);
    return good;
}

static const struct cli_operand operands[] = {
    CLI_OPERAND_RUN,
    {.name = "IMAGE", .help = "A PNG or JPEG file.", .expected = "an image", .kind = CLI_FILE, .repeated = true},
    {0},
};
static const struct cli_option options[] = {
    {.name = "top",
     .letter = 't',
     .kind = CLI_NUMBER,
     .argument = "N",
     .help = "Show the N most probable classes; default: 5.",
     .low = 1,
     .high = MOST_CLASSES,
     CLI_FIELD(top)},
    CLI_OPTION_CHECKPOINT,
    CLI_OPTION_JSON,
    CLI_OPTION_SET,
    {0},
};
static const struct cli_example examples[] = {
    {"trainer predict runs/convnet cat.jpg dog.png", "The five most probable classes of each picture."},
    {0},
};

const struct cli_command cli_predict = {
    .name = "predict",
    .summary = "Tell what a run's network sees in pictures.",
    .description =
        "A picture is scaled to the network's input, whatever its shape, by a triangular filter that does not alias "
        "when it reduces (Pillow's BILINEAR). Transparent parts lie on white; a network that takes grey images gets "
        "the luminance 0.299 R + 0.587 G + 0.114 B. Pixels are then normalized as in training. Pictures of more than "
        "16384 pixels on a side or 67,108,864 in all are refused. With `--json` also the logits, the scores of all "
        "classes before the softmax.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
