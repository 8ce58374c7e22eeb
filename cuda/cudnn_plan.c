/* Operation graphs, proposals and plans (cudnn_plan.h). cuDNN's descriptors are made, given their attributes and then
 * finished, one by one. After the first call that fails, which `status` keeps, the rest is not called. A descriptor that
 * others refer to stays until they are gone. */
#include "cudnn_plan.h"

#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"

enum { ALIGNMENT = 16, GRAPH_PARTS = 6, MOST_PROPOSALS = 256, NOTES = 32 };

/* The numbers by which a plan's run knows the tensors. */
enum tensor_id { ID_X = 1, ID_Y, ID_FILTER };

struct cudnn_graph {
    struct cudnn_device device;
    struct cudnn_task task;
    int part_count;
    cudnnBackendDescriptor_t parts[GRAPH_PARTS]; /* the last is the graph itself */
};

struct cudnn_plan {
    const struct cudnn_graph *graph;
    int64_t workspace_bytes;
    int knob_count;
    cudnnBackendDescriptor_t engine, configuration, plan;
    cudnnBackendDescriptor_t knobs[CUDNN_MOST_KNOBS];
};

/* --- descriptors --- */

static cudnnBackendDescriptor_t make(cudnnBackendDescriptorType_t type, cudnnStatus_t *status)
{
    cudnnBackendDescriptor_t made = NULL;
    if (*status == CUDNN_STATUS_SUCCESS) *status = cudnnBackendCreateDescriptor(type, &made);
    return made;
}

static void set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *values, cudnnStatus_t *status)
{
    if (*status == CUDNN_STATUS_SUCCESS) *status = cudnnBackendSetAttribute(descriptor, name, type, count, values);
}

static void set_descriptor(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                           cudnnBackendDescriptor_t value, cudnnStatus_t *status)
{
    set(descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value, status);
}

static void set_int64(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, int64_t value,
                      cudnnStatus_t *status)
{
    set(descriptor, name, CUDNN_TYPE_INT64, 1, &value, status);
}

static void finish(cudnnBackendDescriptor_t descriptor, cudnnStatus_t *status)
{
    if (*status == CUDNN_STATUS_SUCCESS) *status = cudnnBackendFinalize(descriptor);
}

static void destroy(cudnnBackendDescriptor_t descriptor)
{
    if (descriptor) cudnnBackendDestroyDescriptor(descriptor);
}

/* Reads up to `most` values and returns their number, 0 after an error. */
static int get(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int most, void *values, cudnnStatus_t *status)
{
    int64_t count = 0;
    if (*status == CUDNN_STATUS_SUCCESS)
        *status = cudnnBackendGetAttribute(descriptor, name, type, most, &count, values);
    if (*status != CUDNN_STATUS_SUCCESS) return 0;
    return count < most ? (int)count : most;
}

/* --- the graph --- */

static cudnnBackendDescriptor_t add_part(struct cudnn_graph *graph, cudnnBackendDescriptorType_t type,
                                         cudnnStatus_t *status)
{
    cudnnBackendDescriptor_t part = make(type, status);
    if (part) graph->parts[graph->part_count++] = part;
    return part;
}

static cudnnBackendDescriptor_t add_tensor(struct cudnn_graph *graph, enum tensor_id id, struct shape s,
                                           cudnnStatus_t *status)
{
    const int64_t sizes[] = {s.n, s.c, s.h, s.w}, strides[] = {s.h * s.w * s.c, 1, s.w * s.c, s.c};
    cudnnDataType_t type = graph->task.precision == PRECISION_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t tensor = add_part(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR, status);
    set_int64(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, id, status);
    set(tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, status);
    set(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes, status);
    set(tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides, status);
    set_int64(tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT, status);
    finish(tensor, status);
    return tensor;
}

static cudnnBackendDescriptor_t add_convolution(struct cudnn_graph *graph, cudnnStatus_t *status)
{
    struct window window = graph->task.params.window;
    const int64_t padding[] = {window.padding, window.padding}, stride[] = {window.stride, window.stride};
    const int64_t dilation[] = {1, 1};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t convolution = add_part(graph, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, status);
    set_int64(convolution, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride, status);
    set(convolution, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation, status);
    finish(convolution, status);
    return convolution;
}

