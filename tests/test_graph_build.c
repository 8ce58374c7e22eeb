/* Tests how networks that are no chains are built: errors in what layers read, the printed table, and which of them take
 * pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "experiment_support.h"
#include "network_support.h"
#include "nn/network.h"
#include "program/passes.h"

/* clang-format off */
#define LINEAR(n) .kind = LAYER_LINEAR, .linear = {.units = n}
#define CONV(n) .kind = LAYER_CONV2D, .conv2d = {.channels = n, .window = {3, 1, 1}}
#define RELU .kind = LAYER_ACTIVATION, .activation = {ACTIVATION_RELU, 0}
#define ADD .kind = LAYER_ADD
#define GATE .kind = LAYER_GATE
/* clang-format on */

/* --- errors --- */

enum { MOST = 3 };

struct error_case {
    struct layer_spec specs[MOST]; /* those of kind 0 without units end the list */
    int count;
    struct shape input;
    const char *message;
};

/* clang-format off */
static const struct error_case errors[] = {
    {{{LINEAR(3)}, {LINEAR(3), .origin = "test.ini:7: entry 2", .input = {"x"}}}, 2, {2, 5, 1, 1},
     "test.ini:7: entry 2: it reads \"x\", which is no layer; expected \"input\" or a layer before it"},
    {{{LINEAR(3), .name = "a", .input = {"b"}}, {LINEAR(3), .name = "b"}}, 2, {2, 5, 1, 1},
     "layer 0 (linear): it reads \"b\", which is layer 1; expected \"input\" or a layer before it"},
    {{{LINEAR(3)}, {LINEAR(3), .name = "b", .input = {"b"}}}, 2, {2, 5, 1, 1},
     "layer 1 (linear): it reads \"b\", which is layer 1; expected \"input\" or a layer before it"},
    {{{LINEAR(3), .name = "a"}, {LINEAR(3), .name = "a"}}, 2, {2, 5, 1, 1},
     "layer 1 (linear): its name \"a\" is that of layer 0 too, expected one of its own"},
    {{{LINEAR(3), .name = "input"}}, 1, {2, 5, 1, 1},
     "layer 0 (linear): its name is \"input\", which means the network's input; expected another"},
    {{{LINEAR(3), .name = ""}}, 1, {2, 5, 1, 1}, "layer 0 (linear): its name is empty, expected one letter or more"},
    {{{LINEAR(3)}, {ADD, .origin = "here"}}, 2, {2, 5, 1, 1}, "here: it has 1 input, expected 2 to 4"},
    {{{LINEAR(3), .name = "a"}, {LINEAR(2), .input = {"a", "input"}}}, 2, {2, 5, 1, 1},
     "layer 1 (linear): it has 2 inputs, expected 1"},
    {{{CONV(3), .name = "a"}, {ADD, .origin = "here", .input = {"a", "a", "input"}}}, 2, {2, 5, 4, 3},
     "here: its input \"input\" is 5x4x3, expected 3x4x3 as of \"a\""},
    {{{CONV(3), .name = "a"}, {GATE, .origin = "here", .input = {"a", "input"}}}, 2, {2, 3, 4, 3},
     "here: its input \"input\" is 3x4x3, expected 3x1x1: a value for each channel of \"a\""},
    {{{LINEAR(3), .name = "a"}, {GATE, .origin = "here", .input = {"a", "input"}}}, 2, {2, 5, 1, 1},
     "here: its input \"input\" is 5x1x1, expected 3x1x1: a value for each channel of \"a\""},
    {{{LINEAR(3)}, {GATE, .origin = "here"}}, 2, {2, 5, 1, 1}, "here: it has 1 input, expected 2"},
    {{{LINEAR(3)}, {LINEAR(3), .origin = "here"}, {LINEAR(2), .input = {"input"}}}, 3, {2, 5, 1, 1},
     "here: no layer reads its output, expected one after it that does"},
    {{{CONV(3), .origin = "here"}}, 1, {2, 5, 4, 3},
     "here: the network ends with 3x4x3 for a sample, expected a vector"},
};
/* clang-format on */

