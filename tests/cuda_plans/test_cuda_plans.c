/* Asks cuDNN itself, on a machine that needs no GPU, for plans for every convolution of the shipped configs on GPUs of
 * several generations, which it knows by their properties. So a build against another cuDNN shows what that one refuses
 * before a GPU is there. It tells nothing about results or speed. Exits with 77 where this cuDNN cannot be asked so.
 *
 * usage: test_cuda_plans FOLDER     FOLDER: the configs */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "config/experiment.h"
#include "cublas_linear.h"
#include "cuda_create.h"
#include "cudnn_cache.h"
#include "util/check.h"
#include "util/memory.h"

enum { SKIPPED = 77, JSON_SIZE = 2048 };

/* What cuDNN wants to know of a GPU, as cudaGetDeviceProperties tells it. Sizes are bytes, rates kHz. */
static const struct gpu {
    const char *name;
    int capability;                       /* 90: 9.0 */
    int multiprocessors, blocks, threads; /* blocks and threads that a multiprocessor holds */
    int shared, reserved;                 /* most memory that a block may share, and what of it CUDA takes itself */
    int rate, memory_rate, bus, l2;       /* bus: bits */
    int64_t memory;
} gpus[] = {
    {"Tesla T4", 75, 40, 16, 1024, 65536, 0, 1590000, 5001000, 256, 4194304, INT64_C(15642329088)},
    {"NVIDIA A100-SXM4-80GB", 80, 108, 32, 2048, 166912, 1024, 1410000, 1593000, 5120, 41943040, INT64_C(85095874560)},
    {"NVIDIA H100 80GB HBM3", 90, 132, 32, 2048, 232448, 1024, 1980000, 2619000, 5120, 52428800, INT64_C(85029158912)},
    {"NVIDIA H200", 90, 132, 32, 2048, 232448, 1024, 1980000, 3201000, 6144, 62914560, INT64_C(150754820096)},
    {"NVIDIA B200", 100, 148, 32, 2048, 232448, 1024, 1965000, 3996000, 8192, 132644864, INT64_C(191501041664)},
};
enum { GPUS = sizeof gpus / sizeof *gpus };

static cudnnBackendDescriptor_t describe(const struct gpu *gpu)
{
    char json[JSON_SIZE];
    snprintf(json, sizeof json,
             "{\"cudnnVersion\":%zu,\"cudaDeviceId\":0,\"deviceId\":0,\"deviceVer\":%d,\"driverVer\":%d,"
             "\"smVersion\":%d,\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
             "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
             "\"maxSharedMemoryPerBlockOptin\":%d,\"reservedSharedMemoryPerBlock\":%d,\"maxRegistersPerSM\":65536,"
             "\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%d,\"pciDeviceId\":0,"
             "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smClockRateKHz\":%d,\"memClockRateKHz\":%d,"
             "\"memoryBusWidth\":%d,\"l2CacheSize\":%d,\"totalGlobalMem\":%" PRId64 ",\"deviceName\":\"%s\"}",
             cudnnGetVersion(), gpu->capability * 10, CUDART_VERSION, gpu->capability * 10, gpu->multiprocessors,
             gpu->shared, gpu->reserved, gpu->blocks, gpu->threads, gpu->rate, gpu->memory_rate, gpu->bus, gpu->l2,
             gpu->memory, gpu->name);
    return cudnn_properties_create(json);
}

/* --- the convolutions of the configs --- */

struct task_list {
    int count;
    struct cudnn_task *tasks; /* of the first config that has them; precision and what follows are left open */
    const char **configs;
};

static bool same(const struct cudnn_task *a, const struct cudnn_task *b)
{
    return a->pass == b->pass && a->output_channels == b->output_channels && shape_equal(a->x, b->x) &&
           a->params.window.kernel == b->params.window.kernel && a->params.window.stride == b->params.window.stride &&
           a->params.window.padding == b->params.window.padding && a->params.groups == b->params.groups;
}

static void add(struct task_list *list, const char *config, struct cudnn_task task)
{
    for (int i = 0; i < list->count; i++)
        if (same(&list->tasks[i], &task)) return;
    list->tasks = memory_resize(list->tasks, (size_t)list->count + 1, sizeof *list->tasks);
    list->configs = memory_resize(list->configs, (size_t)list->count + 1, sizeof *list->configs);
    list->tasks[list->count] = task;
    list->configs[list->count++] = memory_copy_string(config);
}

