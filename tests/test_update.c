/* Compares the optimizer's step that is taken while the gradients are computed with the step after them. Weights,
 * gradients and moments of whole networks must be the same to the bit. */
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "session_support.h"
#include "support.h"
#include "trainer/memory.h"

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
};

enum { MODELS = sizeof models / sizeof *models, OPTIMIZERS = sizeof optimizers / sizeof *optimizers, STEPS = 4 };

static struct session *open(const struct variant *variant, int model, int optimizer, int threads)
{
    struct backend *backend = variant_create(variant, threads);
    if (!backend) return NULL;
    backend->fuse = true;
    char *text = memory_format(DATA "%s%s", models[model], optimizers[optimizer]);
    struct session *session = session_open_on(text, backend, threads);
    free(text);
    return session;
}

static void see_nothing(void *argument, enum network_phase phase, int layer)
{
    (void)argument, (void)phase, (void)layer;
}

/* An observer makes a step do its parts one after the other. */
static const struct network_observer observer = {see_nothing, NULL};

static bool same_arena(const struct session *a, const struct session *b, const void *x, const void *y)
{
    return memcmp(x, y, a->trainer.network->arena_count * b->backend->scalar_size) == 0;
}

static void compare(const struct variant *variant, int model, int optimizer)
{
    struct session *apart = open(variant, model, optimizer, 1), *fused = open(variant, model, optimizer, 3);
    if (!apart) return; /* this machine lacks the variant */
    apart->trainer.network->observer = &observer;
    for (int step = 0; step < STEPS; step++) trainer_step(&apart->trainer), trainer_step(&fused->trainer);
    const struct network *a = apart->trainer.network, *b = fused->trainer.network;
    cr_expect(same_arena(apart, fused, a->parameters, b->parameters), "%s, model %d, optimizer %d: weights",
              variant->name, model, optimizer);
    cr_expect(same_arena(apart, fused, a->gradients, b->gradients), "%s, model %d, optimizer %d: gradients",
              variant->name, model, optimizer);
    for (int i = 0; i < apart->trainer.optimizer.state_count; i++)
        cr_expect(same_arena(apart, fused, apart->trainer.optimizer.state[i], fused->trainer.optimizer.state[i]),
                  "%s, model %d, optimizer %d: state %d", variant->name, model, optimizer, i);
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

/* Returns the number of layers with parameters whose weights differ from `before`. */
static int changed_layers(const struct network *network, const void *before)
{
    int changed = 0;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->parameter_count == 0) continue;
        const char *now = layer->parameter[0].value.data;
        size_t offset = (size_t)(now - (const char *)network->parameters);
        const struct tensor *weight = &layer->parameter[0].value;
        size_t bytes = tensor_bytes(network->backend, weight->kind, weight->shape);
        changed += memcmp(now, (const char *)before + offset, bytes) != 0;
    }
    return changed;
}

/* Nothing is left to the end: no parameter lies in front of the first layer's weights. */
Test(update, is_taken_during_the_backward_pass)
{
    const struct variant portable = {
        .device = DEVICE_CPU, .precision = PRECISION_FP32, .cpu_isa = CPU_ISA_PORTABLE, .host_memory = true};
    struct session *session = open(&portable, 2, 2, 2);
    struct trainer *trainer = &session->trainer;
    struct network *network = trainer->network;
    size_t bytes = network->arena_count * session->backend->scalar_size;
    void *before = memory_alloc(bytes, 1);
    trainer_step(trainer);
    memcpy(before, network->parameters, bytes);
    network_forward(network, LAYER_TRAIN);
    cr_assert(optimizer_begin(&trainer->optimizer));
    cr_expect_eq(changed_layers(network, before), 0);
    network_backward(network, NULL);
    int changed = changed_layers(network, before), with_parameters = 0;
    for (int i = 0; i < network->layer_count; i++) with_parameters += network->layers[i].parameter_count > 0;
    optimizer_end(&trainer->optimizer);
    cr_expect_eq(changed, with_parameters, "%d of %d layers", changed, with_parameters);
    cr_expect_eq(changed_layers(network, before), with_parameters);
    free(before);
    session_close(session);
}

/* The norm of all gradients must be known before the first update. */
Test(update, waits_for_a_limit_of_the_norm)
{
    double losses[2];
    for (int i = 0; i < 2; i++) {
        struct session *session = session_open_on(DATA "clip_norm = 0.01\n[model]\nhidden = 20\n", NULL, 2);
        session->backend->fuse = true;
        if (i == 0) session->trainer.network->observer = &observer;
        for (int step = 0; step < STEPS; step++) trainer_step(&session->trainer);
        losses[i] = trainer_evaluate(&session->trainer, &session->trainer.test_set, NULL).loss;
        session_close(session);
    }
    cr_expect_eq(losses[0], losses[1]);
}
