/* What the files of ranks.h share. */
#ifndef RANKS_PRIVATE_H
#define RANKS_PRIVATE_H

#include "train/ranks.h"

/* The bytes of a rank's pieces of the first `buckets` buckets. */
size_t ranks_bytes_before(const struct ranks *ranks, int rank, int buckets);

/* Returns the comm of messages in backend memory, or in its stage on the host. */
struct comm *ranks_memory_comm(const struct ranks *ranks);

/* Returns backend memory as it is sent: itself where `stage` is NULL, else a copy in it. */
char *ranks_fetch(const struct ranks *ranks, char *stage, void *data, size_t bytes);

/* Puts what was received at `from` where it belongs, unless it is there. */
void ranks_deliver(const struct ranks *ranks, void *to, const char *from, size_t bytes);

#endif
