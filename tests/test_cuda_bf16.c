/* Tests the copies of parameters that CUDA keeps in bf16 (cuda_rewrite_bf16.c). Without a CUDA device the tests say so and
 * are skipped. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_support.h"
#include "session_support.h"
#include "support.h"
#include "train/checkpoint.h"

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 96\nsynthetic_test = 45\nsynthetic_size = 8\nsynthetic_classes = 5\n"
#define CONVNET                                                                                                        \
    "[model]\nkind = convnet\nfeatures = 9, M, 9k1, 16\nhidden = 24\nbatchnorm = custom\n[train]\nbatch_size = 16\n"

static const struct variant *bf16_variant(void)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int k = 0; k < count; k++)
        if (variants[k].device == DEVICE_CUDA && variants[k].precision == PRECISION_BF16) return &variants[k];
    cr_assert_fail("no such variant");
    return NULL;
}

static struct session *open_with(const char *text, struct backend_options options)
{
    struct backend *backend;
    struct status status = {0};
    options.device = DEVICE_CUDA, options.precision = PRECISION_BF16, options.deterministic = true;
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    return session_open_on(text, backend, 1);
}

static struct session *open_text(const char *text)
{
    return open_with(text, (struct backend_options){.fuse = true});
}

static void need_cuda(void)
{
    struct backend_options options = {.device = DEVICE_CUDA, .precision = PRECISION_BF16};
    struct backend *backend;
    struct status status = {0};
    if (backend_create(&backend, &options, &status)) {
        backend_destroy(backend);
        return;
    }
    fprintf(stderr, "no CUDA device in bf16, so nothing is tested: %s\n", status.message);
    cr_skip_test("no CUDA device in bf16");
}

/* Checks that the tensor, a copy in bf16, is the parameter rounded to the nearest; returns 1, and 0 for another kind of
 * tensor. */
static int expect_copy(const struct session *session, const struct tensor *tensor, const struct parameter *parameter,
                       const char *text)
{
    if (tensor->kind != TENSOR_ROUNDED) return 0;
    double *copy = support_read(session->backend, tensor), *value = support_read(session->backend, &parameter->value);
    int64_t count = shape_count(tensor->shape), wrong = 0;
    cr_assert_eq(count, shape_count(parameter->value.shape));
    support_round(bf16_variant(), value, count);
    for (int64_t i = 0; i < count; i++) wrong += copy[i] != value[i];
    cr_expect_eq(wrong, 0, "%d of %d elements of a copy of %s are others, in\n%s", (int)wrong, (int)count,
                 parameter->name, text);
    free(copy), free(value);
    return 1;
}

/* Checks all copies that the products of the program read, and their number. */
static void expect_copies(const struct session *session, const struct prepared *prepared, int weights, int biases,
                          const char *text)
{
    for (int i = 0; i < prepared->program->op_count; i++) {
        const struct op_call *call = &prepared->calls[i];
        if (call->op->kind != OP_CONV2D) continue;
        const struct parameter *own = session->trainer.network->layers[call->op->layer].parameter;
        weights -= expect_copy(session, &call->tensor[CONV2D_WEIGHT], &own[0], text);
        if (call->tensor[CONV2D_BIAS].data) biases -= expect_copy(session, &call->tensor[CONV2D_BIAS], &own[1], text);
    }
    cr_expect(weights == 0 && biases == 0, "%d copies of weights and %d of biases are missing, in\n%s", weights, biases,
              text);
}

/* Every elementwise rule writes the copies along. A rule of whole matrices leaves its filters alone: all but the last
 * layer's. */
Test(cuda_bf16, updates_write_the_copies, .timeout = 600)
{
    static const struct {
        const char *text;
        int weights, biases;
    } cases[] = {{DATA CONVNET "[optimizer]\nlearning_rate = 0.1\nmomentum = 0\n", 5, 1},
                 {DATA CONVNET "[optimizer]\nlearning_rate = 0.1\nmomentum = 0.9\n", 5, 1},
                 {DATA CONVNET "[optimizer]\nname = adam\nlearning_rate = 1e-2\n", 5, 1},
                 {DATA CONVNET "clip_norm = 0.5\n[optimizer]\nname = adamw\nlearning_rate = 1e-2\n", 5, 1},
                 {DATA CONVNET "[optimizer]\nname = lion\nlearning_rate = 1e-2\n", 5, 1},
                 {DATA CONVNET "[optimizer]\nname = muon\nlearning_rate = 1e-2\n", 1, 1},
                 {DATA "[model]\nkind = convnet\nfeatures = 8, (8, 8)+, (16s2, S4, 16)+, G\nbatchnorm = custom\n"
                       "[optimizer]\nname = adam\nlearning_rate = 1e-2\n[train]\nbatch_size = 16\n",
                  9, 3},
                 {DATA "[model]\nhidden = 21, 13\nloss = separate\n[optimizer]\nlearning_rate = 0.1\n"
                       "[train]\nbatch_size = 16\n",
                  3, 3}};
    need_cuda();
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct session *session = open_text(cases[k].text);
        for (int step = 0; step < 3; step++) {
            trainer_step(&session->trainer);
            expect_copies(session, session->trainer.train, cases[k].weights, cases[k].biases, cases[k].text);
        }
        session_close(session);
    }
}