Test(graph_build, errors_tell_what_was_found_and_expected)
{
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    int64_t before = backend->allocated;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        const struct error_case *e = &errors[i];
        struct network *network;
        struct status status = {0};
        bool built = network_build(&network, backend, e->specs, e->count, LOSS_FUSED, e->input, 1, &status);
        cr_expect(!built && !network, "case %d", (int)i);
        cr_expect_eq(status.code, STATUS_USAGE);
        cr_expect_str_eq(status.message, e->message);
    }
    cr_expect_eq(backend->allocated, before);
    backend_destroy(backend);
}

/* --- a network --- */

/* A chain whose layers name what they would read anyway is the same network. */
Test(graph_build, names_change_nothing)
{
    const struct layer_spec plain[] = {{LINEAR(7)}, {RELU}, {LINEAR(3)}};
    const struct layer_spec named[] = {
        {LINEAR(7), .name = "a", .input = {"input"}}, {RELU, .name = "b", .input = {"a"}}, {LINEAR(3), .input = {"b"}}};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *a, *b;
    struct status status = {0};
    const struct shape input = {2, 5, 1, 1};
    cr_assert(network_build(&a, backend, plain, 3, LOSS_FUSED, input, 1, &status), "%s", status.message);
    cr_assert(network_build(&b, backend, named, 3, LOSS_FUSED, input, 1, &status), "%s", status.message);
    cr_assert_eq(a->arena_count, b->arena_count);
    cr_expect_eq(memcmp(a->parameters, b->parameters, a->arena_count * backend->scalar_size), 0);
    cr_expect_eq(a->group_count, b->group_count);
    network_destroy(a), network_destroy(b);
    backend_destroy(backend);
}

static char *summary_of(const struct network *network)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    network_print_summary(network, out);
    fclose(out);
    return text;
}

/* The table of a network whose specs are gone by then. */
Test(graph_build, summary_shows_what_layers_read)
{
    char *left = memory_copy_string("left"), *right = memory_copy_string("right"), *in = memory_copy_string("input");
    const struct layer_spec specs[] = {{CONV(4), .name = left},       {CONV(4), .name = right, .input = {in}},
                                       {ADD, .input = {left, right}}, {RELU},
                                       {.kind = LAYER_GLOBAL_POOL},   {LINEAR(3)}};
    const char *const lines[] = {"\n|+ left: conv2d 3x3 ",    "\n+| right: conv2d 3x3 of input ",
                                 "\n + add of left, right ",  "\n   relu ",
                                 "\n   global average-pool ", "\n   linear ",
                                 "4x5x6               -  ",   " 167 "};
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network;
    struct status status = {0};
    const struct shape input = {2, 2, 5, 6};
    cr_assert(network_build(&network, backend, specs, 6, LOSS_FUSED, input, 1, &status), "%s", status.message);
    free(left), free(right), free(in);
    char *summary = summary_of(network);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_not_null(strstr(summary, lines[i]), "no \"%s\" in\n%s", lines[i], summary);
    free(summary);
    network_destroy(network);
    backend_destroy(backend);
}

/* --- parts of a network --- */

static void expect_inputs(const struct network *network, int first, int last, const int64_t *channels, int count)
{
    struct network_request request = {.mode = LAYER_EVALUATE, .n = 2, .first = first, .last = last, .keep = true};
    struct network_program made = network_write(network, &request);
    cr_assert_eq(made.input_count, count, "layers %d to %d: %d inputs", first, last, made.input_count);
    for (int k = 0; k < count; k++) cr_expect_eq(made.program->tensors[made.x[k]].shape.c, channels[k]);
    program_free(made.program);
}

