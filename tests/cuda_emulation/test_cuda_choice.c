/* The choice among cuDNN's plans for a convolution, on the emulated cuDNN, whose engines fail in every way that there is
 * (emulated_cudnn.h). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config_support.h"
#include "cudnn_cache.h"
#include "cudnn_choice.h"
#include "emulated_cudnn.h"
#include "util/warning.h"

/* A new folder with an empty cache. */
TestSuite(cuda_choice, .init = enter_folder, .fini = leave_folder);

static const enum precision precisions[] = {PRECISION_FP32, PRECISION_TF32, PRECISION_BF16};
enum { PRECISIONS = 3 };

/* A pass of a small convolution with the plan that was chosen for it. */
struct choice {
    struct cuda_backend *cuda;
    struct cudnn_graph *graph;
    struct cudnn_plan *plan;
    struct cudnn_operands operands;
    void *data[3];
};

static struct choice choose(enum precision precision, bool deterministic, enum cudnn_pass pass, int64_t kernel)
{
    struct backend_options options = {.device = DEVICE_CUDA, .precision = precision, .deterministic = deterministic};
    struct choice choice = {0};
    struct backend *backend;
    struct status status = {0};
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    choice.cuda = cuda_backend_of(backend);
    cuda_need_workspace(choice.cuda);
    struct cudnn_task task = {.pass = pass,
                              .precision = precision,
                              .deterministic = deterministic,
                              .workspace_bytes = (int64_t)choice.cuda->workspace_bytes,
                              .params = {.window = {.kernel = kernel, .stride = 1, .padding = kernel / 2}, .groups = 1},
                              .x = {2, 3, 6, 7},
                              .output_channels = 5};
    for (int i = 0; i < 3; i++) choice.data[i] = cuda_alloc(choice.cuda, 4096); /* more than any of the tensors */
    choice.operands = (struct cudnn_operands){.x = choice.data[0],
                                              .y = choice.data[1],
                                              .filter = choice.data[2],
                                              .result = choice.data[pass == CUDNN_PASS_DX        ? 0
                                                                    : pass == CUDNN_PASS_FORWARD ? 1
                                                                                                 : 2]};
    choice.graph = cudnn_graph_create((struct cudnn_device){.handle = choice.cuda->lane->cudnn}, &task);
    cr_assert(choice.graph);
    emulated_cudnn_calls = (struct emulated_cudnn_calls){0};
    choice.plan = cudnn_plan_choose(choice.cuda, choice.graph, &choice.operands);
    return choice;
}

static void forget(struct choice choice)
{
    cudnn_plan_destroy(choice.plan);
    cudnn_graph_destroy(choice.graph);
    for (int i = 0; i < 3; i++) cuda_free(choice.cuda, choice.data[i]);
    backend_destroy(&choice.cuda->base);
}

/* Runs the plan and returns its engine. */
static enum emulated_engine engine_of(const struct choice *choice)
{
    struct emulated_cudnn_calls before = emulated_cudnn_calls;
    cr_assert_eq(cudnn_plan_run(choice->plan, &choice->operands, choice->cuda->lane->workspace), CUDNN_STATUS_SUCCESS);
    int engine = 0;
    while (engine < EMULATED_ENGINES && emulated_cudnn_calls.runs[engine] == before.runs[engine]) engine++;
    cr_assert_lt(engine, EMULATED_ENGINES);
    return (enum emulated_engine)engine;
}

/* What cannot run is passed over in whatever way it fails, and leaves nothing behind that hurts the next. */
Test(cuda_choice, engines_that_fail_are_passed_over)
{
    for (int p = 0; p < PRECISIONS; p++) {
        for (enum cudnn_pass pass = 0; pass < CUDNN_PASSES; pass++) {
            for (int deterministic = 0; deterministic < 2; deterministic++) {
                struct choice choice = choose(precisions[p], deterministic, pass, 3);
                const struct emulated_cudnn_calls *calls = &emulated_cudnn_calls;
                cr_assert(choice.plan);
                cr_expect(calls->plans[ENGINE_TOO_LARGE] == 1 && calls->runs[ENGINE_TOO_LARGE] == 0);
                cr_expect(calls->plans[ENGINE_REFUSED] == 0 && calls->runs[ENGINE_REFUSED] == 0);
                cr_expect(calls->plans[ENGINE_FAILS] == 1 && calls->runs[ENGINE_FAILS] == 0);
                /* Once as it is; it fails when it is recorded. */
                cr_expect(calls->plans[ENGINE_FAILS_RECORDED] == 1 && calls->runs[ENGINE_FAILS_RECORDED] == 1);
                cr_expect(calls->plans[ENGINE_COMPILED] == 0 && calls->runs[ENGINE_COMPILED] == 0);
                cr_expect_eq(cudaGetLastError(), cudaSuccess);
                enum emulated_engine taken = engine_of(&choice);
                cr_expect(taken == ENGINE_ONE_ORDER || taken == ENGINE_TENSOR_CORE);
                forget(choice);
            }
        }
    }
}

