/* Holds the backend's own declarations of NCCL (cuda/nccl_library.h) against NVIDIA's: where they differ, this does not
 * compile. */
#include <nccl.h>

#include "nccl_library.h"

#define SAME_VALUE(name, value) _Static_assert((int)(name) == (value), #name);
NCCL_CONSTANTS(SAME_VALUE)
_Static_assert(sizeof(ncclUniqueId) == 128, "ncclUniqueId");

/* NVIDIA's initializer of a config begins with its size, the mark and the version. */
#define MARK(size, mark, ...) mark
#define MARK_OF(...) MARK(__VA_ARGS__)
_Static_assert(MARK_OF(NCCL_CONFIG_INITIALIZER) == NCCL_CONFIG_MAGIC, "the mark of ncclConfig_t");
_Static_assert(offsetof(ncclConfig_t, size) == 0 && offsetof(ncclConfig_t, magic) == 8,
               "the beginning of ncclConfig_t");
_Static_assert(offsetof(ncclConfig_t, version) == 12 && offsetof(ncclConfig_t, blocking) == 16, "the end of ours");
_Static_assert(sizeof(ncclConfig_t) >= NCCL_CONFIG_BYTES && NCCL_CONFIG_VERSION == NCCL_VERSION(2, 14, 0), "its size");

struct nccl nccl_of_header(void);
struct nccl nccl_of_header(void)
{
#define FUNCTION(type, name, arguments) .name = nccl##name,
    return (struct nccl){NCCL_FUNCTIONS(FUNCTION)};
}
