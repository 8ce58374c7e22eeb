/* Compares CUDA with the CPU: every operation of the one list of cases, and whole networks step by step. Without a CUDA
 * device the tests say so and are skipped. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_support.h"
#include "op_reference.h"
#include "op_cases.h"
#include "self_test/op_run.h"
#include "session_support.h"
#include "support.h"
#include "train/checkpoint.h"
#include "train/train.h"

enum { PRECISIONS = 3 };

/* Returns a CUDA row of the list of variants; `variant->roundoff` is that of its precision. */
static const struct variant *cuda_variant(int i)
{
    int count;
    const struct variant *variants = variant_list(&count);
    for (int k = 0; k < count; k++)
        if (variants[k].device == DEVICE_CUDA && i-- == 0) return &variants[k];
    cr_assert_fail("no such variant");
    return NULL;
}

static void need_cuda(void)
{
    struct backend_options options = {.device = DEVICE_CUDA};
    struct backend *backend;
    struct status status = {0};
    if (backend_create(&backend, &options, &status)) {
        backend_destroy(backend);
        return;
    }
    fprintf(stderr, "no CUDA device, so nothing is compared: %s\n", status.message);
    cr_skip_test("no CUDA device");
}

static struct backend *create(struct backend_options options)
{
    struct backend *backend;
    struct status status = {0};
    cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
    return backend;
}

/* --- operations --- */

static void round_inputs(const struct variant *variant, struct op_arrays *inputs)
{
    for (int k = 0; k < inputs->count; k++)
        support_round(variant, inputs->array[k].values, shape_count(inputs->array[k].shape));
}

/* Compares with the reference, from the same inputs. The tolerance is that of test_ops_known, in roundings of the
 * precision. */
static void expect_same(struct backend *backend, const struct variant *variant, const char *how)
{
    struct backend *exact = reference_create();
    struct op_reference *reference = op_reference_load();
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int i = 0; i < count; i++) {
        char message[512];
        struct op_arrays inputs, outputs, expected;
        if (!op_case_offered(&cases[i], backend) || !op_case_comparable(&cases[i], backend)) continue;
        op_case_inputs(&cases[i], &inputs);
        round_inputs(variant, &inputs);
        op_case_run(&cases[i], backend, (struct op_run_options){0}, &inputs, &outputs);
        op_case_run(&cases[i], exact, (struct op_run_options){0}, &inputs, &expected);
        cr_expect(
            op_reference_same(reference, &cases[i], &outputs, &expected, variant->roundoff, message, sizeof message),
            "%s%s, %s: %s", variant->name, how, cases[i].name, message);
        op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
    }
    op_reference_free(reference);
    backend_destroy(exact);
}

/* Operations agree with the algorithms that repeat to the bit and with the fastest ones. */
Test(cuda, operations_agree_with_the_reference)
{
    need_cuda();
    for (int i = 0; i < PRECISIONS; i++) {
        const struct variant *variant = cuda_variant(i);
        for (int timed = 0; timed < 2; timed++) {
            struct backend *backend = create((struct backend_options){
                .device = DEVICE_CUDA, .precision = variant->precision, .deterministic = !timed});
            expect_same(backend, variant, timed ? ", fastest algorithms" : "");
            backend_destroy(backend);
        }
    }
}

/* cuDNN's batch normalization is the same function as the backend's own. The test leaves out cases with a mean of 1000,
 * where cuDNN's variance is a difference of two large numbers. */
Test(cuda, cudnn_batchnorm_is_the_same_function)
{
    need_cuda();
    struct op_reference *reference = op_reference_load();
    struct backend *exact = reference_create();
    int count;
    const struct op_case *cases = op_case_list(&count);
    for (int p = 0; p < PRECISIONS; p++) {
        const struct variant *variant = cuda_variant(p);
        struct backend *backend = create(
            (struct backend_options){.device = DEVICE_CUDA, .precision = variant->precision, .cudnn_batchnorm = true});
        for (int i = 0; i < count; i++) {
            bool plain = cases[i].kind == OP_NORM && cases[i].norm.params.activation.kind == ACTIVATION_NONE &&
                         op_case_offered(&cases[i], backend);
            if (!plain || fabs(cases[i].offset) > 100) continue;
            char message[512];
            struct op_arrays inputs, outputs, expected;
            op_case_inputs(&cases[i], &inputs);
            round_inputs(variant, &inputs);
            op_case_run(&cases[i], backend, (struct op_run_options){0}, &inputs, &outputs);
            op_case_run(&cases[i], exact, (struct op_run_options){0}, &inputs, &expected);
            cr_expect(op_reference_same(reference, &cases[i], &outputs, &expected, variant->roundoff, message,
                                        sizeof message),
                      "%s, cuDNN, %s: %s", variant->name, cases[i].name, message);
            op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
        }
        backend_destroy(backend);
    }
    backend_destroy(exact);
    op_reference_free(reference);
}

