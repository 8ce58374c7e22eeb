#include <string.h>

#include "trainer/experiment.h"

/* The backend speaks of keys, "backend.device: ...", and does not know where they were set. */
static bool fail_with_place(const struct experiment *experiment, const struct status *problem, struct status *status)
{
    char key[64];
    size_t length = strcspn(problem->message, ":");
    if (problem->code != STATUS_USAGE || strncmp(problem->message + length, ": ", 2) != 0 || length >= sizeof key) {
        *status = *problem;
        return false;
    }
    memcpy(key, problem->message, length);
    key[length] = '\0';
    return experiment_fail(experiment, key, status, "%s", problem->message + length + 2);
}

bool experiment_backend_create(struct backend **backend, const struct experiment *experiment, struct status *status)
{
    struct backend_options options = {
        .device = experiment->backend.device,
        .precision = experiment->backend.precision,
        .cpu_isa = experiment->backend.cpu_isa,
        .threads = (int)experiment->backend.threads,
        .winograd = experiment->backend.winograd,
        .deterministic = experiment->backend.deterministic,
        .eager = !experiment->backend.graph,
        .cudnn_batchnorm = experiment->model.batchnorm == BATCHNORM_CUDNN,
        .workspace_bytes = experiment->backend.workspace_mb << 20,
        .fuse = experiment->backend.fuse,
    };
    struct status problem;
    return backend_create(backend, &options, &problem) || fail_with_place(experiment, &problem, status);
}
