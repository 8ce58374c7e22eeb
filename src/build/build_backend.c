/* Creates the backend that an experiment's [backend] section describes. */
#include "build/build.h"
#include "self_test/self_test.h"

static bool create(struct backend **backend, const struct experiment *experiment, bool listing, struct status *status)
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
        .listing = listing,
    };
    struct status problem;
    return self_test_backend_create(backend, &options, &problem) ||
           experiment_fail_placed(experiment, &problem, status);
}

bool backend_from_experiment(struct backend **backend, const struct experiment *experiment, struct status *status)
{
    return create(backend, experiment, false, status);
}

bool backend_from_experiment_to_list(struct backend **backend, const struct experiment *experiment,
                                     struct status *status)
{
    return create(backend, experiment, true, status);
}
