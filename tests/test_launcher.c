/* Tests what the environment of mpirun and srun tells of a process. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/launcher.h"

static const char *const names[] = {
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "PMIX_RANK", "SLURM_PROCID", "SLURM_NTASKS",
    "SLURM_STEP_ID",        "SLURM_STEP_NUM_TASKS"};

static void forget(void)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

TestSuite(launcher, .init = forget);

/* Sets variables, "NAME=VALUE NAME=VALUE". */
static void set(const char *variables)
{
    char text[256], *rest = text, *word;
    forget();
    snprintf(text, sizeof text, "%s", variables);
    while ((word = strsep(&rest, " ")) != NULL) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        setenv(word, value, 1);
    }
}

static void expect(const char *variables, int rank, int size, const char *name)
{
    struct launcher launcher;
    set(variables);
    cr_assert(launcher_read(&launcher), "%s", variables);
    cr_expect(launcher.rank == rank && launcher.size == size, "%s: %d of %d", variables, launcher.rank, launcher.size);
    cr_expect_str_eq(launcher.rank_name, name);
}

static void expect_none(const char *variables)
{
    struct launcher launcher;
    set(variables);
    cr_expect_not(launcher_read(&launcher), "%s", variables);
}

Test(launcher, several_processes)
{
    expect("OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4", 3, 4, "OMPI_COMM_WORLD_RANK");
    expect("PMI_RANK=0 PMI_SIZE=2", 0, 2, "PMI_RANK");
    expect("PMIX_RANK=1 SLURM_PROCID=1 SLURM_STEP_ID=0 SLURM_NTASKS=2", 1, 2, "PMIX_RANK");
    expect("SLURM_PROCID=5 SLURM_STEP_ID=0 SLURM_NTASKS=8", 5, 8, "SLURM_PROCID");
    expect("SLURM_PROCID=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_NTASKS=8", 1, 2, "SLURM_PROCID");
}

/* mpirun within a step of SLURM: the ranks are mpirun's. */
Test(launcher, the_inner_launcher_counts)
{
    expect("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_NTASKS=8", 1, 2,
           "OMPI_COMM_WORLD_RANK");
}

Test(launcher, one_process)
{
    struct launcher launcher;
    cr_expect_not(launcher_read(&launcher));
    expect_none("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1");
    expect_none("SLURM_PROCID=0 SLURM_NTASKS=8"); /* the script of a batch job */
    expect_none(
        "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_STEP_ID=4294967290 SLURM_STEP_NUM_TASKS=1"); /* a shell of salloc */
}

Test(launcher, variables_that_make_no_sense)
{
    expect_none("OMPI_COMM_WORLD_RANK=4 OMPI_COMM_WORLD_SIZE=4");
    expect_none("OMPI_COMM_WORLD_RANK=-1 OMPI_COMM_WORLD_SIZE=4");
    expect_none("OMPI_COMM_WORLD_RANK=x OMPI_COMM_WORLD_SIZE=4");
    expect_none("OMPI_COMM_WORLD_RANK=0");
    expect_none("PMI_RANK=0 PMI_SIZE=99999999999");
}