/* Adds the passes of a program's convolutions that cuDNN computes. */
static void add_program(struct task_list *list, const char *config, const struct program *program)
{
    for (int i = 0; i < program->op_count; i++) {
        const struct op *op = &program->ops[i];
        bool backward = op->kind == OP_CONV2D_BACKWARD;
        if ((op->kind != OP_CONV2D && !backward) || cublas_linear_takes(op->conv2d)) continue;
        struct cudnn_task task = {.params = op->conv2d,
                                  .x = program_shape(program, op, backward ? CONV2D_BACKWARD_X : CONV2D_X)};
        task.output_channels = program_shape(program, op, backward ? CONV2D_BACKWARD_WEIGHT : CONV2D_WEIGHT).n;
        task.pass = backward ? CUDNN_PASS_DWEIGHT : CUDNN_PASS_FORWARD;
        add(list, config, task);
        task.pass = CUDNN_PASS_DX;
        if (backward && op->tensor[CONV2D_BACKWARD_DX] >= 0) add(list, config, task);
    }
}

static void add_mode(struct task_list *list, const char *config, const struct network *network, enum layer_mode mode,
                     int64_t n)
{
    const struct network_request request = {.mode = mode,
                                            .n = n,
                                            .last = network->layer_count,
                                            .loss = true,
                                            .backward = mode == LAYER_TRAIN,
                                            .fold = mode == LAYER_EVALUATE};
    struct network_program made = network_write(network, &request);
    add_program(list, config, made.program);
    program_free(made.program);
}

static bool add_config(struct task_list *list, const char *path, struct backend *backend, struct status *status)
{
    struct experiment experiment;
    struct dataset_description format;
    struct network *network;
    struct status missing;
    if (!experiment_load(&experiment, path, NULL, 0, status)) return false;
    if (experiment.data.dataset == DATASET_FOLDER) /* its pictures, which would tell, are the user's */
        experiment.data.channels = DATA_CHANNELS_COLOUR, experiment.data.classes = 2;
    bool described = description_from_experiment(&format, &experiment, &missing, status);
    int64_t train = experiment.train.batch_size;
    int64_t evaluate = described ? evaluation_batch_from_experiment(&experiment, format, backend) : 0;
    bool built = described && network_from_experiment(&network, &experiment, format, backend,
                                                      train > evaluate ? train : evaluate, status);
    if (built) {
        add_mode(list, path, network, LAYER_TRAIN, train);
        add_mode(list, path, network, LAYER_EVALUATE, evaluate);
        network_destroy(network);
    }
    experiment_free(&experiment);
    return built;
}

/* Stops the program where a config cannot be read. */
static struct task_list read_configs(const char *folder)
{
    struct task_list list = {0};
    struct status status = {0};
    struct backend *backend;
    const struct backend_options options = {.device = DEVICE_CUDA, .listing = true};
    bool good = cuda_listing_create(&backend, &options, &status);
    if (good) backend->fuse = true;
    DIR *entries = good ? opendir(folder) : NULL;
    for (const struct dirent *entry; entries && good && (entry = readdir(entries));) {
        const char *end = strrchr(entry->d_name, '.');
        bool sweep = strncmp(entry->d_name, "sweep", strlen("sweep")) == 0; /* many trainings, of linear layers */
        if (!end || strcmp(end, ".ini") != 0 || sweep) continue;
        char *path = memory_format("%s/%s", folder, entry->d_name);
        good = add_config(&list, path, backend, &status);
        free(path);
    }
    if (!good) fprintf(stderr, "%s\n", status.message), exit(1);
    if (entries) closedir(entries);
    backend_destroy(backend);
    return list;
}

static void task_list_free(struct task_list *list)
{
    for (int i = 0; i < list->count; i++) free((void *)list->configs[i]);
    free(list->configs);
    free(list->tasks);
}

/* --- the plans for them --- */

static int failures;

/* Of all tasks together. */
struct answer {
    int proposed, plans, least; /* least: plans of the task that has the fewest */
    int64_t workspace;          /* the most that a plan takes */
};

/* A configuration must come back from a line of the cache as it was. */
static void check_line(const struct cudnn_configuration *configuration)
{
    struct cudnn_configuration read;
    char *text;
    size_t size;
    FILE *line = memory_stream(&text, &size);
    cudnn_configuration_print(configuration, line);
    memory_stream_close(line, &text);
    if (!cudnn_configuration_parse(text, &read) || !cudnn_configuration_same(configuration, &read))
        failures++, printf("FAIL: the cache does not read its own line \"%s\"\n", text);
    free(text);
}

static int ask(struct cudnn_device device, const struct cudnn_task *task, struct answer *answer)
{
    struct cudnn_graph *graph = cudnn_graph_create(device, task);
    if (!graph) return 0;
    struct cudnn_configuration *list;
    int plans = 0, proposed = cudnn_graph_propose(graph, &list);
    for (int i = 0; i < proposed; i++) {
        check_line(&list[i]);
        struct cudnn_plan *plan = cudnn_plan_create(graph, &list[i]);
        if (!plan) continue;
        plans++;
        if (cudnn_plan_workspace(plan) > answer->workspace) answer->workspace = cudnn_plan_workspace(plan);
        cudnn_plan_destroy(plan);
    }
    answer->proposed += proposed, answer->plans += plans;
    if (plans < answer->least) answer->least = plans;
    free(list);
    cudnn_graph_destroy(graph);
    return plans;
}

