/* What CUDA rewrites in a program. */
#ifndef CUDA_REWRITE_H
#define CUDA_REWRITE_H

#include "backend/backend.h"

/* Lets products read bf16 copies of parameters, which the updates write along. For a backend in bf16. */
void cuda_rewrite_bf16(struct program *program);

#endif
