/* Prints a measurement as a table for people, and as an INI file for programs. */
#include <inttypes.h>
#include <string.h>

#include "bench/bench.h"

/* --- the parts --- */

static void print_rate(FILE *out, double flops, double seconds, double peak)
{
    if (flops == 0 || seconds == 0) {
        fprintf(out, "%9s %6s", "-", "-");
        return;
    }
    fprintf(out, "%9.1f", flops / seconds * 1e-9);
    if (peak > 0)
        fprintf(out, " %5.0f%%", 100 * flops / seconds / peak);
    else
        fprintf(out, " %6s", "-");
}

/* Returns the width of the first column. */
static int name_width(const struct bench_result *result)
{
    int width = 26;
    for (int i = 0; i < result->part_count; i++) {
        int length = (int)strlen(result->parts[i].name);
        if (length > width) width = length;
    }
    return width;
}

static void print_parts(const struct bench_result *result, FILE *out)
{
    int width = name_width(result);
    fprintf(out, "%-*s %11s%9s %6s %11s%9s %6s\n", width, "part", "forward ms", "GFLOP/s", "peak", "backward ms",
            "GFLOP/s", "peak");
    for (int i = 0; i < result->part_count; i++) {
        const struct bench_part *part = &result->parts[i];
        fprintf(out, "%-*s %11.3f", width, part->name, part->forward * 1e3);
        print_rate(out, part->forward_flops, part->forward, result->peak);
        fprintf(out, " %11.3f", part->backward * 1e3);
        print_rate(out, part->backward_flops, part->backward, result->peak);
        fputc('\n', out);
    }
}

/* --- what the time is spent on --- */

static void print_share(FILE *out, const char *what, double seconds, double step)
{
    fprintf(out, "%-26s %11.3f %5.0f%%\n", what, seconds * 1e3, 100 * seconds / step);
}

/* Returns true where an earlier part has the same kind; print_kind then counted both together. */
static bool is_counted(const struct bench_result *result, int index)
{
    for (int i = 0; i < index; i++)
        if (strcmp(result->parts[i].kind, result->parts[index].kind) == 0) return true;
    return false;
}

/* Prints the time of all parts of a kind in two lines: the time that their multiplications take at the peak, and the
 * rest. A kind that is faster than that gets one line. */
static void print_kind(const struct bench_result *result, const char *kind, double step, FILE *out)
{
    char what[96];
    double seconds = 0, flops = 0;
    for (int i = 0; i < result->part_count; i++) {
        const struct bench_part *part = &result->parts[i];
        if (strcmp(part->kind, kind) != 0) continue;
        seconds += part->forward + part->backward;
        flops += part->forward_flops + part->backward_flops;
    }
    if (flops == 0 || result->peak == 0) {
        print_share(out, kind, seconds, step);
        return;
    }
    double at_peak = flops / result->peak;
    /* The kernel replaces the counted multiplications by fewer or cheaper ones. */
    if (seconds < at_peak) {
        snprintf(what, sizeof what, "%s, faster than peak", kind);
        print_share(out, what, seconds, step);
        return;
    }
    snprintf(what, sizeof what, "%s, at the peak", kind);
    print_share(out, what, at_peak, step);
    snprintf(what, sizeof what, "%s, beyond that", kind);
    print_share(out, what, seconds - at_peak, step);
}

static void print_spending(const struct bench_result *result, FILE *out)
{
    double parts = 0, flops = 0;
    for (int i = 0; i < result->part_count; i++) {
        parts += result->parts[i].forward + result->parts[i].backward;
        flops += result->parts[i].forward_flops + result->parts[i].backward_flops;
    }
    fprintf(out, "\n%-26s %11s %6s\n", "where a step's time goes", "ms", "share");
    for (int i = 0; i < result->part_count; i++)
        if (!is_counted(result, i)) print_kind(result, result->parts[i].kind, parts, out);
    print_share(out, "parts together", parts, parts);
    fprintf(out, "\nuseful multiply-adds take %.3f GFLOP a step", flops * 1e-9);
    if (result->peak > 0)
        fprintf(out, ": at the peak %.3f ms, %.0f%% of the training step", flops / result->peak * 1e3,
                100 * flops / result->peak / result->step);
    fputs("\n\n", out);
}

