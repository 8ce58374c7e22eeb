/* Opens NCCL (nccl_library.h). It is never closed: it has threads of its own. */
#include "nccl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static struct nccl functions;
static char trouble[512];

/* Takes the functions from the library. False where it lacks one. */
static bool find_functions(void *library)
{
    const char *missing = NULL;
#define FIND(type, name, arguments)                                                                                    \
    functions.name = (type(*) arguments)(intptr_t)dlsym(library, "nccl" #name);                                        \
    if (!functions.name) missing = "nccl" #name;
    NCCL_FUNCTIONS(FIND)
#undef FIND
    if (missing) snprintf(trouble, sizeof trouble, "NCCL is too old: it has no %s", missing);
    return !missing;
}

const struct nccl *nccl_open(const char **problem)
{
    static bool tried, found;
    *problem = trouble;
    if (tried) return found ? &functions : NULL;
    tried = true;
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library)
        found = find_functions(library);
    else
        snprintf(trouble, sizeof trouble, "no NCCL: %s", dlerror());
    return found ? &functions : NULL;
}

void nccl_name(const struct nccl *nccl, char *name, size_t size)
{
    int version = 0; /* 22809 for 2.28.9 */
    nccl->GetVersion(&version);
    snprintf(name, size, "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}
