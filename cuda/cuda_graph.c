/* Steps: the state on the device, and bodies that are recorded as CUDA graphs.
 *
 * The first time, a body runs as it is, which lets the libraries load their code, choose their algorithms and take
 * their memory. The second time its launches are recorded and become a graph. From then on the graph is launched, one
 * call instead of some hundred. The values that change from step to step lie in device memory at fixed addresses: the
 * state, the order of the epoch, the metrics. The GATHER, which no step records, brings the state: it has it as an
 * argument and writes it there. A program without one gets it from a kernel of its own before the graph.
 * Whenever memory is freed, a recording may hold an address of it, so every body starts over.
 *
 * The candidates for a convolution or a product are timed the same way, as graphs. */
#include "cuda_backend.h"

static void graph_set_state(struct backend *backend, const struct step_state *state)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    cuda->next_state = *state;
    cuda->state_due = true;
}

const struct step_state *cuda_state(struct cuda_backend *cuda)
{
    if (!cuda->state_due) return cuda->state;
    CHECK(!cuda->recording);
    CUDA_CHECK(cuda_state_set(cuda->lane->stream, cuda->state, &cuda->next_state));
    cuda->state_due = false;
    return cuda->state;
}

static void forget(struct cuda_recording *recording)
{
    if (recording->graph) CUDA_CHECK(cudaGraphExecDestroy(recording->graph));
    *recording = (struct cuda_recording){0};
}

void cuda_graphs_forget(struct cuda_backend *cuda)
{
    for (int i = 0; i < cuda->recording_count; i++) forget(&cuda->recordings[i]);
    cuda->recording_count = 0;
}

/* The place of (body, argument), an empty one if it is new. */
static struct cuda_recording *find(struct cuda_backend *cuda, void (*body)(void *), void *argument)
{
    for (int i = 0; i < cuda->recording_count; i++) {
        struct cuda_recording *recording = &cuda->recordings[i];
        if (recording->body == body && recording->argument == argument) return recording;
    }
    if (cuda->recording_count == CUDA_MAX_GRAPHS) cuda_graphs_forget(cuda);
    return &cuda->recordings[cuda->recording_count++];
}

static void record(struct cuda_backend *cuda, struct cuda_recording *recording)
{
    cudaGraph_t graph;
    CUDA_CHECK(cudaStreamBeginCapture(cuda->lane->stream, cudaStreamCaptureModeThreadLocal));
    cuda->recording = true;
    recording->body(recording->argument);
    cuda->recording = false;
    CUDA_CHECK(cudaStreamEndCapture(cuda->lane->stream, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&recording->graph, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
}

static void graph_run(struct backend *backend, void (*body)(void *), void *argument)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    if (cuda->options.eager) {
        body(argument);
        return;
    }
    cuda_state(cuda);
    struct cuda_recording *recording = find(cuda, body, argument);
    if (!recording->body || recording->generation != cuda->generation) {
        forget(recording);
        body(argument);
        *recording = (struct cuda_recording){body, argument, cuda->generation, NULL};
        return;
    }
    if (!recording->graph) record(cuda, recording);
    CUDA_CHECK(cudaGraphLaunch(recording->graph, cuda->lane->stream));
}

/* --- trials --- */

enum { TIMED_RUNS = 10 };

/* Forgets the error that something which failed has left behind. The program ends where the device is lost, since then
 * nothing runs on it any more. */
static void forget_error(struct cuda_backend *cuda)
{
    cudaGetLastError();
    CUDA_CHECK(cudaStreamSynchronize(cuda->lane->stream));
}

/* Runs `start` once as it is, which also loads its code, and records some more runs. Returns their graph, or NULL where
 * any of that fails. */
static cudaGraphExec_t record_runs(struct cuda_backend *cuda, int count, bool (*start)(void *), void *argument)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t runs = NULL;
    CHECK(!cuda->recording);
    bool started = start(argument);
    if (started) {
        CUDA_CHECK(cudaStreamBeginCapture(cuda->lane->stream, cudaStreamCaptureModeThreadLocal));
        for (int run = 0; run < count && started; run++) started = start(argument);
        cudaError_t error = cudaStreamEndCapture(cuda->lane->stream, &graph);
        if (!started || error != cudaSuccess || cudaGraphInstantiate(&runs, graph, 0) != cudaSuccess) runs = NULL;
    }
    if (graph) CUDA_CHECK(cudaGraphDestroy(graph));
    if (!runs) forget_error(cuda);
    return runs;
}

bool cuda_runs(struct cuda_backend *cuda, bool (*start)(void *), void *argument)
{
    cudaGraphExec_t runs = record_runs(cuda, 1, start, argument);
    if (runs) CUDA_CHECK(cudaGraphExecDestroy(runs));
    return runs != NULL;
}

float cuda_time(struct cuda_backend *cuda, bool (*start)(void *), void *argument)
{
    float milliseconds = 0;
    cudaGraphExec_t runs = record_runs(cuda, TIMED_RUNS, start, argument);
    if (!runs) return __builtin_inff();
    bool launched = cudaGraphLaunch(runs, cuda->lane->stream) == cudaSuccess;
    if (launched) {
        CUDA_CHECK(cudaEventRecord(cuda->started, cuda->lane->stream));
        CUDA_CHECK(cudaGraphLaunch(runs, cuda->lane->stream));
        CUDA_CHECK(cudaEventRecord(cuda->stopped, cuda->lane->stream));
        CUDA_CHECK(cudaEventSynchronize(cuda->stopped));
        CUDA_CHECK(cudaEventElapsedTime(&milliseconds, cuda->started, cuda->stopped));
    } else {
        forget_error(cuda);
    }
    CUDA_CHECK(cudaGraphExecDestroy(runs));
    return launched ? milliseconds / TIMED_RUNS : __builtin_inff();
}

void cuda_graph_install(struct backend_table *table)
{
    table->set_state = graph_set_state;
    table->run = graph_run;
}
