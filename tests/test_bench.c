/* Tests the meaning of the numbers that trainer bench prints, not their size. */
#include <math.h>

#include "bench/bench.h"
#include "config_support.h"
#include "program_support.h"

TestSuite(bench, .init = enter_folder, .fini = leave_folder);

/* --- products of a convolution --- */

static int64_t slow_useful_taps(int64_t size, struct window window)
{
    int64_t taps = 0;
    for (int64_t start = -window.padding; start + window.kernel <= size + window.padding; start += window.stride)
        for (int64_t k = 0; k < window.kernel; k++) taps += start + k >= 0 && start + k < size;
    return taps;
}

Test(bench, useful_taps)
{
    for (int64_t size = 1; size <= 12; size++)
        for (int64_t kernel = 1; kernel <= 7; kernel++)
            for (int64_t stride = 1; stride <= 5; stride++)
                for (int64_t padding = 0; padding <= 8; padding++) {
                    struct window window = {kernel, stride, padding};
                    int64_t taps = window_useful_taps(size, window), expected = slow_useful_taps(size, window);
                    cr_assert_eq(taps, expected, "size %d, kernel %d, stride %d, padding %d: %d, not %d", (int)size,
                                 (int)kernel, (int)stride, (int)padding, (int)taps, (int)expected);
                }
}

Test(bench, useful_taps_without_padding)
{
    cr_expect_eq(window_useful_taps(28, (struct window){3, 1, 0}), 26 * 3);
    cr_expect_eq(window_useful_taps(28, (struct window){3, 1, 1}), 28 * 3 - 2);
    cr_expect_eq(window_useful_taps(3, (struct window){5, 1, 0}), 0);
}

/* --- a measurement --- */

static const char convnet_text[] = "[data]\ndataset = synthetic\nsynthetic_channels = 2\nsynthetic_size = 6\n"
                                   "synthetic_classes = 3\n"
                                   "[model]\nkind = convnet\nfeatures = 5k3s1p1, 4k3s2p1, M\nbatchnorm = custom\n"
                                   "[train]\nbatch_size = 7\n[backend]\ndevice = cpu\nthreads = 1\nfuse = false\n";

static void measure_with(struct bench_result *result, const char *text, struct shape image, int64_t classes,
                         struct bench_wish wish)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_assert(bench_run(result, &experiment, image, classes, wish, NULL, &status), "%s", status.message);
    experiment_free(&experiment);
}

static void measure(struct bench_result *result, const char *text, struct shape image, int64_t classes)
{
    measure_with(result, text, image, classes, (struct bench_wish){.steps = 3, .evaluation = true});
    cr_expect_eq(result->op_count, 0);
}

static bool is_time(double seconds)
{
    return isfinite(seconds) && seconds > 0;
}

Test(bench, times_are_positive)
{
    struct bench_result result;
    measure(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3);
    double parts = 0;
    for (int i = 0; i < result.part_count; i++) {
        const struct bench_part *part = &result.parts[i];
        cr_expect(is_time(part->forward), "%s: %g", part->name, part->forward);
        cr_expect(isfinite(part->backward) && part->backward >= 0, "%s: %g", part->name, part->backward);
        bool layer = i > 0 && i < result.part_count - 2;
        if (!layer) cr_expect_eq(part->backward, 0, "%s has no backward pass", part->name);
        if (strncmp(part->name, "conv2d", 6) == 0) cr_expect(is_time(part->backward), "%s", part->name);
        parts += part->forward + part->backward;
    }
    cr_expect(is_time(parts) && is_time(result.step));
    cr_expect_float_eq(result.train_images * result.step, 7, 1e-9);
    cr_expect(is_time(result.evaluate_images));
    cr_expect(isfinite(result.peak) && result.peak > 0);
    cr_expect_geq(result.memory_bytes, 0x1p20);
    cr_expect_str_not_empty(result.backend);
    bench_free(&result);
    cr_expect_null(result.parts);
}

Test(bench, evaluations_are_left_out)
{
    struct bench_result result;
    measure_with(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3, (struct bench_wish){.steps = 3});
    cr_expect(is_time(result.step));
    cr_expect_eq(result.evaluate_images, 0);
    bench_free(&result);
}