/* The names that cuDNN has for the operation of a pass and its attributes. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, filter, y, convolution, alpha, beta;
} operations[CUDNN_PASSES] = {
    [CUDNN_PASS_FORWARD] =
        {
            .type = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            .x = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            .filter = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            .y = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            .convolution = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            .alpha = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            .beta = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
        },
    [CUDNN_PASS_DX] =
        {
            .type = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            .x = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            .filter = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            .y = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            .convolution = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            .alpha = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            .beta = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
        },
    [CUDNN_PASS_DWEIGHT] =
        {
            .type = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            .x = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
            .filter = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
            .y = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
            .convolution = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
            .alpha = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
            .beta = CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
        },
};

static cudnnBackendDescriptor_t add_operation(struct cudnn_graph *graph, cudnnStatus_t *status)
{
    const struct cudnn_task *task = &graph->task;
    const float one = 1, zero = 0;
    struct window window = task->params.window;
    struct shape x = task->x, filter = {task->output_channels, x.c / task->params.groups, window.kernel, window.kernel};
    struct shape y = {x.n, task->output_channels, window_output_size(x.h, window), window_output_size(x.w, window)};
    cudnnBackendDescriptor_t x_part = add_tensor(graph, ID_X, x, status);
    cudnnBackendDescriptor_t filter_part = add_tensor(graph, ID_FILTER, filter, status);
    cudnnBackendDescriptor_t y_part = add_tensor(graph, ID_Y, y, status);
    cudnnBackendDescriptor_t convolution = add_convolution(graph, status);
    cudnnBackendDescriptor_t operation = add_part(graph, operations[task->pass].type, status);
    set_descriptor(operation, operations[task->pass].x, x_part, status);
    set_descriptor(operation, operations[task->pass].filter, filter_part, status);
    set_descriptor(operation, operations[task->pass].y, y_part, status);
    set_descriptor(operation, operations[task->pass].convolution, convolution, status);
    set(operation, operations[task->pass].alpha, CUDNN_TYPE_FLOAT, 1, &one, status);
    set(operation, operations[task->pass].beta, CUDNN_TYPE_FLOAT, 1, &zero, status);
    finish(operation, status);
    return operation;
}

struct cudnn_graph *cudnn_graph_create(struct cudnn_device device, const struct cudnn_task *task)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    struct cudnn_graph *graph = memory_alloc(1, sizeof *graph);
    CHECK(!device.handle != !device.properties);
    *graph = (struct cudnn_graph){.device = device, .task = *task};
    cudnnBackendDescriptor_t operation = add_operation(graph, &status);
    cudnnBackendDescriptor_t whole = add_part(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &status);
    set_descriptor(whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, operation, &status);
    if (device.handle) set(whole, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &device.handle, &status);
    finish(whole, &status);
    if (status == CUDNN_STATUS_SUCCESS) return graph;
    cudnn_graph_destroy(graph);
    return NULL;
}

void cudnn_graph_destroy(struct cudnn_graph *graph)
{
    if (!graph) return;
    while (graph->part_count > 0) destroy(graph->parts[--graph->part_count]);
    free(graph);
}

const struct cudnn_task *cudnn_graph_task(const struct cudnn_graph *graph)
{
    return &graph->task;
}

static cudnnBackendDescriptor_t whole_graph(const struct cudnn_graph *graph)
{
    return graph->parts[graph->part_count - 1];
}

/* --- devices that are not there --- */

#if CUDNN_VERSION >= 90800
cudnnBackendDescriptor_t cudnn_properties_create(const char *json)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    cudnnBackendDescriptor_t properties = make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &status);
    set(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json, &status);
    finish(properties, &status);
    if (status == CUDNN_STATUS_SUCCESS) return properties;
    destroy(properties);
    return NULL;
}

/* The attribute with which a descriptor of each type takes the properties of a device that is not there. */
enum {
    HEURISTIC_PROPERTIES = CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
    ENGINE_PROPERTIES = CUDNN_ATTR_ENGINE_DEVICEPROP,
    PLAN_PROPERTIES = CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP
};
#else
cudnnBackendDescriptor_t cudnn_properties_create(const char *json)
{
    (void)json;
    return NULL;
}

