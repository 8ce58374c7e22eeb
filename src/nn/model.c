/* Makes the list of layers of a model. */
#include "nn/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"

struct spec_list {
    const struct model_params *model;
    const struct model_places *places;
    struct layer_spec *specs;
    int count, capacity;
    char origin[STATUS_MESSAGE_SIZE]; /* origin of the specs that are being added; each gets a copy */
};

/* Sets the origin to the start of an error about an entry of a setting. The layer adds the end of the message if there is
 * an error. */
static void set_origin(struct spec_list *list, const char *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_origin(struct spec_list *list, const char *setting, const char *format, ...)
{
    const struct model_places *places = list->places;
    char entry[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(entry, sizeof entry, format, arguments);
    va_end(arguments);
    if (places)
        places->write(places->context, setting, entry, list->origin, sizeof list->origin);
    else
        snprintf(list->origin, sizeof list->origin, "%s: %s", setting, entry);
}

static void add(struct spec_list *list, struct layer_spec spec)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->specs = memory_resize(list->specs, (size_t)list->capacity, sizeof *list->specs);
    }
    spec.origin = memory_copy_string(list->origin);
    list->specs[list->count++] = spec;
}

static struct init_params init_of(const struct model_params *model)
{
    return (struct init_params){model->init == INIT_NORMAL, model->init_std};
}

static void add_linear(struct spec_list *list, int64_t units)
{
    add(list, (struct layer_spec){.kind = LAYER_LINEAR, .linear = {.units = units, .init = init_of(list->model)}});
}

static void add_batchnorm(struct spec_list *list)
{
    const struct model_params *model = list->model;
    if (model->batchnorm == BATCHNORM_NONE) return;
    struct batchnorm_params params = {model->batchnorm_epsilon, model->batchnorm_momentum};
    bool autodiff = model->batchnorm == BATCHNORM_AUTODIFF;
    add(list, (struct layer_spec){.kind = autodiff ? LAYER_BATCHNORM_AUTODIFF : LAYER_BATCHNORM,
                                  .batchnorm = {params, model->batchnorm_batch_stats_only}});
}

static void add_activation(struct spec_list *list)
{
    const struct model_params *model = list->model;
    add(list,
        (struct layer_spec){.kind = LAYER_ACTIVATION, .activation = {model->activation, model->activation_slope}});
}

static void add_dropout(struct spec_list *list)
{
    if (list->model->dropout > 0)
        add(list, (struct layer_spec){.kind = LAYER_DROPOUT, .dropout = {list->model->dropout}});
}

/* Adds the layers that follow each convolution and hidden linear layer, in the user's order. */
static void add_block(struct spec_list *list)
{
    for (int i = 0; i < BLOCK_PART_COUNT; i++) {
        switch (list->model->block[i]) {
        case BLOCK_BATCHNORM:
            add_batchnorm(list);
            break;
        case BLOCK_ACTIVATION:
            add_activation(list);
            break;
        case BLOCK_DROPOUT:
            add_dropout(list);
            break;
        case BLOCK_PART_COUNT:
            CHECK(!"a part of a block");
        }
    }
}

static void add_feature(struct spec_list *list, int64_t entry, const struct feature *feature)
{
    if (feature->kind == FEATURE_CONV) {
        set_origin(list, "model.features", "entry %" PRId64 " (%" PRId64 ")", entry, feature->channels);
        add(list, (struct layer_spec){.kind = LAYER_CONV2D,
                                      .conv2d = {feature->channels, feature->window, init_of(list->model)}});
        add_block(list);
        return;
    }
    bool max = feature->kind == FEATURE_MAX_POOL;
    set_origin(list, "model.features", "entry %" PRId64 " (%s)", entry, max ? "M" : "A");
    add(list, (struct layer_spec){.kind = LAYER_POOL, .pool = {max ? POOL_MAX : POOL_AVERAGE, feature->window}});
}

/* Adds the features, then a flatten where they leave more than one pixel. */
static void add_features(struct spec_list *list, struct shape shape)
{
    const struct feature_list *features = &list->model->features;
    for (int64_t i = 0; i < features->count; i++) {
        add_feature(list, i + 1, &features->value[i]);
        shape.h = window_output_size(shape.h, features->value[i].window);
        shape.w = window_output_size(shape.w, features->value[i].window);
    }
    if (shape.h > 1 || shape.w > 1) add(list, (struct layer_spec){.kind = LAYER_FLATTEN});
}

struct shape model_input_shape(enum model_kind kind, int64_t channels, int64_t height, int64_t width)
{
    struct shape image = {1, channels, height, width};
    if (kind == MODEL_CONVNET) return image;
    return (struct shape){1, shape_sample_count(image), 1, 1};
}

struct layer_spec *model_specs(const struct model_params *model, struct shape input, int64_t classes,
                               const struct model_places *places, int *count)
{
    struct spec_list list = {.model = model, .places = places};
    const struct int_list *hidden = &model->hidden;
    set_origin(&list, "model.kind", "input");
    if (model->kind == MODEL_CONVNET) add_features(&list, input);
    for (int64_t i = 0; i < hidden->count; i++) {
        set_origin(&list, "model.hidden", "entry %" PRId64 " (%" PRId64 ")", i + 1, hidden->value[i]);
        add_linear(&list, hidden->value[i]);
        add_block(&list);
    }
    set_origin(&list, "model.kind", "output layer (%" PRId64 " classes)", classes);
    add_linear(&list, classes);
    if (model->loss == LOSS_SEPARATE) add(&list, (struct layer_spec){.kind = LAYER_SOFTMAX});
    *count = list.count;
    return list.specs;
}

void model_specs_free(struct layer_spec *specs, int count)
{
    for (int i = 0; i < count; i++) free((char *)specs[i].origin);
    free(specs);
}
