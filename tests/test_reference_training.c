/* Tests that whole networks train on the reference backend (backend.device = reference) as on the CPU in fp64. */
#include <math.h>
#include <criterion/criterion.h>

#include "session_support.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 48\nsynthetic_test = 21\nsynthetic_size = 8\n"                     \
    "[train]\nbatch_size = 16\neval_batch_size = 10\n[backend]\nprecision = fp64\nthreads = 2\n"

static const char *const configs[] = {
    DATA "device = reference\n[model]\nkind = convnet\nfeatures = 6, M, 9\nbatchnorm = custom\ndropout = 0.1\n",
    DATA "device = reference\n[model]\nkind = convnet\nfeatures = 5, A2\nhidden = 7\nbatchnorm = autodiff\n"
         "loss = separate\nactivation = elu\n[augment]\nflip = true\nrotate = 10\n[optimizer]\nname = adam\n",
    DATA "device = reference\n[model]\nhidden = 12\n[optimizer]\nname = muon\nlearning_rate = 0.01\n",
};

static struct session *open(const char *text, bool reference)
{
    struct experiment experiment;
    struct backend *backend;
    struct status status = {0};
    experiment_from(&experiment, text);
    cr_assert_eq(experiment.backend.device, DEVICE_REFERENCE);
    if (!reference) experiment.backend.device = DEVICE_CPU;
    cr_assert(backend_from_experiment(&backend, &experiment, &status), "%s", status.message);
    cr_expect_eq(strncmp(backend->description, "reference", 9) == 0, reference, "%s", backend->description);
    return session_of(experiment, backend);
}

/* Sums in double, in another order: some roundings, which training carries on. */
static void expect_close(double found, double expected, const char *what, int config)
{
    cr_expect(fabs(found - expected) <= 1e-9 * expected, "config %d, %s: %.17g, by the CPU %.17g", config, what, found,
              expected);
}

Test(reference_training, losses_are_those_of_the_cpu_in_fp64)
{
    enum { STEPS = 6 };
    for (int i = 0; i < (int)(sizeof configs / sizeof *configs); i++) {
        struct session *reference = open(configs[i], true), *cpu = open(configs[i], false);
        for (int step = 0; step < STEPS; step++)
            expect_close(session_step_loss(reference), session_step_loss(cpu), "a step", i);
        double found = trainer_evaluate(&reference->trainer, &reference->trainer.test_set).loss;
        expect_close(found, trainer_evaluate(&cpu->trainer, &cpu->trainer.test_set).loss, "an evaluation", i);
        session_close(reference), session_close(cpu);
    }
}

static void expect_refused(const char *text, const char *message)
{
    struct experiment experiment;
    struct backend *backend;
    struct status status = {0};
    experiment_from(&experiment, text);
    cr_assert_not(backend_from_experiment(&backend, &experiment, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_not_null(strstr(status.message, message), "%s", status.message);
    experiment_free(&experiment);
}

Test(reference_training, refuses_what_it_does_not_compute)
{
    expect_refused(DATA "device = reference\n[model]\nbatchnorm = cudnn\n",
                   "model.batchnorm: cudnn needs a CUDA device; use custom");
    expect_refused("[backend]\ndevice = reference\n",
                   "backend.precision (default): the reference backend computes in fp64");
}
