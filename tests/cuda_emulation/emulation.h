/* The CUDA backend on the CPU: cuda/ compiled against the headers in include/ and linked with the few files beside
 * this, so that a machine without a GPU runs the host files, every kernel, the recording of steps and the choice of
 * algorithms through the same tests as a GPU does. It shows wrong indices, missing barriers, misaligned loads, calls
 * that a recording forbids and wrong descriptors. It says nothing about speed, and it shows races between blocks only
 * where their order matters.
 *
 *   emulated_blocks.cpp     the threads of a block as fibers that take turns at barriers and shuffles, one block after
 *                           another; the blocks of a cluster side by side as threads of the CPU
 *   emulated_runtime.cpp    memory (full of NaN when new), launches
 *   emulated_streams.cpp    streams that do their work when its results are waited for, events, graphs
 *   emulated_cudnn.cpp, emulated_cublaslt.cpp
 *                           batch normalization and products, straight from the formulas and descriptors
 *   emulated_cudnn_graph.cpp, emulated_convolution.cpp
 *                           convolutions as operation graphs, with engines that fail in every way (emulated_cudnn.h)
 *
 * The variable CUDA_EMULATION_ORDER=backward lets threads and blocks run from the last to the first: results must not
 * depend on that. CUDA_EMULATION_CAPABILITY=75 is a device without clusters (usually 90), and
 * CUDA_EMULATION_CLUSTER=2 one whose clusters have at most that many blocks (usually 16). Where CUDA_EMULATION_HIDDEN is set
 * there is no device. Of two streams the one that another waits for does its work as late as their events allow, with
 * CUDA_EMULATION_STREAMS=early as early as they allow: results must not depend on that either.
 *
 * CUDA_EMULATION_DEVICES=4 is a machine with four devices, each at an address of its own on the bus, or all at that of
 * CUDA_EMULATION_BUS. CUDA_EMULATION_FAULT=rsqrt is a device that computes 1/sqrt(x) wrongly, and CUDA_EMULATION_DRIVER=13010 one with
 * another driver.
 *
 * A call that CUDA would leave undefined stops the program with one line that begins with "CUDA emulation:". */
#ifndef CUDA_EMULATION_H
#define CUDA_EMULATION_H

#include <functional>

#include <cuda_runtime_api.h>

[[noreturn]] void emulation_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool emulation_backward();
int emulation_capability();

/* Runs all blocks of a grid, in clusters of that many blocks. */
void emulation_run_grid(dim3 blocks, dim3 threads, unsigned cluster, const std::function<void()> &kernel);

/* Puts work on a stream, or into the graph that is being recorded. */
void emulation_enqueue(cudaStream_t stream, std::function<void()> work);
/* Does everything that is on the stream. Not allowed while it is recorded. */
cudaError_t emulation_wait(cudaStream_t stream);
bool emulation_recording();
/* Tells that a library's call on the stream may overwrite that memory. It stops the program where a call on another stream
 * may, too. The memory is forgotten when it is freed. */
void emulation_use_workspace(const void *workspace, cudaStream_t stream);
void emulation_forget_workspace(const void *workspace);
/* Makes the recording of the stream fail when it ends. */
void emulation_spoil(cudaStream_t stream);
/* Every later call of the device fails, as after a fault of a kernel. */
void emulation_lose_device();
bool emulation_is_lost();
/* Keeps an error for cudaGetLastError, and returns it. */
cudaError_t emulation_remember(cudaError_t error);
/* The number of the work in progress; that of the work done right after it is one more. */
long emulation_ordinal();
/* Lets that much time pass for events; called by work. */
void emulation_spend(double seconds);

/* --- bf16 and tf32 for the libraries' stand-ins --- */

float emulation_bf16_to_float(uint16_t bits);
uint16_t emulation_bf16_from_float(float value);
/* Rounds to 10 bits behind the point. */
float emulation_to_tf32(float value);

#endif
