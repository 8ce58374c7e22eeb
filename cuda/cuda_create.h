/* The CUDA backend as backend.c sees it. */
#ifndef CUDA_CREATE_H
#define CUDA_CREATE_H

#include "trainer/backend.h"

/* Why this machine cannot run the backend, in words for people; NULL: it can. */
const char *cuda_unavailable(void);

/* Call only where cuda_unavailable says nothing. */
bool cuda_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

#endif
