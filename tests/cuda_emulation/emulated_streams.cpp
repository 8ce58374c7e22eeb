/* Streams, events and recorded graphs. As on a GPU, work is put off until the host waits for it, so that a missing wait
 * shows. Work of two streams that no event puts in order may run in either order: CUDA_EMULATION_STREAMS tells which. */
#include "emulation.h"
#include "emulation_count.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <unistd.h>

struct queue;

/* The place in a queue at which an event was recorded. */
struct point {
    struct queue *queue;
    bool reached;
};

/* Does its work, if any, once the point that it needs is reached and it may pass, and reaches the point that it marks. */
struct item {
    std::function<void()> work;
    std::shared_ptr<point> needs, marks;
    std::function<bool()> passes; /* none: always */
};

struct queue {
    std::deque<item> items;
};

/* A queue for each stream that took part; the first is that of the stream whose recording it is. */
struct emulated_graph {
    std::deque<queue> queues;
    std::vector<cudaStream_t> members;
    bool spoiled;
};

struct emulated_stream {
    queue waiting;
    struct emulated_graph *recorded; /* NULL: no recording */
    size_t member;                   /* its queue there */
};

struct emulated_event {
    double time; /* milliseconds */
    cudaStream_t stream;
    std::shared_ptr<point> marked; /* NULL: it was never recorded */
    long recording;                /* the number of the recording that it belongs to; 0: none */
};

static std::vector<cudaStream_t> streams; /* of this process; a recording forbids more than the recorded ones */
static long recordings;
static double spent; /* seconds */
static long done;    /* work items, that in progress too */
static long count;
static bool only_count;

/* True where work of another stream is done as soon as its events allow it, else only when somebody waits for it. */
static bool hurries()
{
    static const char *order = getenv("CUDA_EMULATION_STREAMS");
    return order && strcmp(order, "early") == 0;
}

/* --- work --- */

static bool finish(std::deque<queue *> &group, queue *of, const point *until, bool wait);

static bool passes(const item &next, bool wait)
{
    while (next.passes && !only_count && !next.passes()) {
        if (!wait) return false;
        usleep(50);
    }
    return true;
}

/* False where something holds the queue up, and nobody is to wait for it. */
static bool do_next(std::deque<queue *> &group, queue *of, bool wait)
{
    std::shared_ptr<point> needs = of->items.front().needs;
    if (needs && !needs->reached) return finish(group, needs->queue, needs.get(), wait);
    if (!passes(of->items.front(), wait)) return false;
    item next = std::move(of->items.front());
    of->items.pop_front();
    if (next.work && !only_count) done++, next.work();
    if (next.marks) next.marks->reached = true;
    return true;
}

static bool may_go_on(const queue *of)
{
    return !of->items.empty() && (!of->items.front().needs || of->items.front().needs->reached);
}

/* Does the work of a queue up to a point, or all of it. False where it is held up before that, and nobody is to wait. */
static bool finish(std::deque<queue *> &group, queue *of, const point *until, bool wait)
{
    while (!of->items.empty() && !(until && until->reached)) {
        if (!do_next(group, of, wait)) return false;
        if (!hurries()) continue;
        for (queue *other : group)
            while (other != of && may_go_on(other) && do_next(group, other, false)) continue;
    }
    return true;
}

bool emulation_recording()
{
    for (cudaStream_t stream : streams)
        if (stream->recorded) return true;
    return false;
}

static queue *queue_of(cudaStream_t stream)
{
    if (!stream) emulation_failed("work on the default stream, which a recorded stream would have to wait for");
    return stream->recorded ? &stream->recorded->queues[stream->member] : &stream->waiting;
}

static void push(cudaStream_t stream, item next)
{
    if (stream && stream->recorded && stream->recorded->spoiled) return;
    queue_of(stream)->items.push_back(std::move(next));
}

void emulation_enqueue(cudaStream_t stream, std::function<void()> work)
{
    count += !stream || !stream->recorded;
    push(stream, {std::move(work), nullptr, nullptr, nullptr});
}

void emulation_hold(cudaStream_t stream, bool (*passes)(void *), void *argument)
{
    if (emulation_recording()) emulation_failed("messages to other processes within a recording");
    push(stream, {nullptr, nullptr, nullptr, [=] { return passes(argument); }});
}

/* Does what is on the stream up to a point, or all of it. */
static cudaError_t run_stream(cudaStream_t stream, const point *until, bool wait)
{
    if (emulation_is_lost()) return emulation_remember(cudaErrorUnknown);
    if (emulation_recording()) return emulation_remember(cudaErrorStreamCaptureUnsupported);
    std::deque<queue *> group;
    for (cudaStream_t each : streams) group.push_back(&each->waiting);
    return finish(group, &stream->waiting, until, wait) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t emulation_wait(cudaStream_t stream)
{
    return run_stream(stream, nullptr, true);
}

cudaError_t cudaDeviceSynchronize(void)
{
    for (cudaStream_t stream : streams)
        if (cudaError_t error = emulation_wait(stream)) return error;
    return cudaSuccess;
}

long emulation_count(void)
{
    return count;
}

void emulation_only_count(void)
{
    only_count = true;
}

long emulation_ordinal()
{
    return done;
}

void emulation_spend(double seconds)
{
    spent += seconds;
}

/* Memory that a library may overwrite while a call runs must not be that of a call on another stream. */
static std::map<const void *, cudaStream_t> workspaces;

void emulation_use_workspace(const void *workspace, cudaStream_t stream)
{
    auto known = workspaces.insert({workspace, stream}).first;
    if (known->second != stream) emulation_failed("two streams have one workspace");
}

void emulation_forget_workspace(const void *workspace)
{
    workspaces.erase(workspace);
}

/* --- streams and events --- */

enum { LEAST_PRIORITY = 0, GREATEST_PRIORITY = -5 };

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = LEAST_PRIORITY, *greatest = GREATEST_PRIORITY;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    bool known = priority <= LEAST_PRIORITY && priority >= GREATEST_PRIORITY;
    if (flags != cudaStreamNonBlocking || !known) return emulation_remember(cudaErrorInvalidValue);
    *stream = new emulated_stream();
    streams.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (cudaError_t error = emulation_wait(stream)) return error;
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + (long)i--);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return emulation_wait(stream);
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = new emulated_event();
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    return flags == cudaEventDisableTiming ? cudaEventCreate(event) : emulation_remember(cudaErrorInvalidValue);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    auto marked = std::make_shared<point>(point{queue_of(stream), false});
    event->stream = stream, event->marked = marked, event->recording = stream->recorded ? recordings : 0;
    std::function<void()> note = [=] {
        std::chrono::duration<double, std::milli> now = std::chrono::steady_clock::now().time_since_epoch();
        event->time = now.count() + 1e3 * spent;
    };
    push(stream, {stream->recorded ? nullptr : note, nullptr, marked, nullptr});
    return cudaSuccess;
}