/* --- whole networks --- */

#define DATA(train, size)                                                                                              \
    "[data]\ndataset = synthetic\nsynthetic_train = " train "\nsynthetic_test = 45\nsynthetic_classes = 10\n"          \
    "synthetic_size = " size "\nnormalization = channel\n"

#ifndef TEST_CUDA_STEPS
#define TEST_CUDA_STEPS 50 /* fewer where a GPU is emulated */
#endif
enum { STEPS = TEST_CUDA_STEPS, NETWORKS = 9 };

/* Small networks with each kind of layer and each optimizer. 203 = 12 * 16 + 11 gives epochs with a tail. */
static const struct {
    const char *name, *text;
} networks[NETWORKS] = {
    {"mlp from scratch", DATA("203", "11") "[model]\nhidden = 37\nloss = separate\n[optimizer]\nlearning_rate = 0.01\n"
                                           "[train]\nbatch_size = 16\nmax_steps = 50\n"},
    {"mlp", DATA("203", "11") "[model]\nhidden = 37\n[optimizer]\nlearning_rate = 0.01\nmomentum = 0.9\n"
                              "[train]\nbatch_size = 16\nmax_steps = 50\n"},
    {"best mlp", DATA("203", "11") "[model]\nhidden = 64, 24, 40\nblock = activation, batchnorm, dropout\n"
                                   "batchnorm = custom\ndropout = 0.05\n[optimizer]\nname = adam\n"
                                   "learning_rate = 1e-3\n[train]\nbatch_size = 32\nmax_steps = 50\n"},
    {"convnet", DATA("203", "16") "[model]\nkind = convnet\nfeatures = 16, M, 24, M, 32, 32, M, A\n"
                                  "batchnorm = custom\nactivation = leaky_relu\n[optimizer]\nname = adamw\n"
                                  "weight_decay = 0.01\nlearning_rate = 1e-3\n[train]\nbatch_size = 16\n"
                                  "max_steps = 50\n"},
    {"convnet by autodiff", DATA("203", "9") "[model]\nkind = convnet\nfeatures = 8, M, 17, A2s2p0\n"
                                             "batchnorm = autodiff\nactivation = elu\n[optimizer]\n"
                                             "learning_rate = 0.01\n[train]\nbatch_size = 16\nmax_steps = 50\n"},
    {"convnet, activation first", DATA("203", "16") "[model]\nkind = convnet\nfeatures = 16, M, 24\n"
                                                    "block = activation, batchnorm, dropout\ndropout = 0.1\n"
                                                    "batchnorm = custom\n[optimizer]\nlearning_rate = 0.02\n"
                                                    "[train]\nbatch_size = 16\nmax_steps = 50\n"},
    {"residual", DATA("203", "8") "[model]\nkind = convnet\nfeatures = 8, (8, 8)+ x2, (16s2, 16, S4)+, G\n"
                                  "batchnorm = custom\nconv_bias = auto\n[optimizer]\nlearning_rate = 0.05\n"
                                  "momentum = 0.9\n[train]\nbatch_size = 16\nmax_steps = 50\n"},
    {"augmented", DATA("203", "13") "[augment]\nflip = true\ncutout = 3\nrotate = 20\nscale = 0.2\nresized_crop = 0.5\n"
                                    "contrast = 0.3\nsaturation = 0.5\nerase = 0.3\nmixup = 0.5\ncutmix = 1\n"
                                    "[model]\nkind = convnet\nfeatures = 8, M, 17, M\nbatchnorm = custom\n"
                                    "[optimizer]\nlearning_rate = 0.05\nmomentum = 0.9\n"
                                    "[train]\nbatch_size = 16\nmax_steps = 50\nlabel_smoothing = 0.1\n"},
    {"in slices", DATA("203", "8") "[model]\nkind = convnet\nfeatures = 16, (16, 16)+, G\nbatchnorm = custom\n"
                                   "dropout = 0.1\n[optimizer]\nname = adam\nlearning_rate = 1e-3\n"
                                   "[train]\nbatch_size = 32\nmax_steps = 50\nslices = 4\nclip_norm = 1\n"
                                   "ema_decay = 0.9\nclass_weights = balanced\n"},
};

