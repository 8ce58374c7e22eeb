/* Thread block clusters, for the CPU (cuda_runtime_api.h beside this). */
#ifndef EMULATED_COOPERATIVE_GROUPS_H
#define EMULATED_COOPERATIVE_GROUPS_H

#include <cuda_runtime_api.h>

unsigned emulated_cluster_rank();
unsigned emulated_cluster_blocks();
void emulated_cluster_barrier();
/* The address, in another block of the cluster, of the shared variable that this block has at `mine`. */
void *emulated_cluster_address(void *mine, unsigned rank);

namespace cooperative_groups
{
struct cluster_group {
    static unsigned block_rank()
    {
        return emulated_cluster_rank();
    }
    static unsigned num_blocks()
    {
        return emulated_cluster_blocks();
    }
    static void sync()
    {
        emulated_cluster_barrier();
    }
    template <typename T> static T *map_shared_rank(T *mine, unsigned rank)
    {
        return (T *)emulated_cluster_address((void *)mine, rank);
    }
};

static inline cluster_group this_cluster()
{
    return {};
}
} // namespace cooperative_groups

#endif
