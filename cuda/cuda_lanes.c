/* The streams on which the ops of a program run (struct op).
 *
 * Lane 1 is for filter gradients. Such an op begins once lane 0 has come to its place, and from then on lane 0 leads the
 * gradient further down beside it, with the higher priority, since the step waits for that. An op that waits for lane 1 waits for all of it. Both are events; where a step is
 * recorded they are edges of its graph and no launches. What is in use while a call runs (cuDNN's handle, a library's
 * workspace, the partial sums of the reductions) each lane has by itself. cuBLASLt's handle keeps nothing of a call. */
#include "cuda_backend.h"

static void open_lane(struct cuda_backend *cuda, struct cuda_lane *lane)
{
    size_t blocks = (size_t)cuda->multiprocessors;
    int least = 0, greatest = 0;
    CHECK(!cuda->recording);
    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CUDA_CHECK(
        cudaStreamCreateWithPriority(&lane->stream, cudaStreamNonBlocking, lane == &cuda->lanes[0] ? greatest : least));
    CUDA_CHECK(cudaEventCreateWithFlags(&lane->reached, cudaEventDisableTiming));
    CUDNN_CHECK(cudnnCreate(&lane->cudnn));
    CUDNN_CHECK(cudnnSetStream(lane->cudnn, lane->stream));
    cuda->lane = lane;
    lane->scratch.counters = cuda_alloc(cuda, blocks * sizeof *lane->scratch.counters);
    lane->scratch.partial = cuda_alloc(cuda, blocks * CUDA_PARTIALS_PER_MULTIPROCESSOR * sizeof(float));
}

void cuda_lanes_open(struct cuda_backend *cuda)
{
    open_lane(cuda, &cuda->lanes[0]);
}

void cuda_lanes_close(struct cuda_backend *cuda)
{
    for (int i = OP_STREAMS - 1; i >= 0; i--) {
        struct cuda_lane *lane = &cuda->lanes[i];
        if (!lane->stream) continue;
        CUDA_CHECK(cudaStreamSynchronize(lane->stream));
        cuda_free(cuda, lane->scratch.counters);
        cuda_free(cuda, lane->scratch.partial);
        cuda_free(cuda, lane->workspace);
        CUDNN_CHECK(cudnnDestroy(lane->cudnn));
        CUDA_CHECK(cudaEventDestroy(lane->reached));
        CUDA_CHECK(cudaStreamDestroy(lane->stream));
    }
}

void cuda_need_workspace(struct cuda_backend *cuda)
{
    struct cuda_lane *lane = cuda->lane;
    if (lane->workspace || cuda->workspace_bytes == 0) return;
    CHECK(!cuda->recording);
    CUDA_CHECK(cudaMalloc(&lane->workspace, cuda->workspace_bytes)); /* the contents do not matter */
}

/* Lets what comes on `later` wait for what is on `earlier`. */
static void put_in_order(struct cuda_lane *earlier, struct cuda_lane *later)
{
    CUDA_CHECK(cudaEventRecord(earlier->reached, earlier->stream));
    CUDA_CHECK(cudaStreamWaitEvent(later->stream, earlier->reached, 0));
}

static void enter_stream(struct backend *backend, int stream, bool join)
{
    struct cuda_backend *cuda = cuda_backend_of(backend);
    struct cuda_lane *main = &cuda->lanes[0], *lane = &cuda->lanes[stream];
    CHECK(stream >= 0 && stream < OP_STREAMS && !(stream > 0 && join));
    if (join && cuda->beside) put_in_order(&cuda->lanes[1], main), cuda->beside = false;
    if (stream > 0 && cuda->lane != lane) {
        if (!lane->stream) open_lane(cuda, lane);
        put_in_order(main, lane);
        cuda->beside = true;
    }
    cuda->lane = lane;
}

void cuda_lanes_install(struct backend_table *table)
{
    table->enter_stream = enter_stream;
}
