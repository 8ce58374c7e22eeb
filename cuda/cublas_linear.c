/* The matrix products of a linear layer through cuBLASLt. cuBLASLt thinks in columns: a row-major matrix (M,I) is its
 * I x M with I as the leading dimension. So
 *   y  = x W^T        is   y' (O,M)  = op_T(W' (I,O)) x' (I,M)
 *   dx = dy W         is   dx' (I,M) = W' (I,O) dy' (O,M)
 *   dW = dy^T x       is   dW' (I,O) = x' (I,M) op_T(dy' (O,M))
 * The epilogue BIAS adds the bias to the rows of y', where the bias has y's type. The epilogue BGRADB gives dbias, the
 * sum of dy' over the M that the product sums over, one value per column of dW'. Where cuBLASLt has no kernel with the
 * epilogue, the plain product is taken. The choice among its kernels is made once per product and number of rows: the
 * first that it proposes and that runs where runs are to be reproducible, else the fastest of several. */
#include "cublas_linear.h"

#include <stdlib.h>

#include "util/memory.h"

enum product_kind { PRODUCT_FORWARD, PRODUCT_DX, PRODUCT_DWEIGHT };
enum { CANDIDATES = 8, ALIGNMENT = 16 };

/* A product with everything that its start takes. */
struct product {
    enum product_kind kind;
    int64_t rows;
    bool with_bias; /* as the caller wants it */
    bool supported; /* cuBLASLt has a kernel for it */
    bool fused;     /* that kernel has the epilogue */
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algorithm;
};

struct cublas_linear {
    struct cuda_backend *cuda;
    enum cuda_type operands; /* the type of x, y and the weight */
    int64_t inputs, outputs; /* I, O */
    int count;
    struct product *products;
};

struct operands {
    const void *a, *b;
    void *d;
    const void *bias; /* the bias, or the place for dbias */
    enum cuda_type bias_type;
};

struct cublas_linear *cublas_linear_create(struct cuda_backend *cuda, enum cuda_type type, int64_t inputs,
                                           int64_t outputs)
{
    struct cublas_linear *linear = memory_alloc(1, sizeof *linear);
    *linear = (struct cublas_linear){.cuda = cuda, .operands = type, .inputs = inputs, .outputs = outputs};
    cuda_need_workspace(cuda);
    return linear;
}

static void release(struct product *product)
{
    if (product->description) CUBLAS_CHECK(cublasLtMatmulDescDestroy(product->description));
    if (product->a) CUBLAS_CHECK(cublasLtMatrixLayoutDestroy(product->a));
    if (product->b) CUBLAS_CHECK(cublasLtMatrixLayoutDestroy(product->b));
    if (product->d) CUBLAS_CHECK(cublasLtMatrixLayoutDestroy(product->d));
    product->description = NULL, product->a = product->b = product->d = NULL;
}

void cublas_linear_destroy(struct cublas_linear *linear)
{
    if (!linear) return;
    for (int i = 0; i < linear->count; i++) release(&linear->products[i]);
    free(linear->products);
    free(linear);
}

/* --- descriptors --- */

static void set_attribute(struct product *product, cublasLtMatmulDescAttributes_t attribute, const void *value,
                          size_t size)
{
    CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(product->description, attribute, value, size));
}

static void describe(const struct cublas_linear *linear, struct product *product)
{
    const struct cuda_backend *cuda = linear->cuda;
    bool tf32 = linear->operands == CUDA_FP32 && cuda->options.precision != PRECISION_FP32;
    cublasOperation_t transposed = CUBLAS_OP_T;
    cudaDataType_t type = linear->operands == CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    uint64_t i = (uint64_t)linear->inputs, o = (uint64_t)linear->outputs, m = (uint64_t)product->rows;
    CUBLAS_CHECK(cublasLtMatmulDescCreate(&product->description,
                                          tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    switch (product->kind) {
    case PRODUCT_FORWARD:
        set_attribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->a, type, i, o, linear->inputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->b, type, i, m, linear->inputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->d, type, o, m, linear->outputs));
        break;
    case PRODUCT_DX:
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->a, type, i, o, linear->inputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->b, type, o, m, linear->outputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->d, type, i, m, linear->inputs));
        break;
    case PRODUCT_DWEIGHT:
        set_attribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &transposed, sizeof transposed);
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->a, type, i, m, linear->inputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->b, type, o, m, linear->outputs));
        CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&product->d, CUDA_R_32F, i, o, linear->inputs));
        break;
    }
}

static void set_epilogue(struct product *product, bool fused, const struct operands *operands)
{
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    cudaDataType_t type = operands->bias_type == CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    if (fused) {
        epilogue = product->kind == PRODUCT_FORWARD ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB;
        set_attribute(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type);
        set_attribute(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &operands->bias, sizeof(void *));
    }
    set_attribute(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
}

/* --- the choice of a kernel --- */

static cublasLtMatmulPreference_t make_preference(const struct cuda_backend *cuda)
{
    cublasLtMatmulPreference_t preference;
    uint64_t workspace = cuda->workspace_bytes;
    uint32_t alignment = ALIGNMENT, reproducible = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
    CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                      sizeof workspace));
    for (int matrix = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES; matrix <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES;
         matrix++)
        CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, (cublasLtMatmulPreferenceAttributes_t)matrix,
                                                          &alignment, sizeof alignment));
    if (cuda->options.deterministic) /* partial sums go to the workspace and are added in order */
        CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                          &reproducible, sizeof reproducible));
    return preference;
}