static void expect_parts(const struct bench_result *result, const char *const *names, int count)
{
    cr_assert_eq(result->part_count, count, "%d parts", result->part_count);
    for (int i = 0; i < count; i++)
        cr_expect_eq(strncmp(result->parts[i].name, names[i], strlen(names[i])), 0, "part %d: %s, not %s", i,
                     result->parts[i].name, names[i]);
}

Test(bench, parts_are_in_order)
{
    static const char *const names[] = {"gather",
                                        "conv2d 3x3",
                                        "batchnorm",
                                        "relu",
                                        "conv2d 3x3, stride 2",
                                        "batchnorm",
                                        "relu",
                                        "max-pool 3x3, stride 2",
                                        "flatten",
                                        "linear",
                                        "loss",
                                        "optimizer"};
    struct bench_result result;
    measure(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3);
    expect_parts(&result, names, sizeof names / sizeof *names);
    bench_free(&result);
}

Test(bench, fused_layers_are_one_part)
{
    static const char *const names[] = {"gather",
                                        "conv2d 3x3",
                                        "batchnorm + relu",
                                        "conv2d 3x3, stride 2",
                                        "batchnorm + relu + max-pool 3x3, stride 2",
                                        "flatten",
                                        "linear",
                                        "loss",
                                        "optimizer"};
    struct bench_result result;
    char *text = memory_format("%s", convnet_text);
    strcpy(strstr(text, "fuse = false"), "fuse = true\n");
    measure(&result, text, (struct shape){1, 2, 6, 6}, 3);
    expect_parts(&result, names, sizeof names / sizeof *names);
    bench_free(&result);
    free(text);
}

/* Counted by hand, the zeros of the padding left out: along a side of 6, a 3x3 window meets 3*6 - 2 pixels at stride 1,
 * and 2 + 3 + 3 at stride 2. */
Test(bench, flops_leave_out_padding)
{
    struct bench_result result;
    measure(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3);
    double flops[16] = {0};
    cr_assert_leq(result.part_count, 16);
    for (int i = 0; i < result.part_count; i++) flops[i] = result.parts[i].forward_flops;
    cr_expect_eq(flops[0], 0);
    cr_expect_eq(flops[1], 2.0 * 16 * 16 * 2 * 5 * 7);
    cr_expect_eq(flops[2], 0);
    cr_expect_eq(flops[3], 0);
    cr_expect_eq(flops[4], 2.0 * 8 * 8 * 5 * 4 * 7);
    cr_expect_eq(flops[9], 2.0 * (4 * 2 * 2) * 3 * 7, "the linear layer: %g", flops[9]);
    cr_expect_eq(flops[10], 0);
    cr_expect_eq(flops[11], 0);
    cr_expect_eq(result.parts[1].backward_flops, flops[1], "the first layer has no dx");
    cr_expect_eq(result.parts[4].backward_flops, 2 * flops[4]);
    bench_free(&result);
}

/* The bench does not need the config's data set: it makes images of the wanted format. */
Test(bench, needs_no_data)
{
    struct bench_result result;
    measure(&result,
            "[data]\ndataset = idx\npath = none\nvalidation_size = 5\n[model]\nhidden = 9\n"
            "[train]\nbatch_size = 4\neval_batch_size = 3\n[backend]\ndevice = cpu\nthreads = 2\n",
            (struct shape){1, 1, 5, 5}, 6);
    cr_assert_geq(result.part_count, 6);
    double first = 0, last = 0;
    for (int i = 0; i < result.part_count; i++) {
        if (result.parts[i].forward_flops == 0) continue;
        if (first == 0) first = result.parts[i].forward_flops;
        last = result.parts[i].forward_flops;
    }
    cr_expect_eq(first, 2.0 * 25 * 9 * 4);
    cr_expect_eq(last, 2.0 * 9 * 6 * 4);
    bench_free(&result);
}

