/* Compares training on two streams of a GPU with training on one, to the bit: recorded and not, in every precision, with a
 * limit of gradients and without, in chains and in graphs. Without a CUDA device the tests say so and are skipped. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_support.h"
#include "program/passes.h"
#include "session_support.h"

enum { STEPS = 3 };

TestSuite(cuda_streams, .init = enter_folder, .fini = leave_folder);

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 64\nsynthetic_test = 20\nsynthetic_size = 8\n"                     \
    "synthetic_classes = 5\n[optimizer]\nlearning_rate = 0.02\n"
#define TRAIN "[train]\nbatch_size = 16\n"

static const struct {
    const char *name, *text;
    int divided; /* layers whose filter gradient has a stream of its own: all with a filter but the lowest */
} networks[] = {
    {"linear layers",
     DATA "[model]\nhidden = 24, 19\nblock = activation, batchnorm, dropout\nbatchnorm = custom\n"
          "dropout = 0.1\nloss = separate\n" TRAIN,
     2},
    {"limited",
     DATA "[model]\nkind = convnet\nfeatures = 8, M, 9k1, 16\nhidden = 12\nbatchnorm = custom\n" TRAIN
          "clip_norm = 0.5\nema_decay = 0.9\n",
     4},
    {"whole matrices", DATA "name = muon\n[model]\nkind = convnet\nfeatures = 8, 16, M\nhidden = 12\n" TRAIN, 3},
    {"no bias, frozen",
     DATA "name = adam\n[model]\nkind = convnet\nfeatures = 8, 16, 8, M\nbatchnorm = custom\n"
          "conv_bias = false\nfreeze = layers.3.*\n" TRAIN,
     2},
    {"residual",
     DATA "name = adamw\n[model]\nkind = convnet\nfeatures = 8, (8, 8)+ x2, (16s2, 16, S4)+, G\n"
          "batchnorm = custom\n[augment]\nflip = true\n" TRAIN "eval_batch_size = 16\n",
     10},
    {"by autodiff", DATA "[model]\nkind = convnet\nfeatures = 8, (9, 9)+, M5s1\nbatchnorm = autodiff\n" TRAIN, 4},
};
enum { NETWORKS = sizeof networks / sizeof *networks };

static struct backend *create(struct backend_options options)
{
    struct backend *backend;
    struct status status = {0};
    options.device = DEVICE_CUDA, options.deterministic = true;
    if (backend_create(&backend, &options, &status)) return backend;
    fprintf(stderr, "no CUDA device, so nothing is compared: %s\n", status.message);
    cr_skip_test("no CUDA device");
    return NULL;
}

static int count_divided(const struct program *program)
{
    int count = 0;
    for (int i = 0; i < program->op_count; i++) count += program->ops[i].stream == 1;
    return count;
}

/* Trains, evaluates in between, and returns the bytes of the checkpoint. */
static char *train(const char *text, struct backend_options options, int divided, size_t *size)
{
    struct session *session = session_open_on(text, create(options), 1);
    cr_expect_eq(count_divided(session->trainer.training.program), divided, "%d divided, not %d, in\n%s",
                 count_divided(session->trainer.training.program), divided, text);
    for (int step = 0; step < STEPS; step++) {
        session_step_loss(session);
        if (step == 1) trainer_evaluate(&session->trainer, &session->trainer.test_set);
    }
    session_save(session, "checkpoint");
    session_close(session);
    return support_file_read("checkpoint", size);
}

static void expect_same(int k, struct backend_options options)
{
    size_t size_of_one, size;
    options.streams = STREAMS_ONE;
    char *one = train(networks[k].text, options, 0, &size_of_one);
    for (int eager = 0; eager < (options.precision == PRECISION_TF32 ? 1 : 2); eager++) {
        options.streams = STREAMS_TWO, options.eager = eager;
        char *two = train(networks[k].text, options, networks[k].divided, &size);
        cr_expect(size == size_of_one && memcmp(one, two, size) == 0, "%s: two streams differ, precision %d%s%s",
                  networks[k].name, options.precision, options.fuse ? "" : ", not fused",
                  eager ? ", not recorded" : "");
        free(two);
    }
    free(one);
}

Test(cuda_streams, two_compute_what_one_does, .timeout = 600)
{
    static const enum precision precisions[] = {PRECISION_FP32, PRECISION_TF32, PRECISION_BF16};
    for (int k = 0; k < NETWORKS; k++)
        for (int p = 0; p < 3; p++)
            for (int fuse = p > 0; fuse < 2; fuse++)
                expect_same(k, (struct backend_options){.precision = precisions[p], .fuse = fuse});
}

/* A step that is watched op by op, as bench and histograms do, is the same step. */
Test(cuda_streams, a_watched_step_is_the_same)
{
    for (int k = 0; k < NETWORKS; k++) {
        struct session *sessions[2];
        double losses[2];
        for (int i = 0; i < 2; i++) {
            sessions[i] = session_open_on(networks[k].text,
                                          create((struct backend_options){.fuse = true, .streams = STREAMS_TWO}), 1);
            network_set_metrics(sessions[i]->trainer.network, (struct metrics){0});
            for (int step = 0; step < STEPS; step++)
                i ? trainer_watch_step(&sessions[i]->trainer, &(struct step_watch){0})
                  : trainer_step(&sessions[i]->trainer);
            losses[i] = network_metrics(sessions[i]->trainer.network).loss;
        }
        cr_expect_eq(losses[0], losses[1], "%s: %g, %g", networks[k].name, losses[0], losses[1]);
        session_close(sessions[0]), session_close(sessions[1]);
    }
}

/* What would take more than half of the memory stays on one stream, unless two are asked for. */
Test(cuda_streams, memory_decides)
{
    for (enum streams streams = STREAMS_AUTO; streams <= STREAMS_TWO; streams++)
        for (int small = 0; small < 2; small++) {
            struct backend *backend = create((struct backend_options){.fuse = true, .streams = streams});
            struct backend *large = create((struct backend_options){.fuse = true, .streams = STREAMS_TWO});
            struct session *session = session_open_on(networks[4].text, large, 1);
            int64_t bytes = program_work_bound(session->trainer.training.program);
            session_close(session);
            backend->memory_bytes = small ? 2 * bytes - 2 : 2 * bytes;
            session = session_open_on(networks[4].text, backend, 1);
            bool two = streams == STREAMS_TWO || (streams == STREAMS_AUTO && !small);
            cr_expect_eq(count_divided(session->trainer.training.program), two ? networks[4].divided : 0, "%d, %d",
                         (int)streams, small);
            session_close(session);
        }
}