static cublasStatus_t start(struct cublas_linear *linear, struct product *product, const struct operands *operands,
                            const cublasLtMatmulAlgo_t *algorithm)
{
    struct cuda_backend *cuda = linear->cuda;
    const float one = 1, zero = 0;
    return cublasLtMatmul(cuda->cublas, product->description, &one, operands->a, product->a, operands->b, product->b,
                          &zero, operands->d, product->d, operands->d, product->d, algorithm, cuda->lane->workspace,
                          cuda->workspace_bytes, cuda->lane->stream);
}

struct trial {
    struct cublas_linear *linear;
    struct product *product;
    const struct operands *operands;
    const cublasLtMatmulAlgo_t *algorithm;
};

static bool start_trial(void *argument)
{
    const struct trial *trial = argument;
    return start(trial->linear, trial->product, trial->operands, trial->algorithm) == CUBLAS_STATUS_SUCCESS;
}

/* Chooses the kernel and leaves it in the product. Returns false where there is none. */
static bool choose_kernel(struct cublas_linear *linear, struct product *product, const struct operands *operands)
{
    struct cuda_backend *cuda = linear->cuda;
    cublasLtMatmulHeuristicResult_t results[CANDIDATES];
    int count = 0, best = -1;
    float fastest = __builtin_inff();
    cublasLtMatmulPreference_t preference = make_preference(cuda);
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(cuda->cublas, product->description, product->a, product->b, product->d,
                                       product->d, preference, CANDIDATES, results, &count);
    CUBLAS_CHECK(cublasLtMatmulPreferenceDestroy(preference));
    bool refused = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
    if (!refused) CUBLAS_CHECK(status);
    if (refused) count = 0;
    for (int i = 0; i < count && !(cuda->options.deterministic && best >= 0); i++) {
        if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
        struct trial trial = {linear, product, operands, &results[i].algo};
        float milliseconds = cuda->options.deterministic ? (cuda_runs(cuda, start_trial, &trial) ? 0 : __builtin_inff())
                                                         : cuda_time(cuda, start_trial, &trial);
        if (milliseconds < fastest) fastest = milliseconds, best = i;
    }
    if (best >= 0) product->algorithm = results[best].algo;
    return best >= 0;
}

/* Chooses a fused kernel if there is one, else a plain one. The trials compute the product on the way. */
static void choose(struct cublas_linear *linear, struct product *product, const struct operands *operands)
{
    describe(linear, product);
    for (int fused = product->with_bias; fused >= 0 && !product->supported; fused--) {
        set_epilogue(product, fused, operands);
        product->supported = choose_kernel(linear, product, operands);
        product->fused = product->supported && fused;
    }
    if (!product->supported) release(product);
}

static struct product *find(struct cublas_linear *linear, enum product_kind kind, int64_t rows,
                            const struct operands *operands)
{
    bool with_bias = operands->bias != NULL;
    for (int i = 0; i < linear->count; i++) {
        struct product *product = &linear->products[i];
        if (product->kind == kind && product->rows == rows && product->with_bias == with_bias) return product;
    }
    CHECK(!linear->cuda->recording); /* a body runs once before it is recorded */
    linear->products = memory_resize(linear->products, (size_t)linear->count + 1, sizeof *linear->products);
    struct product *product = &linear->products[linear->count++];
    *product = (struct product){.kind = kind, .rows = rows, .with_bias = with_bias};
    choose(linear, product, operands);
    return product;
}

static bool multiply(struct cublas_linear *linear, enum product_kind kind, int64_t rows,
                     const struct operands *operands, bool *fused)
{
    struct product *product = find(linear, kind, rows, operands);
    if (!product->supported) return false;
    if (product->fused) set_attribute(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &operands->bias, sizeof(void *));
    CUBLAS_CHECK(start(linear, product, operands, &product->algorithm));
    if (fused) *fused = product->fused;
    return true;
}

bool cublas_linear_forward(struct cublas_linear *linear, int64_t rows, const void *x, const void *weight,
                           const void *bias, enum cuda_type bias_type, void *y, bool *fused)
{
    struct operands operands = {.a = weight, .b = x, .d = y, .bias = bias, .bias_type = bias_type};
    return multiply(linear, PRODUCT_FORWARD, rows, &operands, fused);
}

bool cublas_linear_dx(struct cublas_linear *linear, int64_t rows, const void *weight, const void *dy, void *dx)
{
    struct operands operands = {.a = weight, .b = dy, .d = dx};
    return multiply(linear, PRODUCT_DX, rows, &operands, NULL);
}

bool cublas_linear_dweight(struct cublas_linear *linear, int64_t rows, const void *x, const void *dy, float *dweight,
                           float *dbias, bool *fused)
{
    struct operands operands = {.a = x, .b = dy, .d = dweight, .bias = dbias};
    return multiply(linear, PRODUCT_DWEIGHT, rows, &operands, fused);
}
