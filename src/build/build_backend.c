/* Creates the backend that an experiment's [backend] section describes. */
#include "build/build.h"
#include "self_test/self_test.h"

static bool create(struct backend **backend, const struct experiment *experiment, int gpu, bool listing,
                   struct status *status)
{
    struct backend_options options = {
        .device = experiment->backend.device,
        .precision = experiment->backend.precision,
        .cpu_isa = experiment->backend.cpu_isa,
        .threads = (int)experiment->backend.threads,
        .winograd = experiment->backend.winograd,
        .deterministic = experiment->backend.deterministic,
        .streams = experiment->backend.streams,
        .eager = !experiment->backend.graph,
        .cudnn_batchnorm = experiment->model.batchnorm == BATCHNORM_CUDNN,
        .workspace_bytes = experiment->backend.workspace_mb << 20,
        .fuse = experiment->backend.fuse,
        .gpu = gpu,
        .listing = listing,
    };
    struct status problem;
    return self_test_backend_create(backend, &options, &problem) ||
           experiment_fail_placed(experiment, &problem, status);
}

bool backend_from_experiment(struct backend **backend, const struct experiment *experiment, struct status *status)
{
    return create(backend, experiment, 0, false, status);
}

bool backend_from_experiment_for_rank(struct backend **backend, const struct experiment *experiment, int local,
                                      struct status *status)
{
    return create(backend, experiment, local, false, status);
}

bool backend_from_experiment_to_list(struct backend **backend, const struct experiment *experiment,
                                     struct status *status)
{
    return create(backend, experiment, 0, true, status);
}
