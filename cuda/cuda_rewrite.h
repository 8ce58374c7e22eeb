/* What CUDA rewrites in a program. */
#ifndef CUDA_REWRITE_H
#define CUDA_REWRITE_H

#include "backend/backend.h"

/* Lets products read bf16 copies of parameters, which the updates write along. For a backend in bf16. */
void cuda_rewrite_bf16(struct program *program);

/* Lets the gradients of filters run beside what else a backward pass computes, unless the options say one stream, or
 * leave it open and the working memory would then be more than half of the device's. Results are the same to the bit. */
void cuda_rewrite_streams(struct program *program);

#endif
