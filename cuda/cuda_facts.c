/* Tells the versions of the CUDA libraries (backend.h: struct backend_cuda). */
#include "cuda_check.h"
#include "cuda_create.h"

struct backend_cuda cuda_facts(void)
{
    struct backend_cuda facts = {.built = true, .unavailable = cuda_unavailable()};
    if (cudaRuntimeGetVersion(&facts.runtime) != cudaSuccess) facts.runtime = 0;
    facts.cudnn = cudnnGetVersion();
    facts.cublas = cublasLtGetVersion();
    return facts;
}