/* fp32 means fp32, and tf32 may use all engines. */
Test(cuda_choice, fp32_takes_no_tensor_cores)
{
    for (int p = 0; p < PRECISIONS; p++) {
        struct choice choice = choose(precisions[p], false, CUDNN_PASS_FORWARD, 3);
        bool fp32 = precisions[p] == PRECISION_FP32;
        cr_expect_eq(emulated_cudnn_calls.plans[ENGINE_TENSOR_CORE], fp32 ? 0 : 1);
        cr_expect_eq(emulated_cudnn_calls.runs[ENGINE_TENSOR_CORE] > 0, !fp32);
        forget(choice);
    }
}

/* Without `deterministic` all that run are timed, each once although two heuristics propose it, and the fastest is taken,
 * although it is proposed last. */
Test(cuda_choice, the_fastest_is_taken)
{
    for (int p = 0; p < PRECISIONS; p++) {
        struct choice choice = choose(precisions[p], false, CUDNN_PASS_DX, 3);
        cr_expect_eq(emulated_cudnn_calls.heuristics, 2);
        cr_expect_eq(emulated_cudnn_calls.plans[ENGINE_ONE_ORDER], 2);
        cr_expect_gt(emulated_cudnn_calls.runs[ENGINE_ANY_ORDER], 0);
        cr_expect_eq(engine_of(&choice), ENGINE_ONE_ORDER);
        cr_expect_eq(emulated_cudnn_calls.last_tiles, EMULATED_LARGE_TILES);
        forget(choice);
    }
}

/* With it the first that runs is taken, and none that adds in any order. It runs twice, once recorded. */
Test(cuda_choice, deterministic_takes_the_first_that_repeats)
{
    for (int p = 0; p < PRECISIONS; p++) {
        struct choice choice = choose(precisions[p], true, CUDNN_PASS_DWEIGHT, 3);
        bool fp32 = precisions[p] == PRECISION_FP32;
        cr_expect_eq(emulated_cudnn_calls.plans[ENGINE_ANY_ORDER], 0);
        cr_expect_eq(emulated_cudnn_calls.runs[fp32 ? ENGINE_ONE_ORDER : ENGINE_TENSOR_CORE], 2);
        cr_expect_eq(engine_of(&choice), fp32 ? ENGINE_ONE_ORDER : ENGINE_TENSOR_CORE);
        if (fp32) cr_expect_eq(emulated_cudnn_calls.last_tiles, EMULATED_SMALL_TILES);
        forget(choice);
    }
}

Test(cuda_choice, there_may_be_none)
{
    struct choice choice = choose(PRECISION_FP32, false, CUDNN_PASS_FORWARD, 5);
    cr_expect_null(choice.plan);
    forget(choice);
}

/* Only a lost device ends the program, in one line for people. */
Test(cuda_choice, a_lost_device_ends_the_program, .exit_code = STATUS_RUNTIME)
{
    emulated_cudnn_loses_device = true;
    choose(PRECISION_FP32, false, CUDNN_PASS_FORWARD, 3);
}

/* --- precisions --- */