/* Per sample: the mean loss of each step, and the losses and accuracies of both sets after training. */
struct curve {
    double loss[STEPS], train_loss, test_loss, test_accuracy;
};

static struct curve train(const char *text, struct backend_options options)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    struct curve curve;
    struct trainer *trainer = memory_alloc(1, sizeof *trainer);
    options.fuse = true;
    struct backend *backend = create(options);
    experiment_from(&experiment, text);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_assert(trainer_create(trainer, &experiment, &dataset, backend, NULL, &status), "%s", status.message);
    for (int step = 0; step < STEPS; step++) {
        network_set_metrics(trainer->network, (struct metrics){0});
        trainer_step(trainer);
        struct metrics sums = network_metrics(trainer->network);
        curve.loss[step] = sums.loss / (double)sums.count;
        if (step == STEPS / 2) trainer_evaluate(trainer, &trainer->train_set); /* must leave no trace */
    }
    curve.train_loss = trainer_evaluate(trainer, &trainer->train_set).loss;
    struct evaluation test = trainer_evaluate(trainer, &trainer->test_set);
    curve.test_loss = test.loss, curve.test_accuracy = test.accuracy;
    trainer_destroy(trainer);
    free(trainer);
    dataset_free(&dataset);
    backend_destroy(backend);
    experiment_free(&experiment);
    return curve;
}

/* Returns the bound, which counts roundings of the first step's loss in the precision. Rounding errors grow in
 * training. In 50 steps of these networks they reach some 10 roundings in fp32, where the bound allows 2^9 (3e-5 of the
 * loss) for sums in another order. They reach about as many in tf32 and 4 in bf16, where the bound allows 2^6 and 2^4
 * (1/32 and 1/16 of the loss). A wrong term in a gradient shows as a tenth of the loss and more. */
static double bound_of(const struct variant *variant, double loss)
{
    double roundings = variant->precision == PRECISION_FP32   ? 0x1p9
                       : variant->precision == PRECISION_TF32 ? 0x1p6
                                                              : 0x1p4;
    return roundings * variant->roundoff * loss;
}

/* Share of the loss by which evaluations may differ. On the CPU the bias of a convolution in front of a batch
 * normalization has no gradient but rounding errors, which Adam turns into full steps. In training the normalization takes
 * the bias out again. In evaluation the running mean, which follows slowly, leaves some of it in. */
static const double EVALUATION_SHARE = 0.01;

Test(cuda, networks_stay_with_the_cpu, .timeout = 600)
{
    need_cuda();
    for (int k = 0; k < NETWORKS; k++) {
        struct curve cpu = train(networks[k].text, (struct backend_options){.device = DEVICE_CPU, .threads = 2});
        cr_expect(STEPS < 50 || cpu.loss[STEPS - 1] < cpu.loss[0], "%s does not learn", networks[k].name);
        for (int p = 0; p < PRECISIONS; p++) {
            const struct variant *variant = cuda_variant(p);
            struct curve cuda = train(networks[k].text,
                                      (struct backend_options){.device = DEVICE_CUDA, .precision = variant->precision});
            double bound = bound_of(variant, cpu.loss[0]), worst = 0;
            for (int step = 0; step < STEPS; step++) {
                double difference = fabs(cuda.loss[step] - cpu.loss[step]);
                worst = fmax(worst, isnan(difference) ? INFINITY : difference);
            }
            fprintf(stderr, "%s, %s: losses differ by up to %.2e of %.3f, bound %.2e\n", networks[k].name,
                    variant->name, worst, cpu.loss[0], bound);
            cr_expect(worst <= bound, "%s, %s: losses differ by %g, bound %g", networks[k].name, variant->name, worst,
                      bound);
            double evaluated = fmax(bound, EVALUATION_SHARE * cpu.loss[0]);
            cr_expect(fabs(cuda.train_loss - cpu.train_loss) <= evaluated &&
                          fabs(cuda.test_loss - cpu.test_loss) <= evaluated,
                      "%s, %s: evaluations %g, %g, on the CPU %g, %g", networks[k].name, variant->name, cuda.train_loss,
                      cuda.test_loss, cpu.train_loss, cpu.test_loss);
        }
    }
}

