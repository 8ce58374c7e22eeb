/* Makes the list of layers of a model. */
#include "nn/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/check.h"
#include "util/memory.h"

enum {
    ORIGIN_SIZE = 96,       /* bytes that an error shows of an entry */
    LARGEST_STRIDE = 65536, /* above the side of any image */
};

struct spec_list {
    const struct model_params *model;
    const struct model_places *places;
    struct layer_spec *specs;
    int count, capacity;
    struct shape shape;               /* of the features so far */
    int blocks, gates;                /* residual blocks and gates so far */
    char origin[STATUS_MESSAGE_SIZE]; /* origin of the specs that are being added; each gets a copy */
};

/* Sets the origin to the start of an error about an entry of a setting. The layer adds the end of the message if there is
 * an error. */
static void set_origin(struct spec_list *list, const char *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_origin(struct spec_list *list, const char *setting, const char *format, ...)
{
    const struct model_places *places = list->places;
    char entry[ORIGIN_SIZE + 32];
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
    return (struct init_params){.kind = model->init, .std = model->init_std};
}

static void add_linear(struct spec_list *list, int64_t units)
{
    add(list, (struct layer_spec){.kind = LAYER_LINEAR, .linear = {.units = units, .init = init_of(list->model)}});
}

/* The layer that gives the classes their scores. */
static void add_head(struct spec_list *list, int64_t classes)
{
    add_linear(list, classes);
    struct layer_spec *head = &list->specs[list->count - 1];
    head->linear.without_bias = !list->model->head_bias;
    head->linear.init.final_std = list->model->head_std;
}

static void add_batchnorm(struct spec_list *list, bool zero_gamma)
{
    const struct model_params *model = list->model;
    if (model->batchnorm == BATCHNORM_NONE) return;
    struct batchnorm_params params = {model->batchnorm_epsilon, model->batchnorm_momentum};
    bool autodiff = model->batchnorm == BATCHNORM_AUTODIFF;
    add(list, (struct layer_spec){.kind = autodiff ? LAYER_BATCHNORM_AUTODIFF : LAYER_BATCHNORM,
                                  .batchnorm = {params, model->batchnorm_batch_stats_only, zero_gamma}});
}

static void add_activation(struct spec_list *list)
{
    const struct model_params *model = list->model;
    add(list,
        (struct layer_spec){.kind = LAYER_ACTIVATION, .activation = {model->activation, model->activation_slope}});
}

static void add_dropout(struct spec_list *list, double rate)
{
    if (rate > 0) add(list, (struct layer_spec){.kind = LAYER_DROPOUT, .dropout = {rate}});
}

/* Adds the layers that follow each convolution and hidden linear layer, in the user's order. The last convolution of a
 * residual block has no activation there. */
static void add_block(struct spec_list *list, bool with_activation)
{
    for (int i = 0; i < BLOCK_PART_COUNT; i++) {
        switch (list->model->block[i]) {
        case BLOCK_BATCHNORM:
            add_batchnorm(list, list->model->zero_gamma && !with_activation);
            break;
        case BLOCK_ACTIVATION:
            if (with_activation) add_activation(list);
            break;
        case BLOCK_DROPOUT:
            add_dropout(list, list->model->dropout);
            break;
        case BLOCK_PART_COUNT:
            CHECK(!"a part of a block");
        }
    }
}

/* True where the first layer that add_block would add is a batch normalization. */
static bool begins_with_batchnorm(const struct model_params *model, bool with_activation)
{
    for (int i = 0; i < BLOCK_PART_COUNT; i++) {
        if (model->block[i] == BLOCK_BATCHNORM && model->batchnorm != BATCHNORM_NONE) return true;
        if (model->block[i] == BLOCK_ACTIVATION && with_activation) return false;
        if (model->block[i] == BLOCK_DROPOUT && model->dropout > 0) return false;
    }
    return false;
}

/* --- features --- */

static struct shape shape_after(struct shape shape, int64_t channels, struct window window)
{
    return (struct shape){shape.n, channels, window_output_size(shape.h, window), window_output_size(shape.w, window)};
}

/* Of blocks that are repeated, only the first has the strides of its text. */
static struct conv2d_params params_of(const struct feature *feature, bool is_first)
{
    struct conv2d_params params = {feature->window, feature->groups};
    if (!is_first) params.window.stride = 1;
    return params;
}

static bool has_bias(const struct model_params *model, bool normalized)
{
    return model->conv_bias == CONV_BIAS_TRUE || (model->conv_bias == CONV_BIAS_AUTO && !normalized);
}

/* `normalized`: a batch normalization comes next. */
static void add_conv2d(struct spec_list *list, int64_t channels, struct conv2d_params params, bool normalized)
{
    const struct model_params *model = list->model;
    struct init_params init = init_of(model);
    init.identity = model->identity_filters;
    add(list, (struct layer_spec){.kind = LAYER_CONV2D,
                                  .conv2d = {.channels = channels,
                                             .window = params.window,
                                             .init = init,
                                             .without_bias = !has_bias(model, normalized),
                                             .groups = params.groups}});
    list->shape = shape_after(list->shape, channels, params.window);
}

static void add_pool(struct spec_list *list, struct pool_params pool)
{
    add(list, (struct layer_spec){.kind = LAYER_POOL, .pool = pool});
    list->shape = shape_after(list->shape, list->shape.c, pool.window);
}

static struct pool_params pool_of(enum feature_kind kind, struct window window)
{
    return (struct pool_params){kind == FEATURE_MAX_POOL ? POOL_MAX : POOL_AVERAGE, window};
}

/* A bias passes a pool unchanged but for an average that takes zeros in from outside the image. */
static bool passes_constants(const struct feature *feature)
{
    return !feature->pool.present || feature->pool.kind == FEATURE_MAX_POOL || feature->pool.window.padding == 0;
}

/* Adds a convolution, its own pool and its block, unless a block of pre-activation comes next, which begins with one. */
static void add_convolution(struct spec_list *list, const struct feature *feature, bool with_block)
{
    bool normalized = begins_with_batchnorm(list->model, true) && passes_constants(feature);
    add_conv2d(list, feature->channels, params_of(feature, true), normalized);
    if (feature->pool.present) add_pool(list, pool_of(feature->pool.kind, feature->pool.window));
    if (with_block) add_block(list, true);
}

/* Adds a convolution with two filters for each value of its patches, and the activation. Its output needs no
 * normalization. */
static void add_whitening(struct spec_list *list, struct window window)
{
    add_conv2d(list, 2 * list->shape.c * window.kernel * window.kernel, (struct conv2d_params){window, 1}, false);
    list->specs[list->count - 1].conv2d.whitening = true;
    add_activation(list);
}

/* Gives the last layer a name and a number, unless it has a name, and returns its name. */
static const char *name_last(struct spec_list *list, const char *name, int number)
{
    if (list->count == 0) return "input";
    struct layer_spec *last = &list->specs[list->count - 1];
    if (!last->name) last->name = memory_format("%s %d", name, number);
    return last->name;
}

/* Adds a 1x1 convolution of images of one pixel. */
static void add_point(struct spec_list *list, int64_t channels)
{
    add(list, (struct layer_spec){
                  .kind = LAYER_CONV2D,
                  .conv2d = {.channels = channels, .window = {1, 1, 0}, .init = init_of(list->model), .groups = 1}});
}

/* Adds squeeze-and-excitation (Hu et al. 2018): y = gate(x, z) with z = conv(act(conv(means of x))). */
static void add_excitation(struct spec_list *list, const struct feature *feature)
{
    const char *x = name_last(list, "before gate", ++list->gates);
    add(list, (struct layer_spec){.kind = LAYER_GLOBAL_POOL});
    add_point(list, feature->channels / feature->reduction);
    add_activation(list);
    add_point(list, feature->channels);
    const char *z = name_last(list, "excitation", list->gates);
    add(list, (struct layer_spec){.kind = LAYER_GATE, .input = {x, z}});
}

static void add_feature(struct spec_list *list, const struct feature *feature, bool with_block)
{
    switch (feature->kind) {
    case FEATURE_CONV:
        add_convolution(list, feature, with_block);
        return;
    case FEATURE_WHITENING:
        add_whitening(list, feature->window);
        return;
    case FEATURE_MAX_POOL:
    case FEATURE_AVERAGE_POOL:
        add_pool(list, pool_of(feature->kind, feature->window));
        return;
    case FEATURE_GLOBAL_POOL:
        add(list, (struct layer_spec){.kind = LAYER_GLOBAL_POOL});
        list->shape.h = list->shape.w = 1;
        return;
    case FEATURE_EXCITATION:
        add_excitation(list, feature);
    }
}

/* --- residual blocks --- */

/* Gives the last layer the name of a part of the block at hand, unless it has a name, and returns its name. */
static const char *name_part(struct spec_list *list, const char *part)
{
    return name_last(list, part, list->blocks);
}

static struct shape shape_after_block(struct shape shape, const struct feature *first, bool is_first)
{
    for (int64_t i = 0; i < first->block; i++)
        shape = shape_after(shape, first[i].channels, params_of(&first[i], is_first).window);
    return shape;
}

/* Adds the 1x1 convolution that x goes through on its way to the sum, where the block changes the shape, and the batch
 * normalization behind it, if `normalized`. Returns the name of the layer that the sum reads. */
static const char *add_shortcut(struct spec_list *list, const struct feature *first, bool is_first, bool normalized,
                                const char *x)
{
    struct shape in = list->shape, out = shape_after_block(in, first, is_first);
    int64_t stride = 1;
    for (int64_t i = 0; i < first->block; i++)
        stride = count_product(stride, params_of(&first[i], is_first).window.stride);
    if (stride > LARGEST_STRIDE) stride = LARGEST_STRIDE; /* it leaves one pixel in either case */
    normalized = normalized && list->model->batchnorm != BATCHNORM_NONE;
    add_conv2d(list, out.c, (struct conv2d_params){{1, stride, 0}, 1}, normalized);
    list->specs[list->count - 1].input[0] = x;
    if (normalized) add_batchnorm(list, false);
    list->shape = in;
    return name_part(list, "shortcut");
}

/* Behind the last convolution of a block comes nothing but squeeze-and-excitation. */
static bool is_last_convolution(const struct feature *first, int64_t i)
{
    return i == first->block - 1 || (i == first->block - 2 && first[i + 1].kind == FEATURE_EXCITATION);
}

/* Adds the convolutions that x goes through. Returns the name of the last layer. */
static const char *add_branch(struct spec_list *list, const struct feature *first, bool is_first, const char *x)
{
    for (int64_t i = 0; i < first->block; i++) {
        if (first[i].kind == FEATURE_EXCITATION) {
            add_excitation(list, &first[i]);
            continue;
        }
        bool with_activation = !is_last_convolution(first, i);
        add_conv2d(list, first[i].channels, params_of(&first[i], is_first),
                   begins_with_batchnorm(list->model, with_activation));
        if (i == 0) list->specs[list->count - 1].input[0] = x;
        add_block(list, with_activation);
    }
    return name_part(list, "branch");
}

/* y = activation(branch(x) + shortcut(x)) */
static void add_original_block(struct spec_list *list, const struct feature *first, bool is_first)
{
    const char *x = name_part(list, "before block"), *shortcut = x;
    if (!shape_equal(list->shape, shape_after_block(list->shape, first, is_first)))
        shortcut = add_shortcut(list, first, is_first, true, x);
    const char *branch = add_branch(list, first, is_first, x);
    add(list, (struct layer_spec){.kind = LAYER_ADD, .input = {branch, shortcut}});
    add_activation(list);
}

/* y = branch(x) + x, or branch(x) alone where it has another shape. */
static void add_linear_block(struct spec_list *list, const struct feature *first, bool is_first)
{
    bool same = shape_equal(list->shape, shape_after_block(list->shape, first, is_first));
    const char *x = name_part(list, "before block"), *branch = add_branch(list, first, is_first, x);
    if (same) add(list, (struct layer_spec){.kind = LAYER_ADD, .input = {branch, x}});
}

/* With h = act(norm(x)): y = branch(h) + x, where model.block comes before each but the first convolution of the branch;
 * and branch(h) + shortcut(h), where the block changes the shape. */
static void add_preactivation_block(struct spec_list *list, const struct feature *first, bool is_first)
{
    const struct model_params *model = list->model;
    const char *shortcut = name_part(list, "before block");
    add_block(list, true);
    const char *h = name_part(list, "preactivated");
    if (!shape_equal(list->shape, shape_after_block(list->shape, first, is_first)))
        shortcut = add_shortcut(list, first, is_first, false, h);
    for (int64_t i = 0; i < first->block; i++) {
        if (first[i].kind == FEATURE_EXCITATION) {
            add_excitation(list, &first[i]);
            continue;
        }
        bool before_block = i + 1 < first->block && first[i + 1].kind == FEATURE_CONV;
        if (i > 0) add_block(list, true);
        add_conv2d(list, first[i].channels, params_of(&first[i], is_first),
                   before_block && begins_with_batchnorm(model, true));
        if (i == 0) list->specs[list->count - 1].input[0] = h;
    }
    add(list, (struct layer_spec){.kind = LAYER_ADD, .input = {name_part(list, "branch"), shortcut}});
}

/* Adds a residual block. Its parts are named by its number. */
static void add_residual_block(struct spec_list *list, const struct feature *first, bool is_first)
{
    list->blocks++;
    switch (list->model->residual) {
    case RESIDUAL_ORIGINAL:
        add_original_block(list, first, is_first);
        break;
    case RESIDUAL_PREACTIVATION:
        add_preactivation_block(list, first, is_first);
        break;
    case RESIDUAL_LINEAR:
        add_linear_block(list, first, is_first);
    }
    name_part(list, "block");
}

/* Adds an entry of the features. Behind the last of some blocks of pre-activation comes what the next one would begin
 * with. */
static void add_entry(struct spec_list *list, const struct feature *first, bool before_block)
{
    bool preactivation = list->model->residual == RESIDUAL_PREACTIVATION;
    if (first->block == 0) add_feature(list, first, !(preactivation && before_block));
    for (int64_t k = 0; k < first->repeats; k++) add_residual_block(list, first, k == 0);
    if (first->block > 0 && preactivation && !before_block) add_block(list, true);
}

/* Adds the features, then a flatten where they leave more than one pixel. */
static void add_features(struct spec_list *list, struct shape input)
{
    const struct feature_list *features = &list->model->features;
    char text[ORIGIN_SIZE];
    list->shape = input;
    for (int64_t i = 0, entry = 1, next; i < features->count; i = next, entry++) {
        const struct feature *first = &features->value[i];
        next = i + features_entry_length(first);
        features_format_entry(first, text, sizeof text);
        set_origin(list, "model.features", "entry %" PRId64 " (%s)", entry, text);
        add_entry(list, first, next < features->count && features->value[next].block > 0);
    }
    if (list->shape.h > 1 || list->shape.w > 1) add(list, (struct layer_spec){.kind = LAYER_FLATTEN});
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
        add_block(&list, true);
    }
    set_origin(&list, "model.kind", "output layer (%" PRId64 " classes)", classes);
    add_dropout(&list, model->head_dropout);
    add_head(&list, classes);
    if (model->loss == LOSS_SEPARATE) add(&list, (struct layer_spec){.kind = LAYER_SOFTMAX});
    *count = list.count;
    return list.specs;
}

void model_specs_free(struct layer_spec *specs, int count)
{
    for (int i = 0; i < count; i++) {
        free((char *)specs[i].origin);
        free((char *)specs[i].name);
    }
    free(specs);
}
