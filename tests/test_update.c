/* Compares steps with and without what backend.fuse allows, with one thread and with three. Weights, gradients and moments
 * of whole networks must be the same to the bit. */
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "session_support.h"
#include "support.h"
#include "util/memory.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 200\nsynthetic_test = 90\nsynthetic_size = 14\n"                   \
    "[train]\nbatch_size = 40\n"

static const char *const models[] = {
    "[model]\nhidden = 40, 20\nbatchnorm = custom\nblock = batchnorm, activation, dropout\n", /* pixels, if able */
    "[model]\nhidden = 600\n[augment]\nflip = true\n",                                        /* reads no pixels */
    "[model]\nkind = convnet\nfeatures = 20, M, 33, 70\nbatchnorm = custom\n",
    "[model]\nkind = convnet\nfeatures = 16, M, 16\nbatchnorm = autodiff\nloss = separate\n",
};

static const char *const optimizers[] = {
    "[optimizer]\nname = sgd\nlearning_rate = 0.01\nweight_decay = 0.001\n",
    "[optimizer]\nname = sgd\nlearning_rate = 0.01\nmomentum = 0.9\nnesterov = true\n",
    "[optimizer]\nname = adam\nlearning_rate = 0.001\nweight_decay = 0.001\n",
    "[optimizer]\nname = adamw\nlearning_rate = 0.001\nweight_decay = 0.1\n",
    "[optimizer]\nname = lion\nlearning_rate = 0.001\nweight_decay = 0.1\n",
    "[optimizer]\nname = muon\nlearning_rate = 0.001\nweight_decay = 0.1\n",
};

enum { MODELS = sizeof models / sizeof *models, OPTIMIZERS = sizeof optimizers / sizeof *optimizers, STEPS = 4 };

static struct session *open(const struct variant *variant, int model, int optimizer, int threads, bool fuse)
{
    struct backend *backend = variant_create(variant, threads);
    if (!backend) return NULL;
    backend->fuse = fuse;
    char *text = memory_format(DATA "%s%s", models[model], optimizers[optimizer]);
    struct session *session = session_open_on(text, backend, threads);
    free(text);
    return session;
}

static bool same_arena(const struct session *session, const void *x, const void *y)
{
    return memcmp(x, y, session->trainer.network->arena_count * session->backend->scalar_size) == 0;
}

static void compare(const struct variant *variant, int model, int optimizer)
{
    struct session *apart = open(variant, model, optimizer, 1, false);
    struct session *fused = open(variant, model, optimizer, 3, true);
    if (!apart) return; /* this machine lacks the variant */
    for (int step = 0; step < STEPS; step++) trainer_step(&apart->trainer), trainer_step(&fused->trainer);
    const struct network *a = apart->trainer.network, *b = fused->trainer.network;
    cr_expect(same_arena(apart, a->parameters, b->parameters), "%s, model %d, optimizer %d: weights", variant->name,
              model, optimizer);
    cr_expect(same_arena(apart, a->gradients, b->gradients), "%s, model %d, optimizer %d: gradients", variant->name,
              model, optimizer);
    const struct optimizer *x = &apart->trainer.optimizer, *y = &fused->trainer.optimizer;
    for (int i = 0; i < OPTIMIZER_STATES && x->state_bytes[i] > 0; i++)
        cr_expect(memcmp(x->state[i], y->state[i], x->state_bytes[i]) == 0, "%s, model %d, optimizer %d: state %d",
                  variant->name, model, optimizer, i);
    session_close(apart), session_close(fused);
}

/* Every model on every variant, with one optimizer or another. */
Test(update, changes_nothing)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int v = 0; v < count; v++)
        for (int model = 0; variants[v].host_memory && model < MODELS; model++)
            compare(&variants[v], model, (v + model) % OPTIMIZERS);
}

/* The norm of all gradients must be known before the first update. */
Test(update, waits_for_a_limit_of_the_norm)
{
    double losses[2];
    for (int i = 0; i < 2; i++) {
        struct backend *backend = backend_of(PRECISION_FP32, 2);
        backend->fuse = i == 1;
        struct session *session = session_open_on(DATA "clip_norm = 0.01\n[model]\nhidden = 20\n", backend, 2);
        for (int step = 0; step < STEPS; step++) trainer_step(&session->trainer);
        losses[i] = trainer_evaluate(&session->trainer, &session->trainer.test_set).loss;
        session_close(session);
    }
    cr_expect_eq(losses[0], losses[1]);
}
