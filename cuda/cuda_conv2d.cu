/* Convolution without a library, for the cases that cuDNN has no algorithm for: any window, stride, padding and number
 * of channels, in any precision; simple instead of fast. Formulas: cpu_conv2d.c. Every output is summed by one thread,
 * or one warp, in one order. x [N][H][W][I], weight [O][K][K][J], y [N][P][Q][O], where J = I/G of G groups. */
#include "cuda_vector.cuh"

struct conv_task {
    int64_t kernel, stride, padding;
    int64_t n, i, h, w, o, p, q;
    int64_t j, group; /* J, and the O/G outputs of a group */
};

/* A thread computes an element (n,p,q,o) of y. */
template <typename T> __global__ static void forward_kernel(struct conv_task t, const T *x, const T *weight, T *y)
{
    int64_t at = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (at >= t.n * t.p * t.q * t.o) return;
    int64_t o = at % t.o, q = at / t.o % t.q, p = at / t.o / t.q % t.p, n = at / t.o / t.q / t.p;
    float sum = 0;
    for (int64_t k = 0; k < t.kernel; k++) {
        for (int64_t l = 0; l < t.kernel; l++) {
            int64_t h = p * t.stride + k - t.padding, w = q * t.stride + l - t.padding;
            if (h < 0 || h >= t.h || w < 0 || w >= t.w) continue;
            const T *source = x + ((n * t.h + h) * t.w + w) * t.i + o / t.group * t.j;
            const T *filter = weight + ((o * t.kernel + k) * t.kernel + l) * t.j;
            for (int64_t i = 0; i < t.j; i++) sum += to_float(source[i]) * to_float(filter[i]);
        }
    }
    y[at] = from_float<T>(sum);
}

/* A thread computes an element (n,h,w,i) of dx. The windows whose tap (k,l) lies on (h,w) have p*stride = h + padding -
 * k. */
template <typename T> __global__ static void dx_kernel(struct conv_task t, const T *weight, const T *dy, T *dx)
{
    int64_t at = (int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x;
    if (at >= t.n * t.h * t.w * t.i) return;
    int64_t i = at % t.i, w = at / t.i % t.w, h = at / t.i / t.w % t.h, n = at / t.i / t.w / t.h;
    int64_t first = i / t.j * t.group; /* output channel */
    float sum = 0;
    for (int64_t k = 0; k < t.kernel; k++) {
        for (int64_t l = 0; l < t.kernel; l++) {
            int64_t row = h + t.padding - k, column = w + t.padding - l;
            if (row < 0 || row % t.stride || row / t.stride >= t.p) continue;
            if (column < 0 || column % t.stride || column / t.stride >= t.q) continue;
            const T *source = dy + ((n * t.p + row / t.stride) * t.q + column / t.stride) * t.o + first;
            const T *filter = weight + ((first * t.kernel + k) * t.kernel + l) * t.j + i % t.j;
            for (int64_t o = 0; o < t.group; o++)
                sum += to_float(source[o]) * to_float(filter[o * t.kernel * t.kernel * t.j]);
        }
    }
    dx[at] = from_float<T>(sum);
}

/* A warp computes an element (o,k,l,i) of dweight; its threads share out the outputs (n,p,q). */
template <typename T, typename R>
__global__ static void dweight_kernel(struct conv_task t, const T *x, const T *dy, R *dweight)
{
    int64_t at = ((int64_t)blockIdx.x * CUDA_BLOCK_SIZE + threadIdx.x) / CUDA_WARP;
    if (at >= t.o * t.kernel * t.kernel * t.j) return; /* so does its whole warp */
    int64_t i = at % t.j, l = at / t.j % t.kernel, k = at / t.j / t.kernel % t.kernel,
            o = at / t.j / t.kernel / t.kernel, channel = o / t.group * t.j + i;
    float sum = 0;
    for (int64_t pixel = threadIdx.x % CUDA_WARP; pixel < t.n * t.p * t.q; pixel += CUDA_WARP) {
        int64_t q = pixel % t.q, p = pixel / t.q % t.p, n = pixel / t.q / t.p;
        int64_t h = p * t.stride + k - t.padding, w = q * t.stride + l - t.padding;
        if (h < 0 || h >= t.h || w < 0 || w >= t.w) continue;
        sum += to_float(dy[pixel * t.o + o]) * to_float(x[((n * t.h + h) * t.w + w) * t.i + channel]);
    }
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) sum += __shfl_down_sync(CUDA_FULL_WARP, sum, offset);
    if (threadIdx.x % CUDA_WARP == 0) dweight[at] = from_float<R>(sum);
}

static struct conv_task make_task(const struct cuda_convolution *task)
{
    int64_t groups = task->params.groups;
    return {task->params.window.kernel,
            task->params.window.stride,
            task->params.window.padding,
            task->x.n,
            task->x.c,
            task->x.h,
            task->x.w,
            task->y.c,
            task->y.h,
            task->y.w,
            task->x.c / groups,
            task->y.c / groups};
}

template <typename T>
static cudaError_t forward(cudaStream_t stream, const struct cuda_convolution *task, const void *x, const void *weight,
                           void *y)
{
    struct conv_task t = make_task(task);
    launch(stream, blocks_for(t.n * t.p * t.q * t.o, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, forward_kernel<T>, t,
           (const T *)x, (const T *)weight, (T *)y);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward_dx(cudaStream_t stream, const struct cuda_convolution *task, const void *weight,
                               const void *dy, void *dx)
{
    struct conv_task t = make_task(task);
    launch(stream, blocks_for(t.n * t.h * t.w * t.i, CUDA_BLOCK_SIZE), CUDA_BLOCK_SIZE, dx_kernel<T>, t,
           (const T *)weight, (const T *)dy, (T *)dx);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward_dweight(cudaStream_t stream, const struct cuda_convolution *task, const void *x,
                                    const void *dy, enum cuda_type dweight_type, void *dweight)
{
    struct conv_task t = make_task(task);
    unsigned blocks = blocks_for(t.o * t.kernel * t.kernel * t.j * CUDA_WARP, CUDA_BLOCK_SIZE);
    if (dweight_type == CUDA_BF16)
        launch(stream, blocks, CUDA_BLOCK_SIZE, dweight_kernel<T, bf16>, t, (const T *)x, (const T *)dy,
               (bf16 *)dweight);
    else
        launch(stream, blocks, CUDA_BLOCK_SIZE, dweight_kernel<T, float>, t, (const T *)x, (const T *)dy,
               (float *)dweight);
    return cudaGetLastError();
}

cudaError_t cuda_conv2d_forward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                       const void *x, const void *weight, void *y)
{
    return CUDA_DISPATCH(type, forward, stream, task, x, weight, y);
}

cudaError_t cuda_conv2d_dx_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                  const void *weight, const void *dy, void *dx)
{
    return CUDA_DISPATCH(type, backward_dx, stream, task, weight, dy, dx);
}

cudaError_t cuda_conv2d_dweight_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_convolution *task,
                                       const void *x, const void *dy, enum cuda_type dweight_type, void *dweight)
{
    return CUDA_DISPATCH(type, backward_dweight, stream, task, x, dy, dweight_type, dweight);
}