/* A recorded step computes the same as the step itself. With `deterministic` a run repeats to the bit. */
Test(cuda, replayed_steps_are_the_steps, .timeout = 600)
{
    need_cuda();
    for (int k = 0; k < NETWORKS; k++) {
        for (int p = 0; p < PRECISIONS; p++) {
            struct backend_options options = {
                .device = DEVICE_CUDA, .precision = cuda_variant(p)->precision, .deterministic = true};
            struct curve recorded = train(networks[k].text, options), again = train(networks[k].text, options);
            options.eager = true;
            struct curve eager = train(networks[k].text, options);
            cr_expect(memcmp(&recorded, &again, sizeof again) == 0, "%s, %s: two runs differ", networks[k].name,
                      cuda_variant(p)->name);
            cr_expect(memcmp(&recorded, &eager, sizeof eager) == 0, "%s, %s: recorded and not recorded differ",
                      networks[k].name, cuda_variant(p)->name);
        }
    }
}

/* --- what the device rewrites --- */

/* A bias in front of each kind of normalization: of images, of vectors, and by the batch alone in evaluations too. */
static const char *const normalized[] = {
    DATA("96", "8") "[model]\nkind = convnet\nfeatures = 9, M, 16\nhidden = 24\nbatchnorm = custom\n"
                    "[optimizer]\nlearning_rate = 0.05\nmomentum = 0.9\n[train]\nbatch_size = 16\n",
    DATA("96", "8") "[model]\nkind = convnet\nfeatures = 9, M, 16\nhidden = 24\nbatchnorm = custom\n"
                    "batchnorm_batch_stats_only = true\n[optimizer]\nname = adam\nlearning_rate = 1e-3\n"
                    "[train]\nbatch_size = 16\n"};

static struct session *open_fused(const char *text, enum precision precision, bool fuse)
{
    return session_open_on(text,
                           create((struct backend_options){
                               .device = DEVICE_CUDA, .precision = precision, .deterministic = true, .fuse = fuse}),
                           1);
}

/* Returns the values of the bias of each layer with one that a normalization follows, one after the other, or their
 * gradients. */
static double *read_biases(const struct session *session, bool gradient, int64_t *count)
{
    const struct network *network = session->trainer.network;
    double *all = NULL;
    *count = 0;
    for (int i = 0; i + 1 < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->parameter_count < 2 || layer->spec.kind == LAYER_BATCHNORM ||
            network->layers[i + 1].spec.kind != LAYER_BATCHNORM)
            continue;
        const struct parameter *bias = &layer->parameter[1];
        double *values = support_read(session->backend, gradient ? &bias->gradient : &bias->value);
        all = memory_resize(all, (size_t)(*count + layer->output.c), sizeof *all);
        memcpy(all + *count, values, (size_t)layer->output.c * sizeof *all);
        *count += layer->output.c;
        free(values);
    }
    return all;
}

/* The gradient of a bias before a batch normalization is 0, so the bias stays to the bit, also with Adam. Training and
 * evaluations are those of the plain program: its biases drift by roundings, which the running mean takes in. */
Test(cuda, a_bias_before_a_normalization_stays, .timeout = 600)
{
    need_cuda();
    for (size_t k = 0; k < sizeof normalized / sizeof *normalized; k++)
        for (int p = 0; p < PRECISIONS; p++) {
            const struct variant *variant = cuda_variant(p);
            struct session *moved = open_fused(normalized[k], variant->precision, true);
            struct session *plain = open_fused(normalized[k], variant->precision, false);
            int64_t count;
            double *before = read_biases(moved, false, &count), loss = 0;
            cr_assert_eq(count, 9 + 16 + 24);
            for (int step = 0; step < 3; step++) {
                double other = session_step_loss(plain);
                loss = session_step_loss(moved);
                cr_expect(fabs(loss - other) <= bound_of(variant, other), "%s: loss %g, plain %g", variant->name, loss,
                          other);
            }
            double *after = read_biases(moved, false, &count), *gradient = read_biases(moved, true, &count);
            for (int64_t i = 0; i < count; i++)
                cr_expect(after[i] == before[i] && gradient[i] == 0, "%s: bias %g became %g, gradient %g",
                          variant->name, before[i], after[i], gradient[i]);
            double own = trainer_evaluate(&moved->trainer, &moved->trainer.test_set).loss;
            double its = trainer_evaluate(&plain->trainer, &plain->trainer.test_set).loss;
            cr_expect(fabs(own - its) <= bound_of(variant, its), "%s: evaluation %g, plain %g", variant->name, own,
                      its);
            free(before), free(after), free(gradient);
            session_close(moved), session_close(plain);
        }
}