/* Images higher than wide stay so, and the data set is larger than a cache. */
Test(bench, images_need_not_be_square)
{
    struct bench_result result;
    measure(&result, convnet_text, (struct shape){1, 2, 9, 5}, 3);
    cr_expect_eq(result.parts[1].forward_flops, 2.0 * (9 * 3 - 2) * (5 * 3 - 2) * 2 * 5 * 7, "%g",
                 result.parts[1].forward_flops);
    cr_expect_eq(result.train_count, 50000);
    cr_expect_eq(result.evaluate_batch, 128);
    bench_free(&result);
}

/* An update that runs within the op before it has no line of its own. */
Test(bench, operations_are_measured_where_that_is_asked_for)
{
    struct bench_result result;
    char *printed;
    size_t size;
    measure_with(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3,
                 (struct bench_wish){.steps = 3, .evaluation = true, .ops = true});
    cr_assert_geq(result.op_count, 15);
    cr_expect_str_eq(result.ops[0].title, "gather");
    cr_expect_str_eq(result.ops[1].title, "conv2d 3x3");
    cr_expect_eq(result.ops[1].flops, result.parts[1].forward_flops);
    for (int i = 0; i < result.op_count; i++)
        cr_expect(is_time(result.ops[i].seconds) && result.ops[i].bytes > 0, "%s: %g s, %g bytes", result.ops[i].title,
                  result.ops[i].seconds, result.ops[i].bytes);
    FILE *out = memory_stream(&printed, &size);
    bench_print(&result, out);
    memory_stream_close(out, &printed);
    cr_expect_not_null(strstr(printed, "\nconv2d 3x3 backward"), "%s", printed);
    cr_expect_not_null(strstr(printed, "\nall operations"), "%s", printed);
    free(printed);
    bench_free(&result);
}

Test(bench, network_errors)
{
    struct experiment experiment;
    struct bench_result result;
    struct status status = {0};
    const char *text = "[model]\nkind = convnet\nfeatures = 4k9s1p0\n[backend]\ndevice = cpu\nthreads = 1\n";
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_expect_not(
        bench_run(&result, &experiment, (struct shape){1, 1, 5, 5}, 3, (struct bench_wish){.steps = 3}, NULL, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, "a 9x9 convolution"), "%s", status.message);
    cr_expect_null(result.parts);
    experiment_free(&experiment);
}

/* --- the table --- */

static char *table_of(const struct bench_result *result)
{
    FILE *out = fopen("table.txt", "w");
    cr_assert_not_null(out);
    bench_print(result, out);
    fclose(out);
    return support_file_read("table.txt", NULL);
}

/* At a peak of 1 GFLOP/s, two layers of a kind with 3 + 3 Mflop need 6 ms of the 8 ms that they take. */
Test(bench, tells_where_the_time_goes)
{
    struct bench_part parts[] = {{"gather", "gather", 1e-3, 0, 0, 0, 0},
                                 {"conv2d 3x3", "conv2d", 1e-3, 2e-3, 1e6, 2e6, 0},
                                 {"relu", "relu", 1e-3, 0, 0, 0, 0},
                                 {"conv2d 5x5", "conv2d", 2e-3, 3e-3, 1e6, 2e6, 0}};
    struct bench_result result = {.backend = "some", .part_count = 4, .parts = parts, .step = 12e-3, .peak = 1e9};
    char *text = table_of(&result);
    static const char *const lines[] = {
        "\ngather                           1.000    10%\n", "\nconv2d, at the peak              6.000    60%\n",
        "\nconv2d, beyond that              2.000    20%\n", "\nparts together                  10.000   100%\n",
        "0.006 GFLOP a step: at the peak 6.000 ms, 50% of the training step\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_not_null(strstr(text, lines[i]), "\"%s\" lacks \"%s\"", text, lines[i]);
    cr_expect_null(strstr(strstr(text, "conv2d, at") + 1, "conv2d, at"), "one line per kind: %s", text);
    free(text);
}

/* 4 Mflop in 3 ms are faster than a peak of 1 GFLOP/s: no time is lost, and none is printed as negative. */
Test(bench, tells_of_layers_faster_than_the_peak)
{
    struct bench_part parts[] = {{"gather", "gather", 1e-3, 0, 0, 0, 0}, {"linear", "linear", 1e-3, 2e-3, 2e6, 2e6, 0}};
    struct bench_result result = {.backend = "some", .part_count = 2, .parts = parts, .step = 4e-3, .peak = 1e9};
    char *text = table_of(&result);
    cr_expect_not_null(strstr(text, "\nlinear, faster than peak         3.000    75%\n"), "%s", text);
    cr_expect_null(strstr(text, "linear, at the peak"), "%s", text);
    free(text);
}

