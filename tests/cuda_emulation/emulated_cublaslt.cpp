/* cuBLASLt's products straight from the descriptors: column-major, D = op(A) op(B), with the epilogues that the
 * documentation of cublasLtMatmul lists for the types in use. */
#include "emulation.h"

#include <cstring>
#include <vector>

#include <cublasLt.h>

struct emulated_matrix {
    cudaDataType_t type;
    int64_t rows, columns, leading;
};

struct emulated_product {
    cublasComputeType_t compute;
    cublasOperation_t transpose_a, transpose_b;
    cublasLtEpilogue_t epilogue;
    void *bias;
    cudaDataType_t bias_type;
};

struct emulated_preference {
    uint64_t workspace;
    uint32_t reductions;
};

/* There are three kernels, in the order in which they are proposed. The first fails while a step is recorded, the second
 * adds its partial sums in any order. */
enum { FAILS_RECORDED = 1, ANY_ORDER, ONE_ORDER, WORKSPACE = 4096 };

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "success" : "a status of the CUDA emulation's cuBLASLt";
}

size_t cublasLtGetVersion(void)
{
    return 130100;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = NULL;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    (void)handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *product, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
    *product = new emulated_product{compute, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, NULL, CUDA_R_32F};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product)
{
    delete product;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size)
{
    struct {
        void *field;
        size_t size;
    } fields[] = {{&product->transpose_a, sizeof product->transpose_a},
                  {&product->transpose_b, sizeof product->transpose_b},
                  {&product->epilogue, sizeof product->epilogue},
                  {&product->bias, sizeof product->bias},
                  {&product->bias_type, sizeof product->bias_type}};
    if (fields[attribute].size != size) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(fields[attribute].field, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matrix, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading)
{
    if (leading < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    *matrix = new emulated_matrix{type, (int64_t)rows, (int64_t)columns, leading};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matrix)
{
    delete matrix;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = new emulated_preference{0, ~0u};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t size)
{
    bool wide = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (size != (wide ? sizeof(uint64_t) : sizeof(uint32_t))) return CUBLAS_STATUS_INVALID_VALUE;
    if (wide) memcpy(&preference->workspace, value, size);
    if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) memcpy(&preference->reductions, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

/* Checks that the sizes of op(A) and op(B) fit, and that the bias has the type that goes with D. */
static cublasStatus_t check(const emulated_product *p, const emulated_matrix *a, const emulated_matrix *b,
                            const emulated_matrix *d)
{
    int64_t rows = p->transpose_a ? a->columns : a->rows, inner = p->transpose_a ? a->rows : a->columns;
    int64_t columns = p->transpose_b ? b->rows : b->columns, other = p->transpose_b ? b->columns : b->rows;
    if (rows != d->rows || columns != d->columns || inner != other) return CUBLAS_STATUS_INVALID_VALUE;
    if (a->type != b->type || (a->type == CUDA_R_32F && d->type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (a->type == CUDA_R_16BF && p->compute != CUBLAS_COMPUTE_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->epilogue != CUBLASLT_EPILOGUE_DEFAULT && p->bias_type != d->type) return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *count)
{
    (void)handle, (void)c;
    *count = 0;
    if (cublasStatus_t status = check(product, a, b, d)) return status;
    for (uint64_t algorithm = FAILS_RECORDED; algorithm <= ONE_ORDER && *count < wanted; algorithm++) {
        if (algorithm == ANY_ORDER && !(preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE)) continue;
        if (preference->workspace < WORKSPACE) continue;
        results[*count] = {};
        results[*count].algo.data[0] = algorithm, results[*count].workspaceSize = WORKSPACE;
        ++*count;
    }
    return *count ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* --- products --- */

static float load(const void *data, const emulated_product *p, const emulated_matrix *m, int64_t row, int64_t column)
{
    int64_t at = column * m->leading + row;
    if (m->type == CUDA_R_16BF) return emulation_bf16_to_float(((const uint16_t *)data)[at]);
    float value = ((const float *)data)[at];
    return p->compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? emulation_to_tf32(value) : value;
}

static void store(void *data, cudaDataType_t type, int64_t at, float value)
{
    if (type == CUDA_R_16BF)
        ((uint16_t *)data)[at] = emulation_bf16_from_float(value);
    else
        ((float *)data)[at] = value;
}

static void bias_gradient(const emulated_product &p, const emulated_matrix &b, const void *b_data)
{
    int64_t inner = p.transpose_b ? b.columns : b.rows, columns = p.transpose_b ? b.rows : b.columns;
    for (int64_t j = 0; j < columns; j++) {
        float sum = 0;
        for (int64_t k = 0; k < inner; k++)
            sum += p.transpose_b ? load(b_data, &p, &b, j, k) : load(b_data, &p, &b, k, j);
        store(p.bias, p.bias_type, j, sum);
    }
}

/* The rows of op(A), or the columns of op(B), one after the other. */
static std::vector<float> widen(const void *data, const emulated_product &p, const emulated_matrix &m, bool rows)
{
    std::vector<float> values;
    values.reserve((size_t)(m.rows * m.columns));
    for (int64_t i = 0; i < (rows ? m.rows : m.columns); i++)
        for (int64_t k = 0; k < (rows ? m.columns : m.rows); k++)
            values.push_back(rows ? load(data, &p, &m, i, k) : load(data, &p, &m, k, i));
    return values;
}

static void multiply(const emulated_product &p, const emulated_matrix &a, const void *a_data, const emulated_matrix &b,
                     const void *b_data, const emulated_matrix &d, void *d_data, bool any_order)
{
    static unsigned calls;
    bool reverse = any_order && calls++ % 2;
    int64_t inner = p.transpose_a ? a.rows : a.columns, half = reverse ? inner / 2 : inner;
    std::vector<float> left = widen(a_data, p, a, !p.transpose_a), right = widen(b_data, p, b, p.transpose_b);
    for (int64_t i = 0; i < d.rows; i++) {
        for (int64_t j = 0; j < d.columns; j++) {
            const float *row = &left[(size_t)(i * inner)], *column = &right[(size_t)(j * inner)];
            float sum = 0, rest = 0;
            for (int64_t k = 0; k < half; k++) sum += row[k] * column[k];
            for (int64_t k = half; k < inner; k++) rest += row[k] * column[k];
            sum += rest;
            if (p.epilogue == CUBLASLT_EPILOGUE_BIAS)
                sum += p.bias_type == CUDA_R_16BF ? emulation_bf16_to_float(((const uint16_t *)p.bias)[i])
                                                  : ((const float *)p.bias)[i];
            store(d_data, d.type, j * d.leading + i, sum);
        }
    }
    if (p.epilogue == CUBLASLT_EPILOGUE_BGRADB) bias_gradient(p, b, b_data);
}

static bool aligned(const void *data)
{
    return (uintptr_t)data % 16 == 0;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    (void)handle, (void)c, (void)c_layout;
    if (*(const float *)alpha != 1 || *(const float *)beta != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (cublasStatus_t status = check(product, a_layout, b_layout, d_layout)) return status;
    if (!workspace || workspace_bytes < WORKSPACE) return CUBLAS_STATUS_INVALID_VALUE;
    if (!aligned(a) || !aligned(b) || !aligned(d)) emulation_failed("a matrix is not aligned as it was said to be");
    if (product->epilogue != CUBLASLT_EPILOGUE_DEFAULT && !product->bias) return CUBLAS_STATUS_INVALID_VALUE;
    bool any_order = algorithm->data[0] == ANY_ORDER;
    if (algorithm->data[0] == FAILS_RECORDED && emulation_recording()) {
        emulation_spoil(stream);
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    emulated_product p = *product;
    emulated_matrix left = *a_layout, right = *b_layout, result = *d_layout;
    emulation_use_workspace(workspace, stream);
    emulation_enqueue(stream, [=] {
        memset(workspace, 0xff, WORKSPACE);
        multiply(p, left, a, right, b, result, d, any_order);
    });
    return CUBLAS_STATUS_SUCCESS;
}
