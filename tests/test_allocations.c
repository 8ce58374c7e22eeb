/* A training run takes all its memory before its first step, and as much as it announces. The linker puts the functions
 * below in the place of malloc and the like wherever the library calls them (tests/CMakeLists.txt). */
#include <malloc.h>
#include <stdatomic.h>

#include "data/dataset.h"
#include "experiment_support.h"
#include "train/train.h"

static atomic_llong calls, live; /* calls that may take memory; bytes in use */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static void *counted(void *block)
{
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&live, (long long)malloc_usable_size(block));
    return block;
}

void *__wrap_malloc(size_t size)
{
    return counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    atomic_fetch_sub(&live, (long long)malloc_usable_size(block));
    return counted(__real_realloc(block, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    atomic_fetch_sub(&live, (long long)malloc_usable_size(block));
    __real_free(block);
}

/* --- every kind of run --- */

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 70\nsynthetic_test = 37\nsynthetic_size = 8\nvalidation_size = "   \
    "11\n"                                                                                                             \
    "[train]\nbatch_size = 16\neval_batch_size = 10\nema_decay = 0.9\n"

static const char *const configs[] = {
    DATA "[model]\nhidden = 50\nloss = separate\ninit = normal\n",
    DATA "[model]\nhidden = 40, 30\nbatchnorm = custom\ndropout = 0.1\nactivation = elu\n[optimizer]\nname = adam\n"
         "[backend]\nthreads = 2\n[augment]\nflip = true\n",
    DATA "[model]\nkind = convnet\nfeatures = 32, M, 64, A2\nhidden = 20\nbatchnorm = custom\ndropout = 0.2\n"
         "[optimizer]\nname = adamw\nweight_decay = 0.1\n[backend]\nthreads = 2\n[schedule]\nname = cosine\n",
    DATA "[model]\nkind = convnet\nfeatures = 17, M2, 33k5s2p2\nbatchnorm = autodiff\n[optimizer]\nmomentum = 0.9\n"
         "nesterov = true\n[backend]\nwinograd = on\n[augment]\nflip = true\ncrop = 2\ncutout = 3\n",
    DATA
    "[model]\nkind = convnet\nfeatures = 7k11s1p5, 5k10s1p9\nbatchnorm = custom\nbatchnorm_batch_stats_only = true\n"
    "activation = leaky_relu\n[backend]\nprecision = fp64\n",
    DATA
    "[model]\nhidden = 30\n[augment]\nrotate = 20\ncontrast = 0.5\nerase = 0.5\ncutmix = 1\n[backend]\nthreads = 2\n",
    DATA
    "slices = 4\nclass_weights = balanced\nclip_norm = 1\n[model]\nkind = convnet\nfeatures = 16, (16, 16)+\nbatchnorm = custom\n"
    "dropout = 0.1\n[backend]\nthreads = 2\n",
    DATA "eval_train = 30\n[model]\nkind = convnet\nfeatures = 16, 16\n[backend]\nthreads = 3\ncpu_isa = portable\n",
};
enum { CONFIG_COUNT = sizeof configs / sizeof *configs };

struct session {
    struct experiment experiment;
    struct dataset dataset;
    struct trainer trainer;
};

static void open_session(struct session *session, struct backend *backend)
{
    struct status status = {0};
    bool good = dataset_from_experiment(&session->dataset, &session->experiment, NULL, &status) &&
                trainer_create(&session->trainer, &session->experiment, &session->dataset, backend, NULL, &status);
    cr_assert(good, "%s", status.message);
}

static void close_session(struct session *session, struct backend *backend)
{
    trainer_destroy(&session->trainer);
    dataset_free(&session->dataset);
    backend_destroy(backend);
    experiment_free(&session->experiment);
}

static struct backend *read_config(struct session *session, int config)
{
    struct status status = {0};
    struct backend *backend;
    *session = (struct session){0};
    experiment_from(&session->experiment, configs[config]);
    session->experiment.backend.device = DEVICE_CPU;
    cr_assert(backend_from_experiment(&backend, &session->experiment, &status), "%s", status.message);
    return backend;
}

/* --- steps --- */

/* Trains three epochs, whose order changes, with evaluations between and after them. */
static void train(struct trainer *trainer)
{
    for (int64_t step = 0; step < 3 * trainer->batches_per_epoch; step++) {
        trainer_step(trainer);
        if (step % 5 == 0) trainer_evaluate(trainer, &trainer->test_set);
    }
    trainer_evaluate(trainer, &trainer->train_set);
    trainer_evaluate(trainer, &trainer->train_part);
    trainer_evaluate(trainer, &trainer->validation_set);
}

Test(allocations, none_in_steps_and_evaluations)
{
    static struct session session;
    for (int config = 0; config < CONFIG_COUNT; config++) {
        struct backend *backend = read_config(&session, config);
        open_session(&session, backend);
        long long before = calls;
        train(&session.trainer);
        cr_expect_eq(calls, before, "config %d: %lld allocations", config, (long long)calls - before);
        close_session(&session, backend);
    }
}

/* --- the announced memory --- */

static int64_t total_bytes(const struct trainer *trainer)
{
    const struct network_memory *network = &trainer->network->memory;
    return network->parameters + network->gradients + network->work + network->scratch + trainer->optimizer_bytes +
           trainer->data_bytes;
}

/* The announcement does not count structs of layers, plans and programs, and names. They are some 100 KiB. */
Test(allocations, the_plan_is_what_is_taken)
{
    static struct session session;
    enum { STRUCTS = 192 * 1024, SLACK = 4096 };
    for (int config = 0; config < CONFIG_COUNT; config++) {
        struct backend *backend = read_config(&session, config);
        long long before = live;
        open_session(&session, backend);
        long long taken = live - before, planned = total_bytes(&session.trainer);
        cr_expect(planned <= taken && taken <= planned + STRUCTS, "config %d: %lld bytes planned, %lld taken", config,
                  planned, taken);
        /* A backend keeps the memory of its plans for the next network's plans. A block may be some bytes longer than
         * another of its size. */
        int64_t used = backend->allocated;
        trainer_destroy(&session.trainer), dataset_free(&session.dataset);
        open_session(&session, backend);
        long long more = backend->allocated - used;
        cr_expect(-SLACK < more && more < SLACK, "config %d: %lld bytes more", config, more);
        close_session(&session, backend);
    }
}

/* Counted by hand: 3*8*8 = 192 inputs, 48 and 10 outputs; 192*48 + 48 + 10*48 + 10, the last layer's padded to 16
 * outputs. Blocks of this size come with a few bytes more than the program asks for, not always as many. */
Test(allocations, parts_of_a_plan)
{
    static struct session session;
    struct backend *backend = read_config(&session, 0);
    session.experiment.model.hidden.value[0] = 48;
    session.experiment.optimizer.name = OPTIMIZER_ADAM;
    session.experiment.train.ema_decay = 0;
    open_session(&session, backend);
    const struct network_memory *memory = &session.trainer.network->memory;
    const int64_t parameters = 4 * (192 * 48 + 48 + 16 * 48 + 16), slack = 64;
    cr_expect(memory->parameters >= parameters && memory->parameters <= parameters + slack, "%lld",
              (long long)memory->parameters);
    cr_expect(memory->gradients >= parameters && memory->gradients <= parameters + slack, "%lld",
              (long long)memory->gradients);
    int64_t moments = session.trainer.optimizer_bytes;
    cr_expect(moments >= 2 * parameters && moments <= 2 * (parameters + slack), "%lld", (long long)moments);
    /* The backward pass of the second linear layer needs most: the input, the first layer's output (for relu), relu's
     * output, the gradient of the scores, and the gradient that it writes. */
    const int64_t batch = 16, work = 4 * batch * (192 + 48 + 48 + 16 + 48);
    cr_expect(memory->work >= work && memory->work <= work + 6 * slack, "%lld, expected %lld", (long long)memory->work,
              (long long)work);
    cr_expect_geq(session.trainer.data_bytes, (70 + 37) * (192 + 1));
    close_session(&session, backend);
}

Test(allocations, prints_the_plan)
{
    static struct session session;
    struct backend *backend = read_config(&session, 2);
    open_session(&session, backend);
    char text[512] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    trainer_print_memory(&session.trainer, out);
    fclose(out);
    double total, parts[6], sum = 0;
    int read = sscanf(text,
                      "memory at most %lf MiB: parameters %lf, gradients %lf, optimizer %lf, activations "
                      "and their gradients %lf, scratch %lf, data %lf\n",
                      &total, &parts[0], &parts[1], &parts[2], &parts[3], &parts[4], &parts[5]);
    cr_expect_eq(read, 7, "%s", text);
    for (int i = 0; i < 6; i++) sum += parts[i];
    cr_expect_float_eq(sum, total, 7 * 0.05 + 1e-9, "%s", text);
    cr_expect_float_eq(total, (double)total_bytes(&session.trainer) / 0x1p20, 0.05 + 1e-9, "%s", text);
    close_session(&session, backend);
}
