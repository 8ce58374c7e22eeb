/* Finds out whether a launcher started this process as one of several, and opens the transport (comm.h). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"
#include "comm/comm_module.h"
#include "util/launcher.h"
#include "util/memory.h"

/* True where MPI cannot find the other processes, as srun has started this one without PMIx. */
static bool lacks_pmix(const struct launcher *launcher)
{
    bool own_pmi = strcmp(launcher->rank_name, "PMI_RANK") == 0 && getenv("SLURM_STEP_ID");
    return strcmp(launcher->rank_name, "SLURM_PROCID") == 0 || own_pmi;
}

/* Opens the module that lies beside the program, or in the folder lib/trainer beside the program's own; NULL: there is
 * none, as `error` tells. */
static void *open_module(char *error, size_t size)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0) length = 0;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
    const char *folders[] = {"", "/../lib/trainer", "/.."};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = memory_format("%s%s/%s", program, folders[i], COMM_MODULE_FILE);
        bool there = access(path, R_OK) == 0;
        void *module = there ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (there && !module) snprintf(error, size, "%s", dlerror());
        free(path);
        if (there) return module;
    }
    snprintf(error, size, "it was built without MPI (Debian: libopenmpi-dev)");
    return NULL;
}

static bool join(struct comm **comm, const struct launcher *launcher, struct status *status)
{
    char error[1024];
    if (lacks_pmix(launcher))
        return status_fail(status, STATUS_USAGE,
                           "started by srun as one of %d tasks, but without PMIx: use srun --mpi=pmix, or mpirun",
                           launcher->size);
    void *module = open_module(error, sizeof error);
    if (!module)
        return status_fail(status, STATUS_USAGE, "started as one of %d ranks (%s), but this trainer has no MPI: %s",
                           launcher->size, launcher->size_name, error);
    comm_module_open *open = (comm_module_open *)(intptr_t)dlsym(module, COMM_MODULE_SYMBOL);
    if (!open) return status_fail(status, STATUS_RUNTIME, "%s has no %s", COMM_MODULE_FILE, COMM_MODULE_SYMBOL);
    struct comm *made = memory_alloc(1, sizeof *made);
    if (!open(made, TRAINER_VERSION, sizeof *made, error, sizeof error)) {
        free(made);
        return status_fail(status, STATUS_RUNTIME, "MPI does not start: %s", error);
    }
    if (made->size != launcher->size) {
        int size = made->size;
        comm_destroy(made);
        return status_fail(status, STATUS_USAGE,
                           "the launcher says %d ranks (%s), but %s says %d: was the program started by another MPI's "
                           "launcher?",
                           launcher->size, launcher->size_name, COMM_MODULE_FILE, size);
    }
    *comm = made;
    return comm_learn_places(made, status);
}

bool comm_leave_report(struct status *status)
{
    enum { SECONDS = 1 };
    struct launcher launcher;
    if (!launcher_read(&launcher) || launcher.rank == 0) return false;
    sleep(SECONDS);
    status->message[0] = '\0';
    return false;
}

bool comm_create(struct comm **comm, struct status *status)
{
    struct launcher launcher;
    *comm = NULL;
    return !launcher_read(&launcher) || join(comm, &launcher, status) || comm_leave_report(status);
}

char *comm_transport_name(char **problem)
{
    char error[1024], name[COMM_NAME];
    void *module = open_module(error, sizeof error);
    comm_module_name *write = module ? (comm_module_name *)(intptr_t)dlsym(module, COMM_MODULE_NAME_SYMBOL) : NULL;
    if (module && !write) snprintf(error, sizeof error, "%s has no %s", COMM_MODULE_FILE, COMM_MODULE_NAME_SYMBOL);
    *problem = write ? NULL : memory_copy_string(error);
    if (!write) return NULL;
    write(name);
    return memory_copy_string(name);
}
