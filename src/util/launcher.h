/* The place of this process among those that a launcher (mpirun, srun) started together, from the environment alone. */
#ifndef UTIL_LAUNCHER_H
#define UTIL_LAUNCHER_H

#include <stdbool.h>

struct launcher {
    int rank, size;                    /* 0 <= rank < size */
    const char *rank_name, *size_name; /* the variables that say so */
};

/* Returns true where a launcher started this process as one of several. The script of a batch job is none of several,
 * though SLURM tells it how many tasks its steps will have. */
bool launcher_read(struct launcher *launcher);

#endif