/* Where the peak is unknown, no share of it is printed. */
Test(bench, prints_without_a_peak)
{
    struct bench_part parts[] = {{"gather", "gather", 1e-3, 0, 0, 0, 0}, {"linear", "linear", 1e-3, 2e-3, 1e6, 2e6, 0}};
    struct bench_result result = {.backend = "some", .part_count = 2, .parts = parts, .step = 1e-3};
    char *text = table_of(&result);
    cr_expect_not(strstr(text, "inf") || strstr(text, "nan"), "%s", text);
    cr_expect_not_null(strstr(text, "      1.0"), "%s", text);
    free(text);
}

/* The file reads back as a config, with its figures. */
Test(bench, writes_a_file)
{
    struct bench_result result;
    struct experiment experiment, again;
    struct status status = {0};
    measure(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3);
    cr_assert(load_text(&experiment, convnet_text, &status), "%s", status.message);
    FILE *out = fopen("bench.ini", "w");
    bench_write(&result, &experiment, out);
    fclose(out);
    char *text = support_file_read("bench.ini", NULL);
    char *step = memory_format("\nstep_seconds = %.9g\n", result.step);
    static const char *const parts[] = {"[bench]\nbackend = cpu, ",        "\nheight = 6\n",
                                        "\n[part 1]\nname = conv2d 3x3\n", "\n[part 11]\nname = optimizer\n",
                                        "\nforward_flops = 35840\n",       "\nranks = 1\nparameter_bytes = ",
                                        "\nstatistics_bytes = 256\n",      "\nparameter_bytes = 380\n"};
    cr_expect_not_null(strstr(text, step), "\"%s\" lacks \"%s\"", text, step);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(text, parts[i]), "\"%s\" lacks \"%s\"", text, parts[i]);
    char *config = strstr(text, "\n[experiment]\n");
    cr_assert_not_null(config);
    cr_expect(load_text(&again, config, &status), "%s", status.message);
    cr_expect_eq(again.train.batch_size, 7);
    experiment_free(&again), experiment_free(&experiment);
    free(step), free(text);
    bench_free(&result);
}

Test(bench, program)
{
    support_file_write("x.ini", convnet_text, strlen(convnet_text));
    struct program_result result = program_run("bench", "x.ini", "--set", "train.batch_size=3", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    cr_expect_str_empty(result.error);
    static const char *const parts[] = {"x, batches of 3 images\nbackend: ",
                                        "multiply-add peak: ",
                                        "\ngather ",
                                        "\nconv2d 3x3 ",
                                        "\noptimizer ",
                                        "\ntraining step ",
                                        " images/s\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(result.out, parts[i]), "\"%s\" lacks \"%s\"", result.out, parts[i]);
    free(result.out), free(result.error);
    result = program_run("bench", "x.ini", "--steps", "2", "--out", "speed.ini", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
    char *file = support_file_read("speed.ini", NULL);
    cr_assert_not_null(file);
    cr_expect_not_null(strstr(file, "\nsteps = 2\n"), "%s", file);
    free(file);
    program_expect(program_run("bench", "none.ini", NULL), 2, "",
                   "trainer: none.ini: cannot open: No such file or directory\n");
    program_expect(program_run("bench", "x.ini", "--steps", "0", NULL), 2, "",
                   "trainer: --steps: expected an integer from 1 to 1000000, found \"0\"\n");
    program_expect(program_run("bench", "x.ini", "-n", "3x", NULL), 2, "",
                   "trainer: --steps: expected an integer from 1 to 1000000, found \"3x\"\n");
    result = program_run("bench", "x.ini", "-n1", "-o", "none/speed.ini", NULL);
    cr_expect_eq(result.code, 1);
    cr_expect_str_eq(result.error, "trainer: none/speed.ini: cannot write: No such file or directory\n", "%s",
                     result.error);
    free(result.out), free(result.error);
}
