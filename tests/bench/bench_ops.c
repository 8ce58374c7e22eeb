/* Measures how long single operations take on a backend, at the shapes of the report's networks, and compares them with
 * the rates at which the device can move and multiply. Both rates are measured in the same run. Prints a table in
 * markdown.
 *
 * usage: bench_ops [--device cpu|cuda|reference] [--precision fp32|fp64|tf32|bf16] [--large] [--only WORD]
 *   --large   also tensors that no cache holds (a gigabyte of memory and more)
 *   --only    the operations whose name contains the word
 *
 * The bytes are the fewest that an operation must move: every input read once, every output written once. An operation
 * runs as in a training step, recorded where the backend records, many times between two looks at the clock; the median
 * of several such runs counts. Small tensors then come from a cache, as they do in a step. Batch normalization is timed
 * beside cuDNN's where there is one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_cases.h"
#include "self_test/op_run.h"
#include "util/clock.h"
#include "util/memory.h"

enum { RUNS = 7, WARM_UP = 3 };

struct ceilings {
    double bytes, flops; /* per second */
};

/* One operation of a case that is set up on a backend. */
struct subject {
    struct backend *backend;
    struct op_run *run;
    enum op_kind timed;
    struct tensor metrics; /* is read to wait for the device */
};

static struct subject subject_open(struct backend *backend, const struct bench_case *c)
{
    struct op_arrays inputs;
    op_case_inputs(&c->op, &inputs);
    struct subject subject = {backend, op_run_open(&c->op, backend, (struct op_run_options){0}, &inputs), c->timed,
                              tensor_alloc(backend, TENSOR_METRICS, shape_vector(3))};
    op_arrays_free(&inputs);
    op_run_all(subject.run); /* a backward pass reads what the forward pass wrote */
    return subject;
}

static void subject_close(struct subject *subject)
{
    op_run_close(subject->run, NULL);
    tensor_free(subject->backend, &subject->metrics);
}

struct call {
    const struct subject *subject;
    int repeats;
};

static void call_body(void *argument)
{
    struct call *call = argument;
    for (int i = 0; i < call->repeats; i++) op_run_again(call->subject->run, call->subject->timed);
}