/* --- the operations --- */

static int title_width(const struct bench_result *result)
{
    int width = 26;
    for (int i = 0; i < result->op_count; i++) {
        int length = (int)strlen(result->ops[i].title);
        if (length > width) width = length;
    }
    return width;
}

static void print_ops(const struct bench_result *result, FILE *out)
{
    int width = title_width(result);
    double together = 0;
    fprintf(out, "%-*s %11s %9s %9s %6s\n", width, "operation, alone", "us", "GB/s", "GFLOP/s", "peak");
    for (int i = 0; i < result->op_count; i++) {
        const struct bench_op *op = &result->ops[i];
        fprintf(out, "%-*s %11.2f %9.1f ", width, op->title, op->seconds * 1e6, op->bytes / op->seconds * 1e-9);
        print_rate(out, op->flops, op->seconds, result->peak);
        fputc('\n', out);
        together += op->seconds;
    }
    fprintf(out, "%-*s %11.2f\n\n", width, "all operations", together * 1e6);
}

void bench_print(const struct bench_result *result, FILE *out)
{
    fprintf(out, "backend: %s\n", result->backend);
    if (result->peak > 0)
        fprintf(out, "multiply-add peak: %.1f GFLOP/s (measured)\n\n", result->peak * 1e-9);
    else
        fputs("multiply-add peak: not known\n\n", out);
    print_parts(result, out);
    print_spending(result, out);
    if (result->op_count > 0) print_ops(result, out);
    fprintf(out, "training step      %12.3f ms\n", result->step * 1e3);
    fprintf(out, "training           %12.1f images/s\n", result->train_images);
    if (result->evaluate_images > 0) fprintf(out, "evaluation         %12.1f images/s\n", result->evaluate_images);
    fprintf(out, "memory of the host %12.1f MiB at most\n", result->memory_bytes / 0x1p20);
}

/* --- for programs --- */

static void write_part(const struct bench_part *part, int number, FILE *out)
{
    fprintf(out, "\n[part %d]\nname = %s\nkind = %s\n", number, part->name, part->kind);
    fprintf(out, "forward_seconds = %.9g\nbackward_seconds = %.9g\n", part->forward, part->backward);
    fprintf(out, "forward_flops = %.17g\nbackward_flops = %.17g\n", part->forward_flops, part->backward_flops);
    fprintf(out, "parameter_bytes = %" PRId64 "\n", part->parameter_bytes);
}

static void write_op(const struct bench_op *op, int number, FILE *out)
{
    fprintf(out, "\n[op %d]\ntitle = %s\nseconds = %.9g\n", number, op->title, op->seconds);
    fprintf(out, "bytes = %.17g\nflops = %.17g\n", op->bytes, op->flops);
}

void bench_write(const struct bench_result *result, const struct experiment *experiment, FILE *out)
{
    fprintf(out, "[bench]\nbackend = %s\nsteps = %d\n", result->backend, result->steps);
    fprintf(out, "channels = %" PRId64 "\nheight = %" PRId64 "\nwidth = %" PRId64 "\nclasses = %" PRId64 "\n",
            result->image.c, result->image.h, result->image.w, result->classes);
    fprintf(out, "train_batch = %" PRId64 "\nevaluate_batch = %" PRId64 "\ntrain_count = %" PRId64 "\n",
            result->train_batch, result->evaluate_batch, result->train_count);
    fprintf(out, "ranks = %d\nparameter_bytes = %" PRId64 "\nstatistics_bytes = %" PRId64 "\n", result->ranks,
            result->parameter_bytes, result->statistics_bytes);
    fprintf(out, "step_seconds = %.9g\ntrain_images_per_second = %.9g\n", result->step, result->train_images);
    if (result->evaluate_images > 0) fprintf(out, "evaluate_images_per_second = %.9g\n", result->evaluate_images);
    fprintf(out, "memory_bytes = %.17g\npeak_flops_per_second = %.9g\n", result->memory_bytes, result->peak);
    for (int i = 0; i < result->part_count; i++) write_part(&result->parts[i], i, out);
    for (int i = 0; i < result->op_count; i++) write_op(&result->ops[i], i, out);
    fputc('\n', out);
    experiment_write(experiment, out);
}
