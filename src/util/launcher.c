/* Reads a launcher's environment (launcher.h). */
#include "util/launcher.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "util/number.h"

struct convention {
    const char *rank, *size;
    const char *within; /* a variable that must be there too, or NULL */
};

/* The first one whose variables are there counts. A step's own number of tasks goes before the job's, which an
 * interactive shell has as well. */
static const struct convention conventions[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL},    /* Open MPI's mpirun */
    {"PMI_RANK", "PMI_SIZE", NULL},                            /* MPICH's mpirun, srun --mpi=pmi2 */
    {"PMIX_RANK", "SLURM_STEP_NUM_TASKS", NULL},               /* srun --mpi=pmix */
    {"PMIX_RANK", "SLURM_NTASKS", NULL},                       /* the same */
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"}, /* srun */
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID"},         /* the same */
};

static bool read_count(const char *name, int64_t *value)
{
    const char *text = getenv(name);
    return text && number_parse_integer(text, value);
}

bool launcher_read(struct launcher *launcher)
{
    for (size_t i = 0; i < sizeof conventions / sizeof *conventions; i++) {
        const struct convention *at = &conventions[i];
        int64_t rank, size;
        if (at->within && !getenv(at->within)) continue;
        if (!read_count(at->rank, &rank) || !read_count(at->size, &size)) continue;
        if (rank < 0 || rank >= size || size > INT_MAX) continue;
        *launcher = (struct launcher){(int)rank, (int)size, at->rank, at->size};
        return size > 1;
    }
    return false;
}
