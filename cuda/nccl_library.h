/* As much of NCCL, NVIDIA's library for messages between GPUs, as the backend calls. The program looks for it when it runs, so
 * that it is built and starts without. The declarations are those of NVIDIA's nccl.h since NCCL 2.14, whose names and
 * numbers do not change: tests/nccl_header.c holds them against that file where it is installed. */
#ifndef NCCL_LIBRARY_H
#define NCCL_LIBRARY_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#define NCCL_CONSTANTS(X) X(ncclSuccess, 0) X(ncclRemoteError, 6) X(ncclInProgress, 7) X(ncclUint8, 1)

#ifndef NCCL_H_ /* NVIDIA's own file has not been included */
#define NCCL_ENUMERATOR(name, value) name = value,
typedef enum { NCCL_CONSTANTS(NCCL_ENUMERATOR) } ncclResult_t;
#undef NCCL_ENUMERATOR
typedef ncclResult_t ncclDataType_t;
typedef struct ncclComm *ncclComm_t;
typedef struct {
    char internal[128];
} ncclUniqueId;
/* Later versions have more fields behind these, and take a config by its size and version. */
typedef struct {
    size_t size;
    unsigned magic, version;
    int blocking;
} ncclConfig_t;
#endif

enum { NCCL_CONFIG_BYTES = 24, NCCL_CONFIG_VERSION = 21400 };
#define NCCL_CONFIG_MAGIC 0xcafebeefu

/* With blocking = 0 no call waits for other ranks: it returns ncclInProgress, and CommGetAsyncError tells when it has come to
 * its end. Until then no other call may follow on that communicator, but CommAbort. */
#define NCCL_FUNCTIONS(X)                                                                                              \
    X(ncclResult_t, GetVersion, (int *version))                                                                        \
    X(ncclResult_t, GetUniqueId, (ncclUniqueId * id))                                                                  \
    X(ncclResult_t, CommInitRankConfig,                                                                                \
      (ncclComm_t * comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config))                                 \
    X(ncclResult_t, CommGetAsyncError, (ncclComm_t comm, ncclResult_t * state))                                        \
    X(ncclResult_t, CommFinalize, (ncclComm_t comm))                                                                   \
    X(ncclResult_t, CommDestroy, (ncclComm_t comm))                                                                    \
    X(ncclResult_t, CommAbort, (ncclComm_t comm))                                                                      \
    X(ncclResult_t, GroupStart, (void))                                                                                \
    X(ncclResult_t, GroupEnd, (void))                                                                                  \
    X(ncclResult_t, Send,                                                                                              \
      (const void *data, size_t count, ncclDataType_t type, int rank, ncclComm_t comm, cudaStream_t stream))           \
    X(ncclResult_t, Recv,                                                                                              \
      (void *data, size_t count, ncclDataType_t type, int rank, ncclComm_t comm, cudaStream_t stream))                 \
    X(const char *, GetErrorString, (ncclResult_t result))                                                             \
    X(const char *, GetLastError, (ncclComm_t comm))

/* The functions that begin with "nccl". */
struct nccl {
#define NCCL_FIELD(type, name, arguments) type(*name) arguments;
    NCCL_FUNCTIONS(NCCL_FIELD)
#undef NCCL_FIELD
};

/* Opens the library, once for the process. Returns NULL where it is not there or too old; *problem then says so until the next
 * call. */
const struct nccl *nccl_open(const char **problem);

/* Writes the library's name and version, "NCCL 2.28.9". */
void nccl_name(const struct nccl *nccl, char *name, size_t size);

#endif