/* Returns all weights of the network, one after the other. */
static double *read_weights(const struct session *session, int64_t *count)
{
    const struct network *network = session->trainer.network;
    double *all = memory_alloc((size_t)network->parameter_count, sizeof *all);
    *count = 0;
    for (int i = 0; i < network->layer_count; i++)
        for (int p = 0; p < network->layers[i].parameter_count; p++) {
            const struct tensor *value = &network->layers[i].parameter[p].value;
            double *own = support_read(session->backend, value);
            memcpy(all + *count, own, (size_t)shape_count(value->shape) * sizeof *all);
            *count += shape_count(value->shape);
            free(own);
        }
    return all;
}

/* A limit of the norm that is never reached makes the program widen the gradients of filters. The steps are the same to
 * the bit, since the update reads the same numbers in either way. */
Test(cuda_bf16, gradients_are_read_as_they_are, .timeout = 600)
{
    static const char *const optimizers[] = {"learning_rate = 0.1\nmomentum = 0.9\n",
                                             "name = adam\nlearning_rate = 1e-2\nweight_decay = 0.1\n"};
    need_cuda();
    for (size_t k = 0; k < sizeof optimizers / sizeof *optimizers; k++) {
        char *narrow = memory_format("%s[optimizer]\n%s", DATA CONVNET, optimizers[k]);
        char *wide = memory_format("%sclip_norm = 1e9\n[optimizer]\n%s", DATA CONVNET, optimizers[k]);
        struct session *a = open_text(narrow), *b = open_text(wide);
        int64_t count, other;
        for (int step = 0; step < 3; step++) trainer_step(&a->trainer), trainer_step(&b->trainer);
        double *own = read_weights(a, &count), *its = read_weights(b, &other);
        cr_assert_eq(count, other);
        cr_expect(memcmp(own, its, (size_t)count * sizeof *own) == 0, "the weights differ with\n%s", narrow);
        free(own), free(its), free(narrow), free(wide);
        session_close(a), session_close(b);
    }
}

/* Weights that come from elsewhere are copied before the next step, whatever was there, and so is the moving average
 * before an evaluation. */
Test(cuda_bf16, a_run_goes_on_to_the_bit, .timeout = 600, .init = enter_folder, .fini = leave_folder)
{
    const char *text = DATA CONVNET "ema_decay = 0.9\n[optimizer]\nname = adam\nlearning_rate = 1e-2\n";
    need_cuda();
    struct session *whole = open_text(text), *second = open_text(text);
    for (int step = 0; step < 2; step++) trainer_step(&whole->trainer);
    session_save(whole, "half");
    for (int step = 0; step < 4; step++) trainer_step(&second->trainer);
    trainer_evaluate(&second->trainer, &second->trainer.test_set);
    session_restore(second, "half");
    double loss = trainer_evaluate(&whole->trainer, &whole->trainer.test_set).loss;
    cr_expect_eq(trainer_evaluate(&second->trainer, &second->trainer.test_set).loss, loss);
    for (int step = 0; step < 2; step++) {
        double own = session_step_loss(whole), its = session_step_loss(second);
        cr_expect_eq(own, its, "a step after the checkpoint: loss %g, and %g in the run that goes on", own, its);
    }
    int64_t count;
    double *own = read_weights(whole, &count), *its = read_weights(second, &count);
    cr_expect(memcmp(own, its, (size_t)count * sizeof *own) == 0, "the weights differ");
    loss = trainer_evaluate(&whole->trainer, &whole->trainer.test_set).loss;
    cr_expect_eq(trainer_evaluate(&second->trainer, &second->trainer.test_set).loss, loss);
    free(own), free(its);
    session_close(whole), session_close(second);
}

/* Where neither library computes anything, our own kernels read the copies and write the gradients in bf16. */
Test(cuda_bf16, own_kernels_take_the_copies, .timeout = 600)
{
    const char *text = DATA CONVNET "[optimizer]\nname = adam\nlearning_rate = 1e-3\n";
    need_cuda();
    struct session *own = open_with(text, (struct backend_options){.fuse = true, .workspace_bytes = 1});
    struct session *library = open_text(text);
    for (int step = 0; step < 3; step++) {
        double a = session_step_loss(own), b = session_step_loss(library);
        /* Sums in another order: some roundings of bf16, 2^-9 of the loss each, as in test_cuda. */
        cr_expect(fabs(a - b) <= 16 * bf16_variant()->roundoff * b, "loss %g by our own kernels, %g by libraries", a,
                  b);
        expect_copies(own, own->trainer.train, 5, 1, text);
    }
    session_close(own), session_close(library);
}
