/* What trainer bench measures: that the numbers are there and mean what they say, not how large they are. */
#include <math.h>

#include "config_support.h"
#include "program_support.h"
#include "trainer/bench.h"

TestSuite(bench, .init = enter_folder, .fini = leave_folder);

/* --- what a convolution multiplies --- */

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
                                   "[train]\nbatch_size = 7\n[backend]\ndevice = cpu\nthreads = 1\n";

static void measure(struct bench_result *result, const char *text, struct shape image, int64_t classes)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_assert(bench_run(result, &experiment, image, classes, 3, &status), "%s", status.message);
    experiment_free(&experiment);
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

/* Counted by hand, the zeros of the padding left out: along a side of 6, a 3x3 window meets 3*6 - 2 pixels at stride 1,
 * and 2 + 3 + 3 at stride 2. */
Test(bench, flops_leave_out_padding)
{
    struct bench_result result;
    measure(&result, convnet_text, (struct shape){1, 2, 6, 6}, 3);
    double flops[16] = {0};
    cr_assert_leq(result.part_count, 16);
    for (int i = 0; i < result.part_count; i++) flops[i] = result.parts[i].flops;
    cr_expect_eq(flops[0], 0);
    cr_expect_eq(flops[1], 2.0 * 16 * 16 * 2 * 5 * 7);
    cr_expect_eq(flops[2], 0);
    cr_expect_eq(flops[3], 0);
    cr_expect_eq(flops[4], 2.0 * 8 * 8 * 5 * 4 * 7);
    cr_expect_eq(flops[9], 2.0 * (4 * 2 * 2) * 3 * 7, "the linear layer: %g", flops[9]);
    cr_expect_eq(flops[10], 0);
    cr_expect_eq(flops[11], 0);
    bench_free(&result);
}

/* The config's own data set is not needed: the images are synthetic, of the format that is asked for. */
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
        if (result.parts[i].flops == 0) continue;
        if (first == 0) first = result.parts[i].flops;
        last = result.parts[i].flops;
    }
    cr_expect_eq(first, 2.0 * 25 * 9 * 4);
    cr_expect_eq(last, 2.0 * 9 * 6 * 4);
    bench_free(&result);
}

Test(bench, network_errors)
{
    struct experiment experiment;
    struct bench_result result;
    struct status status = {0};
    const char *text = "[model]\nkind = convnet\nfeatures = 4k9s1p0\n[backend]\ndevice = cpu\nthreads = 1\n";
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    cr_expect_not(bench_run(&result, &experiment, (struct shape){1, 1, 5, 5}, 3, 3, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, "a 9x9 convolution"), "%s", status.message);
    cr_expect_null(result.parts);
    experiment_free(&experiment);
}

/* --- the table --- */

/* Where the peak is not known, there is no share of it. */
Test(bench, prints_without_a_peak)
{
    struct bench_part parts[] = {{"gather", 1e-3, 0, 0}, {"linear", 1e-3, 2e-3, 1e6}};
    struct bench_result result = {.backend = "some", .part_count = 2, .parts = parts, .step = 1e-3};
    FILE *out = fopen("table.txt", "w");
    cr_assert_not_null(out);
    bench_print(&result, out);
    fclose(out);
    char *text = support_file_read("table.txt", NULL);
    cr_expect_not(strstr(text, "inf") || strstr(text, "nan"), "%s", text);
    cr_expect_not_null(strstr(text, "      1.0"), "%s", text);
    free(text);
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
    program_expect(program_run("bench", "none.ini", NULL), 2, "",
                   "trainer: none.ini: cannot open: No such file or directory\n");
}