enum { HEURISTIC_PROPERTIES, ENGINE_PROPERTIES, PLAN_PROPERTIES }; /* never used */
#endif

static void set_properties(const struct cudnn_graph *graph, cudnnBackendDescriptor_t descriptor, int name,
                           cudnnStatus_t *status)
{
    if (graph->device.properties)
        set_descriptor(descriptor, (cudnnBackendAttributeName_t)name, graph->device.properties, status);
}

/* --- proposals --- */

bool cudnn_configuration_same(const struct cudnn_configuration *a, const struct cudnn_configuration *b)
{
    return a->engine == b->engine && a->knob_count == b->knob_count &&
           memcmp(a->knobs, b->knobs, (size_t)a->knob_count * sizeof *a->knobs) == 0;
}

static void read_knobs(cudnnBackendDescriptor_t from, struct cudnn_configuration *configuration, cudnnStatus_t *status)
{
    cudnnBackendDescriptor_t choices[CUDNN_MOST_KNOBS] = {NULL};
    for (int i = 0; i < CUDNN_MOST_KNOBS; i++) choices[i] = make(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, status);
    configuration->knob_count =
        get(from, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, CUDNN_MOST_KNOBS, choices, status);
    for (int i = 0; i < configuration->knob_count; i++) {
        cudnnBackendKnobType_t type = 0;
        get(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type, status);
        get(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &configuration->knobs[i].value, status);
        configuration->knobs[i].type = type;
    }
    for (int i = 0; i < CUDNN_MOST_KNOBS; i++) destroy(choices[i]);
}

/* Reads what is proposed into numbers; false where that fails. */
static bool read_configuration(cudnnBackendDescriptor_t from, struct cudnn_configuration *configuration)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    *configuration = (struct cudnn_configuration){.engine = -1};
    cudnnBackendDescriptor_t engine = make(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &status);
    get(from, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine, &status);
    get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &configuration->engine, &status);
    read_knobs(from, configuration, &status);
    destroy(engine);
    return status == CUDNN_STATUS_SUCCESS;
}

/* Appends what one heuristic proposes and is not in the list yet. Returns the new count. */
static int propose(const struct cudnn_graph *graph, cudnnBackendHeurMode_t mode, struct cudnn_configuration *list,
                   int count)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    cudnnBackendDescriptor_t found[MOST_PROPOSALS] = {NULL};
    cudnnBackendDescriptor_t heuristic = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &status);
    set_descriptor(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, whole_graph(graph), &status);
    set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, &status);
    set_properties(graph, heuristic, HEURISTIC_PROPERTIES, &status);
    finish(heuristic, &status);
    for (int i = 0; i < MOST_PROPOSALS; i++) found[i] = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &status);
    int number =
        get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_PROPOSALS, found, &status);
    for (int i = 0; i < number; i++) {
        struct cudnn_configuration *next = &list[count];
        bool known = !read_configuration(found[i], next);
        for (int k = 0; k < count && !known; k++) known = cudnn_configuration_same(&list[k], next);
        if (!known) count++;
    }
    for (int i = 0; i < MOST_PROPOSALS; i++) destroy(found[i]);
    destroy(heuristic);
    return count;
}

int cudnn_graph_propose(const struct cudnn_graph *graph, struct cudnn_configuration **list)
{
    *list = memory_alloc(2 * MOST_PROPOSALS, sizeof **list);
    int count = propose(graph, CUDNN_HEUR_MODE_A, *list, 0);
    return propose(graph, CUDNN_HEUR_MODE_FALLBACK, *list, count);
}

/* --- plans --- */

/* True where the engine computes as the task asks. In fp32 no operand may be rounded: tensor cores would round to TF32's
 * 10 bits behind the point. In TF32 and bf16 only sums may not be rounded on the way. Winograd's and Fourier's methods
 * are fp32 throughout and allowed, as they are on the CPU. */
static bool suits(const struct cudnn_task *task, const cudnnBackendNumericalNote_t *notes, int count)
{
    bool fp32 = task->precision == PRECISION_FP32;
    for (int i = 0; i < count; i++) {
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC && task->deterministic) return false;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) return false;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && fp32) return false;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS && fp32) return false;
    }
    return true;
}

/* True where the engine's code would have to be compiled first, which takes seconds for every plan. For a convolution
 * alone there is such an engine among those that cuDNN falls back on. */