static double run_seconds(struct call *call)
{
    struct backend *backend = call->subject->backend;
    metrics_read(backend, &call->subject->metrics);
    double start = clock_seconds();
    if (backend->table->run)
        backend->table->run(backend, call_body, call);
    else
        call_body(call);
    metrics_read(backend, &call->subject->metrics);
    return clock_seconds() - start;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the seconds of one operation. It runs so many in a row that they take some milliseconds. The calls have
 * addresses of their own, so that a backend records each of them. */
static double measure(const struct subject *subject)
{
    const double wanted = 3e-3;
    const int most = 500;
    struct call one = {subject, 1}, many = {subject, 1};
    double times[RUNS], single = 0;
    for (int i = 0; i < WARM_UP; i++) single = run_seconds(&one);
    many.repeats = single * most < wanted ? most : (int)ceil(wanted / single);
    for (int i = 0; i < WARM_UP; i++) run_seconds(&many);
    for (int i = 0; i < RUNS; i++) times[i] = run_seconds(&many) / many.repeats;
    qsort(times, RUNS, sizeof *times, compare_doubles);
    return times[RUNS / 2];
}

static struct backend *create(struct backend_options options)
{
    struct backend *backend;
    struct status status = {0};
    if (backend_create(&backend, &options, &status)) return backend;
    fprintf(stderr, "bench_ops: %s\n", status.message);
    exit((int)status.code);
}

static double measure_case(struct backend *backend, const struct bench_case *c)
{
    struct subject subject = subject_open(backend, c);
    double seconds = measure(&subject);
    subject_close(&subject);
    return seconds;
}

/* The bytes per second that a copy reads and writes without help of a cache. */
static double copy_rate(struct backend *backend, bool gpu)
{
    int64_t rows = gpu ? 2048 : 256;
    struct bench_case c = {.name = "copy", .timed = OP_ELEMENTWISE};
    c.op = (struct op_case){.name = "copy", .kind = OP_ELEMENTWISE, .x = {rows, 1024, 8, 8}, .scale = 1};
    c.op.elementwise = (struct elementwise_params){.op = ELEMENTWISE_AFFINE, .scale = 1};
    return 2 * (double)tensor_bytes(backend, TENSOR_ACTIVATION, c.op.x) / measure_case(backend, &c);
}

/* cudnn: a backend with cuDNN's batch normalization, or NULL. */
static void print_row(struct backend *backend, struct backend *cudnn, const struct ceilings *top,
                      const struct bench_case *c)
{
    if (!op_case_offered(&c->op, backend)) return;
    struct subject subject = subject_open(backend, c);
    double seconds = measure(&subject);
    double bytes = op_run_bytes(subject.run, c->timed), flops = op_run_flops(subject.run, c->timed);
    subject_close(&subject);
    struct shape s = c->op.x;
    printf("| %s | %lldx%lldx%lldx%lld | %.2f | %.0f | %.0f%% |", c->name, (long long)s.n, (long long)s.c,
           (long long)s.h, (long long)s.w, 1e6 * seconds, 1e-9 * bytes / seconds, 100 * bytes / seconds / top->bytes);
    if (flops > 0 && top->flops > 0)
        printf(" %.2f | %.0f%% |", 1e-12 * flops / seconds, 100 * flops / seconds / top->flops);
    else
        printf(" | |");
    bool plain = c->op.kind == OP_NORM && c->op.norm.params.activation.kind == ACTIVATION_NONE;
    if (cudnn && plain && c->timed != OP_NORM_EVALUATE) {
        double theirs = measure_case(cudnn, c);
        printf(" %.2f, x%.2f |\n", 1e6 * theirs, theirs / seconds);
    } else {
        printf(" |\n");
    }
    fflush(stdout);
}

struct arguments {
    struct backend_options options;
    bool large;
    const char *only;
};

static void usage(void)
{
    fprintf(stderr, "usage: bench_ops [--device cpu|cuda|reference] [--precision "
                    "fp32|fp64|tf32|bf16] [--large] [--only WORD]\n");
    exit(2);
}

/* Returns the place of the word in the list; ends the program where the word is not there. */
static int word_of(const char *word, const char *const *words)
{
    for (int i = 0; word && words[i]; i++)
        if (strcmp(word, words[i]) == 0) return i;
    usage();
    return 0;
}

static struct arguments parse(char **words)
{
    struct arguments arguments = {.options = {.device = DEVICE_CPU, .fuse = true}};
    for (; *words; words++) {
        if (strcmp(*words, "--large") == 0)
            arguments.large = true;
        else if (strcmp(*words, "--device") == 0)
            arguments.options.device = (enum device)word_of(*++words, CHOICE_NAMES(DEVICE_CHOICES));
        else if (strcmp(*words, "--precision") == 0)
            arguments.options.precision = (enum precision)word_of(*++words, CHOICE_NAMES(PRECISION_CHOICES));
        else if (strcmp(*words, "--only") == 0 && words[1])
            arguments.only = *++words;
        else
            usage();
    }
    return arguments;
}

int main(int count, char **words)
{
    (void)count;
    struct arguments arguments = parse(words + 1);
    struct backend *backend = create(arguments.options), *cudnn = NULL;
    bool gpu = backend->pci_bus_id[0] != '\0';
    if (gpu) {
        arguments.options.cudnn_batchnorm = true;
        cudnn = create(arguments.options);
    }
    struct ceilings top = {copy_rate(backend, gpu), backend->table->measure_peak(backend)};
    printf("%s: copies at %.0f GB/s, multiplies at %.2f TFLOP/s\n\n", backend->description, 1e-9 * top.bytes,
           1e-12 * top.flops);
    printf("| operation | N x C x H x W | us | GB/s | of copy | TFLOP/s | of "
           "rate | cuDNN, us |\n"
           "|---|---|---:|---:|---:|---:|---:|---:|\n");
    int cases;
    const struct bench_case *list = bench_case_list(&cases);
    for (int i = 0; i < cases; i++) {
        if (list[i].large && !arguments.large) continue;
        if (!arguments.only || strstr(list[i].name, arguments.only)) print_row(backend, cudnn, &top, &list[i]);
    }
    backend_destroy(cudnn);
    backend_destroy(backend);
    return 0;
}
