/* NCCL as a transport between GPUs (comm.h). */
#ifndef CUDA_NCCL_H
#define CUDA_NCCL_H

#include "comm/comm.h"
#include "cuda_backend.h"
#include "nccl_library.h"

/* Begins to join the GPUs of all ranks; each gives rank 0's id. Messages of the comm lie in the memory of the backend's device.
 * An exchange begins once the work is done that the backend had been given before comm_start. Destroy with comm_destroy,
 * before the backend. */
struct comm *cuda_nccl_create(const struct nccl *nccl, struct cuda_backend *cuda, struct comm *ranks, ncclUniqueId id);

#endif