/* A stream that waits for an event of a recording takes part in the recording from then on. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    if (flags != 0) return emulation_remember(cudaErrorInvalidValue);
    if (!event->marked) return cudaSuccess;
    emulated_graph *recorded = event->stream->recorded;
    bool of_recording = recorded && event->recording == recordings;
    if (event->recording && !of_recording) return emulation_remember(cudaErrorStreamCaptureIsolation);
    if (!of_recording && stream->recorded) return emulation_remember(cudaErrorStreamCaptureIsolation);
    if (of_recording && !stream->recorded) {
        stream->recorded = recorded, stream->member = recorded->queues.size();
        recorded->queues.emplace_back(), recorded->members.push_back(stream);
    }
    push(stream, {nullptr, event->marked, nullptr, nullptr});
    return cudaSuccess;
}

/* The device works while it is asked. */
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    if (!event->marked || event->marked->reached) return cudaSuccess;
    return run_stream(event->stream, event->marked.get(), false);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return emulation_wait(event->stream);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t started, cudaEvent_t stopped)
{
    *milliseconds = (float)(stopped->time - started->time);
    return cudaSuccess;
}

/* --- graphs --- */

void emulation_spoil(cudaStream_t stream)
{
    stream->recorded->spoiled = true;
    emulation_remember(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    if (emulation_recording()) return emulation_remember(cudaErrorStreamCaptureUnsupported);
    recordings++;
    stream->recorded = new emulated_graph();
    stream->member = 0;
    stream->recorded->queues.emplace_back(), stream->recorded->members.push_back(stream);
    return cudaSuccess;
}

static bool is_needed(const queue &by, const point *marked)
{
    for (const item &each : by.items)
        if (each.needs.get() == marked) return true;
    return false;
}

/* True where the first stream waits for the end of every other one that took part. */
static bool is_joined(const emulated_graph *graph)
{
    for (size_t member = 1; member < graph->queues.size(); member++) {
        bool joined = true;
        for (const item &each : graph->queues[member].items) {
            if (each.work || each.needs) joined = false;
            if (each.marks && is_needed(graph->queues[0], each.marks.get())) joined = true;
        }
        if (!joined) return false;
    }
    return true;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    emulated_graph *recorded = stream->recorded;
    if (!recorded || stream->member != 0) return emulation_remember(cudaErrorInvalidValue);
    for (cudaStream_t member : recorded->members) member->recorded = NULL;
    cudaError_t error = recorded->spoiled      ? cudaErrorStreamCaptureInvalidated
                        : !is_joined(recorded) ? cudaErrorStreamCaptureUnjoined
                                               : cudaSuccess;
    if (error) delete recorded;
    *graph = error ? NULL : recorded;
    return error ? emulation_remember(error) : cudaSuccess;
}

/* A copy whose points are not reached yet. */
static std::shared_ptr<emulated_graph> copy_graph(const emulated_graph *graph)
{
    auto copy = std::make_shared<emulated_graph>(*graph);
    std::map<const point *, std::shared_ptr<point>> points;
    for (queue &each : copy->queues)
        for (item &next : each.items)
            if (next.marks) {
                auto fresh = std::make_shared<point>(point{&each, false});
                points[next.marks.get()] = fresh;
                next.marks = fresh;
            }
    for (queue &each : copy->queues)
        for (item &next : each.items)
            if (next.needs) next.needs = points.at(next.needs.get());
    return copy;
}

static void run_graph(const emulated_graph *graph)
{
    std::shared_ptr<emulated_graph> copy = copy_graph(graph);
    std::deque<queue *> group;
    for (queue &each : copy->queues) group.push_back(&each);
    for (queue *each : group) finish(group, each, nullptr, true);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *executable = new emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    delete executable;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream)
{
    (void)executable;
    return emulation_recording() || !stream ? emulation_remember(cudaErrorInvalidValue) : cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    if (stream->recorded) return emulation_remember(cudaErrorStreamCaptureUnsupported);
    for (const queue &each : executable->queues)
        for (const item &next : each.items) count += next.work ? 1 : 0;
    auto launched = std::make_shared<emulated_graph>(*executable); /* which may be destroyed before it is done */
    push(stream, {[=] { run_graph(launched.get()); }, nullptr, nullptr, nullptr});
    return cudaSuccess;
}