static bool is_compiled_late(cudnnBackendDescriptor_t engine, cudnnStatus_t *status)
{
    cudnnBackendBehaviorNote_t notes[NOTES];
    bool late = false;
    int count = get(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, NOTES, notes, status);
    for (int i = 0; i < count; i++) late |= notes[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    return late;
}

static void make_engine(struct cudnn_plan *plan, int64_t number, cudnnStatus_t *status)
{
    cudnnBackendNumericalNote_t notes[NOTES];
    plan->engine = make(CUDNN_BACKEND_ENGINE_DESCRIPTOR, status);
    set_descriptor(plan->engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, whole_graph(plan->graph), status);
    set_int64(plan->engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, number, status);
    set_properties(plan->graph, plan->engine, ENGINE_PROPERTIES, status);
    finish(plan->engine, status);
    int count = get(plan->engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES, notes, status);
    bool refused = !suits(&plan->graph->task, notes, count) || is_compiled_late(plan->engine, status);
    if (*status == CUDNN_STATUS_SUCCESS && refused) *status = CUDNN_STATUS_NOT_SUPPORTED;
}

static void make_configuration(struct cudnn_plan *plan, const struct cudnn_configuration *from, cudnnStatus_t *status)
{
    for (int i = 0; i < from->knob_count; i++) {
        cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)from->knobs[i].type;
        cudnnBackendDescriptor_t knob = make(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, status);
        set(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type, status);
        set_int64(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, from->knobs[i].value, status);
        finish(knob, status);
        plan->knobs[plan->knob_count++] = knob;
    }
    plan->configuration = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, status);
    set_descriptor(plan->configuration, CUDNN_ATTR_ENGINECFG_ENGINE, plan->engine, status);
    if (plan->knob_count > 0)
        set(plan->configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, plan->knob_count,
            plan->knobs, status);
    finish(plan->configuration, status);
}

static void make_plan(struct cudnn_plan *plan, cudnnStatus_t *status)
{
    const struct cudnn_graph *graph = plan->graph;
    plan->plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, status);
    set_descriptor(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, plan->configuration, status);
    if (graph->device.handle)
        set(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &graph->device.handle, status);
    set_properties(graph, plan->plan, PLAN_PROPERTIES, status);
    finish(plan->plan, status);
    get(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &plan->workspace_bytes, status);
}

struct cudnn_plan *cudnn_plan_create(const struct cudnn_graph *graph, const struct cudnn_configuration *configuration)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    struct cudnn_plan *plan = memory_alloc(1, sizeof *plan);
    *plan = (struct cudnn_plan){.graph = graph};
    make_engine(plan, configuration->engine, &status);
    make_configuration(plan, configuration, &status);
    make_plan(plan, &status);
    if (status == CUDNN_STATUS_SUCCESS && plan->workspace_bytes <= graph->task.workspace_bytes) return plan;
    cudnn_plan_destroy(plan);
    return NULL;
}

void cudnn_plan_destroy(struct cudnn_plan *plan)
{
    if (!plan) return;
    destroy(plan->plan);
    destroy(plan->configuration);
    for (int i = 0; i < plan->knob_count; i++) destroy(plan->knobs[i]);
    destroy(plan->engine);
    free(plan);
}

int64_t cudnn_plan_workspace(const struct cudnn_plan *plan)
{
    return plan->workspace_bytes;
}

cudnnStatus_t cudnn_plan_run(const struct cudnn_plan *plan, const struct cudnn_operands *operands, void *workspace)
{
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    enum cudnn_pass pass = plan->graph->task.pass;
    const int64_t ids[] = {ID_X, ID_Y, ID_FILTER};
    const void *data[] = {pass == CUDNN_PASS_DX ? operands->result : operands->x,
                          pass == CUDNN_PASS_FORWARD ? operands->result : operands->y,
                          pass == CUDNN_PASS_DWEIGHT ? operands->result : operands->filter};
    cudnnBackendDescriptor_t tensors = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &status);
    set(tensors, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids, &status);
    set(tensors, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, data, &status);
    set(tensors, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, &status);
    finish(tensors, &status);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(plan->graph->device.handle, plan->plan, tensors);
    destroy(tensors);
    return status;
}