/* A GPU before 8.0 refuses bf16 and computes in the others. `auto` then takes the CPU and says why. */
Test(cuda_choice, bf16_needs_a_newer_gpu)
{
    setenv("CUDA_EMULATION_CAPABILITY", "75", 1);
    for (int p = 0; p < PRECISIONS; p++) {
        struct backend_options options = {.device = DEVICE_CUDA, .precision = precisions[p], .threads = 1};
        struct backend *backend;
        struct status status = {0};
        bool created = backend_create(&backend, &options, &status);
        cr_expect_eq(created, precisions[p] != PRECISION_BF16);
        if (created) {
            backend_destroy(backend);
            continue;
        }
        cr_expect_eq(status.code, STATUS_USAGE);
        cr_expect_str_eq(status.message, "backend.precision: bf16 needs a GPU of compute capability 8.0 or higher, and "
                                         "this one's is lower; use fp32");
        options.device = DEVICE_AUTO;
        cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
        cr_expect(strstr(backend->description, "cpu") && strstr(backend->description, "(bf16 needs a GPU of"), "%s",
                  backend->description);
        backend_destroy(backend);
    }
}

/* --- what earlier runs chose --- */

static const enum cudnn_pass kept_pass = CUDNN_PASS_DWEIGHT;

TestSuite(cuda_cache, .init = enter_folder, .fini = leave_folder);

/* Returns the path of the only file in the cache, in a new string. */
static char *cache_path(void)
{
    DIR *entries = opendir(".cache/trainer");
    char *path = NULL;
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        if (entry->d_name[0] == '.') continue;
        cr_assert_null(path, "two files: %s and %s", path, entry->d_name);
        path = memory_format(".cache/trainer/%s", entry->d_name);
    }
    cr_assert(path, "nothing is kept");
    closedir(entries);
    return path;
}

static void write_cache(const char *text)
{
    char *path = cache_path();
    support_file_write(path, text, strlen(text));
    free(path);
}

static char *read_cache(void)
{
    char *path = cache_path(), *text = support_file_read(path, NULL);
    free(path);
    return text;
}

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* Chooses, and expects that cuDNN was asked, or that it was not and the plan ran only to be tried: as it is and
 * recorded. */
static void expect_choice(enum precision precision, bool deterministic, bool asked)
{
    struct choice choice = choose(precision, deterministic, kept_pass, 3);
    cr_assert(choice.plan);
    int runs = 0, plans = 0;
    for (int i = 0; i < EMULATED_ENGINES; i++)
        runs += emulated_cudnn_calls.runs[i], plans += emulated_cudnn_calls.plans[i];
    cr_expect_eq(emulated_cudnn_calls.heuristics, asked ? 2 : 0);
    if (!asked) cr_expect(runs == 2 && plans == 1, "%d runs, %d plans", runs, plans);
    enum emulated_engine engine = engine_of(&choice);
    if (!deterministic) cr_expect_eq(engine, ENGINE_ONE_ORDER);
    if (!deterministic) cr_expect_eq(emulated_cudnn_calls.last_tiles, EMULATED_LARGE_TILES);
    forget(choice);
}

/* The second run takes what the first has chosen. A choice holds for its precision and its kind of run alone. */
Test(cuda_cache, the_second_run_does_not_ask)
{
    for (int p = 0; p < PRECISIONS; p++)
        for (int deterministic = 0; deterministic < 2; deterministic++)
            expect_choice(precisions[p], deterministic, true);
    for (int p = 0; p < PRECISIONS; p++)
        for (int deterministic = 0; deterministic < 2; deterministic++)
            expect_choice(precisions[p], deterministic, false);
    char *text = read_cache();
    cr_expect_eq(count_lines(text), 2 * PRECISIONS);
    free(text);
}

/* A line of stderr tells of the first search of a backend; nothing is said where the choice is known, and where the first
 * plan that runs is taken. */
Test(cuda_cache, a_search_says_so)
{
    static const struct {
        bool deterministic, said;
    } starts[] = {{true, false}, {false, true}, {false, false}};
    for (int i = 0; i < 3; i++) {
        warning_collect();
        forget(choose(PRECISION_FP32, starts[i].deterministic, kept_pass, 3));
        char *said = warning_take();
        cr_expect_eq(said != NULL, starts[i].said, "start %d: %s", i, said ? said : "nothing");
        if (said)
            cr_expect(strstr(said, "note: timing what cuDNN offers") && strstr(said, "/.cache/trainer/cudnn-"), "%s",
                      said);
        if (said) cr_expect_null(strchr(said, '\n'), "%s", said);
        free(said);
    }
}

