/* The functions of the CUDA backend that backend.c calls. */
#ifndef CUDA_CREATE_H
#define CUDA_CREATE_H

#include "backend/backend.h"

/* Tells in words for people why this machine cannot run the backend; NULL: it can. */
const char *cuda_unavailable(void);

/* Call only where cuda_unavailable returns NULL. */
bool cuda_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

#endif
