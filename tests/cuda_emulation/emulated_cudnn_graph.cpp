/* cuDNN's operation graphs, as far as a convolution needs them. A descriptor takes only attributes of its own, of the
 * right type and number, and is finished only when it has all of them. A descriptor that is used by one in use must still
 * be there. What the engines do is told in emulated_cudnn.h. */
#include "emulated_cudnn.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "emulation.h"

struct emulated_cudnn_calls emulated_cudnn_calls;
bool emulated_cudnn_loses_device;

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool finished;
    std::map<int, std::vector<char>> values; /* by attribute */
};

/* All that are not destroyed. */
static std::set<descriptor *> alive;

static descriptor *find(cudnnBackendDescriptor_t handle)
{
    descriptor *found = (descriptor *)handle;
    if (!found || !alive.count(found)) emulation_failed("a descriptor of cuDNN that is not there any more");
    return found;
}

/* The operations, whose attributes follow each other in the header in the same order, but for the tensors'. */
enum role { ROLE_ALPHA, ROLE_BETA, ROLE_CONVOLUTION, ROLE_W, ROLE_X, ROLE_Y, ROLES };
static const struct {
    cudnnBackendDescriptorType_t type;
    emulated_pass pass;
    cudnnBackendAttributeName_t attributes[ROLES];
} operations[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     emulated_pass::forward,
     {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     emulated_pass::dx,
     {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     emulated_pass::dweight,
     {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY}}};

/* --- attributes --- */

struct attribute {
    cudnnBackendDescriptorType_t owner;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count; /* 0: any number, and none will do */
};

static std::vector<attribute> list_attributes()
{
    std::vector<attribute> list = {
        {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1},
        {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
        {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4},
        {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4},
        {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2},
        {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2},
        {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1},
        {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1},
        {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1},
        {CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1},
        {CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1},
        {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0},
        {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1},
        {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3},
        {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3},
        {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1}};
    for (const auto &operation : operations)
        for (int role = 0; role < ROLES; role++)
            list.push_back({operation.type, operation.attributes[role],
                            role <= ROLE_BETA ? CUDNN_TYPE_FLOAT : CUDNN_TYPE_BACKEND_DESCRIPTOR, 1});
    return list;
}

static const std::vector<attribute> attributes = list_attributes();

static size_t size_of(cudnnBackendAttributeType_t type)
{
    return type == CUDNN_TYPE_INT64                                                                            ? 8
           : type == CUDNN_TYPE_HANDLE || type == CUDNN_TYPE_VOID_PTR || type == CUDNN_TYPE_BACKEND_DESCRIPTOR ? 8
                                                                                                               : 4;
}

template <typename Value> static Value value_of(const descriptor *from, int name, size_t index = 0)
{
    Value value;
    memcpy(&value, &from->values.at(name)[index * sizeof value], sizeof value);
    return value;
}

static descriptor *part_of(const descriptor *from, int name, size_t index = 0)
{
    return find(value_of<cudnnBackendDescriptor_t>(from, name, index));
}

template <typename Value> static void put(descriptor *to, int name, Value value)
{
    std::vector<char> &bytes = to->values[name];
    bytes.insert(bytes.end(), (const char *)&value, (const char *)&value + sizeof value);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *made)
{
    if (type == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) return CUDNN_STATUS_NOT_SUPPORTED;
    descriptor *created = new descriptor{type, false, {}};
    alive.insert(created);
    *made = created;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t handle)
{
    descriptor *destroyed = find(handle);
    alive.erase(destroyed);
    delete destroyed;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    descriptor *to = find(handle);
    if (to->finished) return CUDNN_STATUS_BAD_PARAM;
    for (const attribute &known : attributes) {
        if (known.owner != to->type || known.name != name) continue;
        if (known.type != type || (known.count ? count != known.count : count < 1)) return CUDNN_STATUS_BAD_PARAM;
        to->values[name] =
            std::vector<char>((const char *)values, (const char *)values + (size_t)count * size_of(type));
        for (int64_t i = 0; i < count && type == CUDNN_TYPE_BACKEND_DESCRIPTOR; i++)
            if (!part_of(to, name, (size_t)i)->finished) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
        return CUDNN_STATUS_SUCCESS;
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* --- what a plan is of --- */

static emulated_tensor tensor_of(const descriptor *from)
{
    int64_t size[4], stride[4];
    for (size_t i = 0; i < 4; i++) {
        size[i] = value_of<int64_t>(from, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        stride[i] = value_of<int64_t>(from, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    bool last =
        stride[1] == 1 && stride[3] == size[1] && stride[2] == size[3] * size[1] && stride[0] == size[2] * stride[2];
    return {value_of<cudnnDataType_t>(from, CUDNN_ATTR_TENSOR_DATA_TYPE),
            last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW,
            size[0],
            size[1],
            size[2],
            size[3]};
}

/* The convolution of an operation; its addresses are the tensors' numbers. */
static emulated_convolution convolution_of(const descriptor *operation)
{
    for (const auto &known : operations) {
        if (known.type != operation->type) continue;
        const descriptor *parts[ROLES];
        for (int role = ROLE_CONVOLUTION; role < ROLES; role++)
            parts[role] = part_of(operation, known.attributes[role]);
        const descriptor *how = parts[ROLE_CONVOLUTION];
        auto number = [&](int role) {
            return (void *)(uintptr_t)value_of<int64_t>(parts[role], CUDNN_ATTR_TENSOR_UNIQUE_ID);
        };
        return {known.pass,
                tensor_of(parts[ROLE_X]),
                tensor_of(parts[ROLE_W]),
                tensor_of(parts[ROLE_Y]),
                value_of<int64_t>(how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS),
                value_of<int64_t>(how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES),
                number(ROLE_X),
                number(ROLE_W),
                number(ROLE_Y)};
    }
    emulation_failed("an operation of cuDNN that is no convolution");
}

static bool fits(const emulated_convolution &t)
{
    int64_t p = (t.x.h + 2 * t.padding - t.w.h) / t.stride + 1, q = (t.x.w + 2 * t.padding - t.w.w) / t.stride + 1;
    bool last = t.x.format == CUDNN_TENSOR_NHWC && t.w.format == CUDNN_TENSOR_NHWC && t.y.format == CUDNN_TENSOR_NHWC;
    return last && t.x.type == t.w.type && t.x.type == t.y.type && t.x.n == t.y.n && t.x.c % t.w.c == 0 &&
           t.y.c % (t.x.c / t.w.c) == 0 && t.y.c == t.w.n && t.y.h == p && t.y.w == q;
}

static bool plain(const descriptor *operation)
{
    for (const auto &known : operations)
        if (known.type == operation->type)
            return value_of<float>(operation, known.attributes[ROLE_ALPHA]) == 1 &&
                   value_of<float>(operation, known.attributes[ROLE_BETA]) == 0;
    return false;
}

static const descriptor *operation_of_graph(const descriptor *graph)
{
    return part_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
}

static int64_t engine_of(const descriptor *configuration)
{
    return value_of<int64_t>(part_of(configuration, CUDNN_ATTR_ENGINECFG_ENGINE), CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
}

static int64_t tiles_of(const descriptor *configuration)
{
    if (!configuration->values.count(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)) return 0;
    const descriptor *knob = part_of(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES);
    return value_of<int64_t>(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE);
}

static int64_t workspace_of(int64_t engine)
{
    return engine == ENGINE_TOO_LARGE ? (int64_t)1 << 40 : 1024 + engine;
}

/* --- finishing --- */

static cudnnStatus_t check_convolution(const descriptor *made)
{
    for (size_t i = 0; i < 2; i++) {
        if (value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_DILATIONS, i) != 1 ||
            value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) !=
                value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 0) ||
            value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i) !=
                value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 0))
            return CUDNN_STATUS_NOT_SUPPORTED;
    }
    bool usual = value_of<cudnnConvolutionMode_t>(made, CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
                 value_of<cudnnDataType_t>(made, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT &&
                 value_of<int64_t>(made, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2;
    return usual ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

/* The engine that has a knob wants it set, and the others have none. */
static cudnnStatus_t check_configuration(const descriptor *made)
{
    bool has_knob = engine_of(made) == ENGINE_ONE_ORDER;
    int64_t tiles = tiles_of(made);
    bool good = has_knob ? tiles == EMULATED_SMALL_TILES || tiles == EMULATED_LARGE_TILES : tiles == 0;
    return good ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

static cudnnStatus_t check_plan(const descriptor *made)
{
    int64_t engine = engine_of(part_of(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
    if (engine == ENGINE_REFUSED) return CUDNN_STATUS_NOT_SUPPORTED;
    emulated_cudnn_calls.plans[engine]++;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check(const descriptor *made)
{
    enum { NOT_OFFERED_KERNEL = 5 };
    switch (made->type) {
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        return check_convolution(made);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: {
        emulated_convolution t = convolution_of(operation_of_graph(made));
        return fits(t) && plain(operation_of_graph(made)) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    }
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: {
        emulated_cudnn_calls.heuristics++;
        const descriptor *graph = part_of(made, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        bool offered = convolution_of(operation_of_graph(graph)).w.h != NOT_OFFERED_KERNEL;
        return offered ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    }
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR: {
        int64_t number = value_of<int64_t>(made, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
        return number >= 0 && number < EMULATED_ENGINES ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    }
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        return check_configuration(made);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return check_plan(made);
    default:
        return CUDNN_STATUS_SUCCESS;
    }
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t handle)
{
    descriptor *made = find(handle);
    if (made->finished) return CUDNN_STATUS_BAD_PARAM;
    for (const attribute &known : attributes)
        if (known.owner == made->type && known.count && !made->values.count(known.name)) return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(made);
    made->finished = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* --- reading --- */

/* Writes a proposal into a configuration of the caller. Its parts, which the caller never sees, stay for good. */
static void fill_proposal(const descriptor *graph, int64_t number, int64_t tiles, descriptor *configuration)
{
    descriptor *engine = new descriptor{CUDNN_BACKEND_ENGINE_DESCRIPTOR, true, {}};
    put(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, (cudnnBackendDescriptor_t)graph);
    put(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, number);
    alive.insert(engine);
    configuration->values.clear();
    put(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, (cudnnBackendDescriptor_t)engine);
    if (tiles) {
        descriptor *knob = new descriptor{CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, true, {}};
        put(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_KNOB_TYPE_TILE_SIZE);
        put(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, tiles);
        alive.insert(knob);
        put(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, (cudnnBackendDescriptor_t)knob);
    }
    configuration->finished = true;
}

/* The fallback repeats a proposal of the usual heuristic. */
static int64_t get_proposals(const descriptor *heuristic, int64_t most, cudnnBackendDescriptor_t *found)
{
    const descriptor *graph = part_of(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    bool usual = value_of<cudnnBackendHeurMode_t>(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_A;
    int64_t count = 0;
    auto add = [&](int64_t engine, int64_t tiles) {
        if (count < most) fill_proposal(graph, engine, tiles, find(found[count]));
        count++;
    };
    for (int64_t engine = 0; engine < ENGINE_ONE_ORDER && usual; engine++) add(engine, 0);
    add(ENGINE_ONE_ORDER, EMULATED_SMALL_TILES);
    if (!usual) add(ENGINE_ONE_ORDER, EMULATED_LARGE_TILES);
    return count;
}

static int64_t get_notes(const descriptor *engine, cudnnBackendNumericalNote_t *notes)
{
    switch (value_of<int64_t>(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX)) {
    case ENGINE_ANY_ORDER:
        notes[0] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        return 1;
    case ENGINE_TENSOR_CORE:
        notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        return 1;
    default:
        return 0;
    }
}

/* A descriptor that the caller made for a part gets what the part has. */
static int64_t get_parts(const descriptor *from, int name, int64_t most, cudnnBackendDescriptor_t *parts)
{
    if (!from->values.count(name)) return 0;
    int64_t count = (int64_t)(from->values.at(name).size() / sizeof *parts);
    for (int64_t i = 0; i < count && i < most; i++) {
        descriptor *to = find(parts[i]);
        const descriptor *part = part_of(from, name, (size_t)i);
        if (to->type != part->type) emulation_failed("a descriptor of the wrong type for a part");
        *to = *part;
    }
    return count;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t most, int64_t *count, void *values)
{
    const descriptor *from = find(handle);
    if (!from->finished) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        *count = get_proposals(from, most, (cudnnBackendDescriptor_t *)values);
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        *count = get_notes(from, (cudnnBackendNumericalNote_t *)values);
    } else if (name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE) {
        *count = value_of<int64_t>(from, CUDNN_ATTR_ENGINE_GLOBAL_INDEX) == ENGINE_COMPILED;
        if (*count) *(cudnnBackendBehaviorNote_t *)values = CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        int64_t engine = engine_of(part_of(from, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
        *(int64_t *)values = workspace_of(engine);
        *count = 1;
    } else if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        *count = get_parts(from, name, most, (cudnnBackendDescriptor_t *)values);
    } else {
        const std::vector<char> &bytes = from->values.at(name);
        *count = (int64_t)(bytes.size() / size_of(type));
        memcpy(values, bytes.data(), (size_t)(*count < most ? *count : most) * size_of(type));
    }
    return CUDNN_STATUS_SUCCESS;
}

/* --- running --- */

static void *address_of(const descriptor *tensors, void *number)
{
    for (size_t i = 0; i < 3; i++) {
        if (value_of<int64_t>(tensors, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i) != (int64_t)(uintptr_t)number) continue;
        void *address = value_of<void *>(tensors, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
        if (!address || (uintptr_t)address % 16) emulation_failed("a tensor does not lie as it was said to");
        return address;
    }
    emulation_failed("a tensor without an address");
}

/* True where the same plan ran on the same tensors right before, as in timed runs: its result is there. */
static bool repeats(const emulated_convolution &t, int64_t engine)
{
    static long last_ordinal;
    static int64_t last_engine;
    static const void *last[3];
    const void *data[] = {t.x_data, t.w_data, t.y_data};
    bool same =
        emulation_ordinal() == last_ordinal + 1 && engine == last_engine && memcmp(data, last, sizeof data) == 0;
    last_ordinal = emulation_ordinal(), last_engine = engine;
    memcpy(last, data, sizeof data);
    return same;
}

/* Puts the convolution on the stream. The time that it is said to take is long beside what it really takes. */
static void enqueue(cudnnHandle_t handle, const emulated_convolution &t, int64_t engine, int64_t tiles, void *workspace)
{
    const double seconds = engine == ENGINE_ONE_ORDER && tiles == EMULATED_LARGE_TILES ? 1000
                           : engine == ENGINE_ANY_ORDER                                ? 2000
                           : engine == ENGINE_TENSOR_CORE                              ? 3000
                                                                                       : 4000;
    emulation_use_workspace(workspace, handle->stream);
    emulation_enqueue(handle->stream, [=] {
        static unsigned calls;
        memset(workspace, 0xff, (size_t)workspace_of(engine));
        emulation_spend(seconds);
        if (!repeats(t, engine))
            emulated_convolve(t, engine == ENGINE_TENSOR_CORE, engine == ENGINE_ANY_ORDER && calls++ % 2);
    });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                                  cudnnBackendDescriptor_t tensors_handle)
{
    const descriptor *plan = find(plan_handle), *tensors = find(tensors_handle);
    if (!plan->finished || !tensors->finished) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    const descriptor *configuration = part_of(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const descriptor *graph =
        part_of(part_of(configuration, CUDNN_ATTR_ENGINECFG_ENGINE), CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    int64_t engine = engine_of(configuration), tiles = tiles_of(configuration);
    if (engine == ENGINE_FAILS && emulated_cudnn_loses_device) emulation_lose_device();
    if (engine == ENGINE_FAILS) return CUDNN_STATUS_EXECUTION_FAILED;
    if (engine == ENGINE_FAILS_RECORDED && emulation_recording()) {
        emulation_spoil(handle->stream);
        return CUDNN_STATUS_EXECUTION_FAILED_CUDART;
    }
    emulated_convolution t = convolution_of(operation_of_graph(graph));
    t.x_data = address_of(tensors, t.x_data);
    t.w_data = address_of(tensors, t.w_data);
    t.y_data = address_of(tensors, t.y_data);
    void *workspace = value_of<void *>(tensors, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (!workspace) return CUDNN_STATUS_BAD_PARAM;
    emulated_cudnn_calls.runs[engine]++;
    if (engine == ENGINE_ONE_ORDER) emulated_cudnn_calls.last_tiles = (int)tiles;
    enqueue(handle, t, engine, tiles, workspace);
    return CUDNN_STATUS_SUCCESS;
}