/* --- checkpoints --- */

static const char resumed[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_test = 8\nsynthetic_size = 8\n"
    "[model]\nkind = convnet\nfeatures = 9, M, 17\nbatchnorm = custom\ndropout = 0.2\n"
    "[optimizer]\nname = adam\n[train]\nmax_steps = 6\nbatch_size = 8\neval_freq = 6\n";

static struct session *open_deterministic(enum device device)
{
    struct backend_options options = {.device = device, .threads = 1, .deterministic = true};
    return session_open_on(resumed, create(options), 1);
}

static bool same_files(const char *a, const char *b)
{
    size_t a_size, b_size;
    char *a_bytes = support_file_read(a, &a_size), *b_bytes = support_file_read(b, &b_size);
    bool same = a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0;
    free(a_bytes), free(b_bytes);
    return same;
}

/* Three steps, a checkpoint and three more steps equal six steps. A checkpoint goes through the CPU unchanged. */
Test(cuda, a_run_goes_on_to_the_bit, .timeout = 600, .init = enter_folder, .fini = leave_folder)
{
    need_cuda();
    struct session *whole = open_deterministic(DEVICE_CUDA), *second = open_deterministic(DEVICE_CUDA);
    struct session *host = open_deterministic(DEVICE_CPU);
    for (int i = 0; i < 3; i++) trainer_step(&whole->trainer);
    session_save(whole, "cuda");
    session_restore(host, "cuda");
    session_save(host, "cpu");
    cr_expect(same_files("cuda", "cpu"), "a checkpoint of CUDA changes on the CPU");
    session_restore(second, "cpu");
    for (int i = 0; i < 3; i++) trainer_step(&whole->trainer), trainer_step(&second->trainer);
    session_save(whole, "whole"), session_save(second, "resumed");
    cr_expect(same_files("whole", "resumed"), "a run that goes on differs");
    session_close(whole), session_close(second), session_close(host);
}

/* --- errors of users --- */

Test(cuda, fp64_is_refused_with_the_way_out)
{
    need_cuda();
    struct backend_options options = {.device = DEVICE_CUDA, .precision = PRECISION_FP64};
    struct backend *backend;
    struct status status = {0};
    cr_assert_not(backend_create(&backend, &options, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect(strstr(status.message, "backend.precision") && strstr(status.message, "cpu"), "%s", status.message);
}

/* On every machine `auto` finds a backend for settings that every machine supports, and names the obstacle for
 * others. */
Test(cuda_anywhere, auto_takes_what_there_is)
{
    struct backend_options options = {.device = DEVICE_AUTO, .precision = PRECISION_TF32};
    struct backend *backend;
    struct status status = {0};
    backend_destroy(create((struct backend_options){.device = DEVICE_AUTO, .precision = PRECISION_FP64}));
    if (backend_create(&backend, &options, &status)) {
        cr_expect(strstr(backend->description, "cuda") && strstr(backend->description, "tf32"), "%s",
                  backend->description);
        backend_destroy(backend);
        return;
    }
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect(strstr(status.message, "backend.precision: tf32 needs a CUDA device"), "%s", status.message);
}

Test(cuda_anywhere, memory_that_is_not_there_ends_the_program, .exit_code = STATUS_RUNTIME)
{
    struct backend_options options = {.device = DEVICE_CUDA};
    struct backend *backend;
    struct status status = {0};
    if (!backend_create(&backend, &options, &status)) exit(STATUS_RUNTIME); /* no device is visible */
    backend->table->alloc(backend, (size_t)1 << 60);
}
