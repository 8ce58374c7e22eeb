/* Batch normalization over a matrix (M,C): M = N*H*W rows, C channels (definition: struct batchnorm_params in
 * backend.h).
 *
 * Backward. Per channel, with r = 1/sqrt(var + eps), xhat_s = (x_s - mu) r, y_s = gamma xhat_s + beta:
 *   dbeta  = sum_s dy_s,   dgamma = sum_s dy_s xhat_s = r sum_s dy_s (x_s - mu)
 *   dmu/dx_t = 1/M  and  dvar/dx_t = 2 (x_t - mu) / M      (the term from mu inside var vanishes: sum (x_s - mu) = 0)
 *   dxhat_s/dx_t = r (delta_ts - 1/M) - (x_s - mu) r^3 (x_t - mu) / M = r (delta_ts - 1/M - xhat_s xhat_t / M)
 *   dx_t = sum_s dy_s gamma dxhat_s/dx_t = gamma r (dy_t - dbeta/M - xhat_t dgamma/M).
 *
 * Fused with the activation and a max-pool that follow: y = max over a window of act(b), b = gamma xhat + beta. The dy
 * above is then the gradient of b, which is not stored: b is computed again from x, and
 *   db_s = act'(b_s) * sum of dy over the windows whose saved winner is s   (one term without a pool),
 * gathered wherever dy would be loaded, so fusing saves the activation's and the pool's passes over memory both ways.
 * Fused with an addend a and the ReLU of the sum, db_s = da_s = dy_s where b_s + a_s > 0. It is stored once, as da, by the
 * kernel that takes the sums.
 *
 * There are two ways, by the number of rows; M = 32*32*32 is the ConvNet's largest, M = 384 a perceptron's:
 *   resident   (cuda_batchnorm_resident.cu) A block takes all rows of a few channels and keeps them in registers: one
 *              kernel, x is read once and y written once, which is the floor of 2 bytes per byte of x (backward 3).
 *              The mean comes first, then the sums of (x - mean)^2 and of x - mean, which take out the rounding error
 *              of the mean. Where the device has clusters, up to 16 blocks share the rows and add up through each
 *              other's shared memory.
 *   streaming  (cuda_batchnorm_streaming.cu) Two kernels. The first has each thread run Welford's recurrence down its
 *              rows,
 *                mean += (x - mean)/n,  m2 += (x - mean_before)(x - mean),
 *              and joins two such (n, mean, m2) as Chan, Golub and LeVeque (1979) do,
 *                d = mean_b - mean_a,  mean = mean_a + d n_b/n,  m2 = m2_a + m2_b + d^2 n_a n_b/n,
 *              over the threads, then over the chunks. The second kernel normalises. Floor: 3 bytes per byte of x
 *              (backward 5).
 * Both compute in fp32 whatever the type of x, have one order of summation, and take any M >= 1 and any C: where C is
 * no multiple of the 16 bytes that a thread loads at once, it takes one channel. */
#include "cuda_batchnorm.cuh"

template <typename T, int LANES> static void start_forward(cudaStream_t stream, const task_t &task)
{
    if (!batchnorm_resident<T, LANES>(stream, task)) batchnorm_streaming_forward<T, LANES>(stream, task);
}

template <typename T, int LANES> static void start_backward(cudaStream_t stream, const task_t &task)
{
    if (!batchnorm_resident<T, LANES>(stream, task)) batchnorm_streaming_backward<T, LANES>(stream, task);
}

template <typename T> static cudaError_t forward(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        start_forward<T, LANES>(stream, task);
    else
        start_forward<T, 1>(stream, task);
    return cudaGetLastError();
}

template <typename T> static cudaError_t evaluate(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        batchnorm_evaluation<T, LANES>(stream, task);
    else
        batchnorm_evaluation<T, 1>(stream, task);
    return cudaGetLastError();
}

template <typename T> static cudaError_t backward(cudaStream_t stream, const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    if (task.shape.c % LANES == 0)
        start_backward<T, LANES>(stream, task);
    else
        start_backward<T, 1>(stream, task);
    return cudaGetLastError();
}

template <typename T> static bool is_resident(const task_t &task)
{
    constexpr int LANES = vector_lanes<T>();
    return task.shape.c % LANES == 0 ? batchnorm_is_resident<T, LANES>(task) : batchnorm_is_resident<T, 1>(task);
}

bool cuda_batchnorm_is_resident(enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, is_resident, *task);
}

cudaError_t cuda_batchnorm_forward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, forward, stream, *task);
}

cudaError_t cuda_batchnorm_evaluate_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, evaluate, stream, *task);
}

cudaError_t cuda_batchnorm_backward_launch(cudaStream_t stream, enum cuda_type type, const struct cuda_batchnorm *task)
{
    return CUDA_DISPATCH(type, backward, stream, *task);
}