/* A part reads what lies before it, each once, in the order in which its layers ask for it. */
Test(graph_build, parts_have_an_input_for_what_they_read)
{
    const struct layer_spec specs[] = {
        {LINEAR(4), .name = "a"},   {LINEAR(6), .name = "b"}, {LINEAR(4), .name = "c", .input = {"b"}},
        {ADD, .input = {"c", "a"}}, {LINEAR(6), .name = "d"}, {ADD, .input = {"d", "b", "d"}},
    };
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network;
    struct status status = {0};
    const struct shape input = {2, 5, 1, 1};
    cr_assert(network_build(&network, backend, specs, 6, LOSS_FUSED, input, 1, &status), "%s", status.message);
    expect_inputs(network, 0, 6, (const int64_t[]){5}, 1);
    expect_inputs(network, 1, 6, (const int64_t[]){4}, 1);
    expect_inputs(network, 2, 6, (const int64_t[]){6, 4}, 2);
    expect_inputs(network, 3, 6, (const int64_t[]){4, 4, 6}, 3);
    expect_inputs(network, 5, 6, (const int64_t[]){6, 6}, 2);
    expect_inputs(network, 6, 6, (const int64_t[]){6}, 1);
    network_destroy(network);
    backend_destroy(backend);
}

/* --- pixels --- */

enum { SAMPLES = 9, FEATURES = 20 };

static struct network *build_pixels(struct backend *backend, const struct layer_spec *specs, int count)
{
    struct network *network;
    struct status status = {0};
    const struct shape input = {SAMPLES, FEATURES, 1, 1};
    cr_assert(network_build(&network, backend, specs, count, LOSS_FUSED, input, 1, &status), "%s", status.message);
    return network;
}

/* The scores of a data set of random images. `pixels` allows the program to take its bytes; `taken`: whether it does. */
static double *scores_of(struct network *network, bool pixels, bool taken)
{
    struct backend *backend = network->backend;
    uint8_t bytes[SAMPLES * FEATURES];
    const uint16_t labels[SAMPLES] = {0};
    float offset[FEATURES], scale = 0.0625f;
    for (int i = 0; i < SAMPLES * FEATURES; i++) bytes[i] = (uint8_t)(i * 37);
    for (int i = 0; i < FEATURES; i++) offset[i] = 100;
    struct dataset_view view = {SAMPLES, 1, FEATURES, 1, bytes, labels, offset, &scale, NULL, false};
    struct device_dataset *data = backend->table->dataset_upload(backend, &view);
    const struct gather_params gather = {.augmented = false, .pixels = pixels};
    struct network_request request = {
        .mode = LAYER_EVALUATE, .n = SAMPLES, .last = network->layer_count, .gather = &gather, .keep = true};
    struct network_program made = network_write(network, &request);
    program_finish(made.program, true);
    cr_expect_eq(made.program->tensors[made.x[0]].kind == TENSOR_PIXELS, taken);
    void *work = backend->table->alloc(backend, (size_t)made.program->work_bytes),
         *base[SPACES] = {[SPACE_WORK] = work};
    network_bases(network, base);
    struct prepared *prepared = prepared_create(made.program, backend, base);
    prepared_run(prepared, &(struct run_input){.n = SAMPLES, .data = data, .refresh = true});
    struct tensor y = network_tensor(&made, made.y, work);
    double *scores = support_read(backend, &y);
    prepared_free(prepared);
    program_free(made.program);
    backend->table->free(backend, work);
    backend->table->dataset_free(backend, data);
    return scores;
}

/* Two linear layers may read bytes. Where a sum reads the input too, it must be numbers. */
Test(graph_build, pixels_where_every_reader_takes_them)
{
    char message[256];
    const struct layer_spec linear[] = {
        {LINEAR(17), .name = "a"}, {LINEAR(17), .name = "b", .input = {"input"}}, {ADD, .input = {"a", "b"}}};
    const struct layer_spec sum[] = {{LINEAR(FEATURES), .name = "a"}, {ADD, .input = {"a", "input"}}, {LINEAR(17)}};
    struct backend *backend = backend_of(PRECISION_FP32, 2);
    struct network *both = build_pixels(backend, linear, 3), *mixed = build_pixels(backend, sum, 3);
    double *bytes = scores_of(both, true, runner_takes_pixels(backend));
    double *numbers = scores_of(both, false, false), *same = scores_of(mixed, true, false);
    /* sums of 2 * 20 products of size 10 * 0.2 */
    cr_expect(support_close(bytes, numbers, SAMPLES * 17, 1e-4, 0, message, sizeof message), "%s", message);
    free(bytes), free(numbers), free(same);
    network_destroy(both), network_destroy(mixed);
    backend_destroy(backend);
}
