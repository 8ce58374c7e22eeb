/* The functions of the CUDA backend that backend.c calls. */
#ifndef CUDA_CREATE_H
#define CUDA_CREATE_H

#include "backend/backend.h"

struct cudaDeviceProp;

/* Tells in words for people why this machine cannot run the backend; NULL: it can. */
const char *cuda_unavailable(void);

/* Writes what results may depend on beside the program: the device, the driver and the libraries. */
void cuda_identity_write(const struct cudaDeviceProp *device, const char *pci_bus_id, char *text, size_t size);

/* The versions of the libraries, and whether there is a device. */
struct backend_cuda cuda_facts(void);

/* backend_nccl_name. */
char *cuda_nccl_name(char **problem);

/* True where a device of that compute capability (8 for 8.0) computes in the precision, fp64 left aside. TF32 counts as
 * fp32 before 8.0. bf16 does not: cuDNN has no convolution in it there, and our own kernel would be slower than fp32. */
bool cuda_computes(enum precision precision, int capability_major);

/* Tells in words for people why the device that there is does not compute in the precision; NULL: it does. Call this and
 * what follows only where cuda_unavailable returns NULL. */
const char *cuda_precision_missing(enum precision precision);
bool cuda_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

/* Creates a backend without a device, as for an H100, whose programs can be listed and not run. */
bool cuda_listing_create(struct backend **backend, const struct backend_options *options, struct status *status);

#endif