/* With another cuDNN everything is asked anew, and what the first has chosen stays for when it comes back. */
Test(cuda_cache, another_version_is_asked)
{
    expect_choice(PRECISION_FP32, false, true);
    emulated_cudnn_version++;
    expect_choice(PRECISION_FP32, false, true);
    expect_choice(PRECISION_FP32, false, false);
    emulated_cudnn_version--;
    expect_choice(PRECISION_FP32, false, false);
}

/* A line that was cut off, one with an engine or a knob that there is not, and one that names an engine which the task
 * forbids are as good as none. The next run is whole again. */
Test(cuda_cache, damaged_lines_are_passed_over)
{
    expect_choice(PRECISION_FP32, false, true);
    char *text = read_cache(), *numbers = strrchr(text, '=');
    int key = (int)(numbers + 1 - text);
    const char *const damages[] = {"",
                                   " ",
                                   " 7",
                                   " 7 2:-1",
                                   " 7 2:-1 ",
                                   " 7 2:-1 . ",
                                   " 99 2:-1 .",
                                   " 7 2:3 .",
                                   " 7 .",
                                   " 7 2 .",
                                   " 7 2: .",
                                   " -7 2:-1 .",
                                   " 99999999999999999999 2:-1 .",
                                   " 7 2:- .",
                                   " 7 2:--1 .",
                                   " x .",
                                   " 4 .",
                                   " 0 .",
                                   " 1 .",
                                   " 2 .",
                                   " 3 .",
                                   " 5 ."};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char *damaged = memory_format("no line of ours\n%.*s%s\n", key, text, damages[i]);
        write_cache(damaged);
        expect_choice(PRECISION_FP32, false, true);
        char *mended = read_cache();
        cr_expect_str_eq(mended, text, "after \"%s\": \"%s\"", damages[i], mended);
        expect_choice(PRECISION_FP32, false, false);
        free(mended), free(damaged);
    }
    char *path = cache_path();
    support_file_write(path, "\0\xff\n\0", 4);
    expect_choice(PRECISION_FP32, false, true);
    expect_choice(PRECISION_FP32, false, false);
    free(path), free(text);
}

/* Without a place for it, every run asks, and nothing is said. */
Test(cuda_cache, a_place_is_not_needed)
{
    const char *const places[] = {"/dev/null", "/proc/trainer", "relative"};
    for (int i = 0; i < 3; i++) {
        setenv("XDG_CACHE_HOME", places[i], 1);
        if (i == 2) unsetenv("HOME");
        expect_choice(PRECISION_FP32, false, true);
        expect_choice(PRECISION_FP32, false, true);
    }
}

/* Of processes that write at once, none loses a line of another. */
Test(cuda_cache, runs_side_by_side_leave_it_whole)
{
    enum { PROCESSES = 4, ROUNDS = 20 };
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0) continue;
        struct cudnn_task task = {.pass = kept_pass, .precision = PRECISION_TF32, .output_channels = i};
        const struct cudnn_configuration configuration = {.engine = i, .knob_count = 1, .knobs = {{2, i}}};
        for (int round = 0; round < ROUNDS; round++) {
            task.x.n = round;
            cudnn_cache_keep(&task, &configuration);
        }
        _exit(0);
    }
    int state, good = 0;
    for (int i = 0; i < PROCESSES; i++) good += wait(&state) > 0 && state == 0;
    cr_expect_eq(good, PROCESSES);
    char *text = read_cache(), *rest = text;
    int lines = count_lines(text);
    cr_expect_eq(lines, PROCESSES * ROUNDS, "%d lines", lines);
    for (int i = 0; i < lines; i++) {
        const char *line = strsep(&rest, "\n"), *numbers = strrchr(line, '=');
        int64_t engine, value;
        char dot;
        cr_expect(numbers && sscanf(numbers, "= %" SCNd64 " 2:%" SCNd64 " %c", &engine, &value, &dot) == 3 &&
                      engine == value && dot == '.',
                  "%s", line);
    }
    free(text);
}

/* A line cannot bring an engine into a run that is to repeat. */
Test(cuda_cache, a_kept_engine_must_suit)
{
    expect_choice(PRECISION_FP32, true, true);
    char *text = read_cache();
    char *other = memory_format("%.*s %d .\n", (int)(strrchr(text, '=') + 1 - text), text, ENGINE_ANY_ORDER);
    write_cache(other);
    expect_choice(PRECISION_FP32, true, true);
    free(other), free(text);
}