static const char *const pass_names[] = {"forward", "dx", "dweight"};
static const char *const precision_names[] = {PRECISION_CHOICES(CHOICE_NAME)};
/* Asks for each task. `refused`: there must be no plan for any, else one at least for each. */
static struct answer ask_all(const struct gpu *gpu, struct cudnn_device device, const struct task_list *list,
                             enum precision precision, bool deterministic, bool refused)
{
    struct answer answer = {.least = 1 << 30};
    for (int i = 0; i < list->count; i++) {
        struct cudnn_task task = list->tasks[i];
        task.precision = precision, task.deterministic = deterministic, task.workspace_bytes = CUDA_WORKSPACE_BYTES;
        int plans = ask(device, &task, &answer);
        if (refused ? plans == 0 : plans > 0) continue;
        failures++;
        printf("FAIL: %s, %s%s, %s of %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " to %" PRId64
               " channels, kernel %" PRId64 ", stride %" PRId64 " (%s): %d plans\n",
               gpu->name, precision_names[precision], deterministic ? ", deterministic" : "", pass_names[task.pass],
               task.x.n, task.x.c, task.x.h, task.x.w, task.output_channels, task.params.window.kernel,
               task.params.window.stride, list->configs[i], plans);
    }
    printf("%-22s %s%s: %d proposed, %d plans, %d at least for each, up to %" PRId64 " bytes\n", gpu->name,
           precision_names[precision], deterministic ? ", deterministic" : "", answer.proposed, answer.plans,
           answer.least, answer.workspace);
    return answer;
}

static void expect(bool good, const struct gpu *gpu, const char *what)
{
    if (good) return;
    failures++;
    printf("FAIL: %s: expected %s\n", gpu->name, what);
}

/* Where tensor cores compute fp32 tensors, some engines must be left out that TF32 may take, and wherever runs repeat,
 * some that add in any order. Otherwise cuDNN's notes do not mean what cudnn_plan.c takes them for. */
static void check_gpu(const struct gpu *gpu, struct cudnn_device device, const struct task_list *list)
{
    static const enum precision precisions[] = {PRECISION_FP32, PRECISION_TF32, PRECISION_BF16};
    int plans[3][2];
    for (int p = 0; p < 3; p++) {
        bool refused = !cuda_computes(precisions[p], gpu->capability / 10);
        for (int deterministic = 0; deterministic < 2; deterministic++)
            plans[p][deterministic] = ask_all(gpu, device, list, precisions[p], deterministic, refused).plans;
        expect(plans[p][1] <= plans[p][0], gpu, "no plan that only deterministic runs have");
    }
    expect(plans[0][1] < plans[0][0], gpu, "engines that are not deterministic");
    if (gpu->capability >= 80) expect(plans[0][0] < plans[1][0], gpu, "fewer plans in fp32 than in tf32");
}

/* True where the list has the shortcut of a residual block that halves the image, in every pass. No chain of layers has a
 * 1x1 convolution that skips pixels. */
static bool has_shortcuts(const struct task_list *list)
{
    bool found[CUDNN_PASSES] = {false};
    for (int i = 0; i < list->count; i++)
        if (list->tasks[i].params.window.kernel == 1 && list->tasks[i].params.window.stride == 2)
            found[list->tasks[i].pass] = true;
    return found[CUDNN_PASS_FORWARD] && found[CUDNN_PASS_DX] && found[CUDNN_PASS_DWEIGHT];
}

int main(int count, char **words)
{
    if (count != 2) return fprintf(stderr, "usage: test_cuda_plans FOLDER\n"), 2;
    struct task_list list = read_configs(words[1]);
    printf("cuDNN %zu, %d passes of convolutions\n", cudnnGetVersion(), list.count);
    if (!has_shortcuts(&list)) failures++, printf("FAIL: no residual network is among the configs\n");
    bool asked = true;
    for (int i = 0; i < GPUS && asked; i++) {
        struct cudnn_device device = {.properties = describe(&gpus[i])};
        asked = device.properties != NULL;
        if (!asked) break;
        check_gpu(&gpus[i], device, &list);
        cudnnBackendDestroyDescriptor(device.properties);
    }
    task_list_free(&list);
    if (!asked) {
        char reason[JSON_SIZE] = "";
        cudnnGetLastErrorString(reason, sizeof reason);
        printf("skipped: this cuDNN takes no properties of a GPU: %s\n", reason);
        return SKIPPED;
    }
    return failures > 0;
}
