/* What the files of ranks.h share. */
#ifndef RANKS_PRIVATE_H
#define RANKS_PRIVATE_H

#include "train/ranks.h"

/* The bytes of a rank's pieces of the first `buckets` buckets. */
size_t ranks_bytes_before(const struct ranks *ranks, int rank, int buckets);

/* Returns device memory as the host has it: itself where `stage` is NULL, else a copy in it. */
char *ranks_fetch(const struct ranks *ranks, char *stage, void *data, size_t bytes);

/* Puts what the host received at `from` where it belongs, unless it is there. */
void ranks_deliver(const struct ranks *ranks, void *to, const char *from, size_t bytes);

#endif
