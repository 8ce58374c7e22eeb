/* The training session: what a step needs, and the step. */
#include <inttypes.h>
#include <stdlib.h>

#include "backend/augment_picture.h"
#include "build/build.h"
#include "data/mix.h"
#include "data/read_ahead.h"
#include "train/batch_statistics.h"
#include "train/class_weights.h"
#include "train/train.h"
#include "train/train_program.h"
#include "train/trainer_private.h"
#include "train/whitening.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/min_max.h"
#include "util/rng.h"

/* Of a set of so many samples. */
static int64_t evaluation_batch_size(const struct trainer *trainer, int64_t count)
{
    int64_t size = trainer->evaluation_batch;
    return size < count ? size : count;
}

static bool build_network(struct trainer *trainer, struct status *status)
{
    const struct experiment *experiment = trainer->experiment;
    const struct dataset *dataset = trainer->dataset;
    const struct image_set *sets[] = {&dataset->train, &dataset->validation, &dataset->test};
    const struct dataset_description format = dataset_description_of(dataset);
    int64_t batch = experiment->train.batch_size;
    trainer->evaluation_batch = evaluation_batch_from_experiment(experiment, format, trainer->backend);
    for (int i = 0; i < 3; i++) batch = max_of(batch, evaluation_batch_size(trainer, sets[i]->count));
    if (!network_from_experiment(&trainer->network, experiment, format, trainer->backend, batch, status)) return false;
    if (!network_tune_from_experiment(trainer->network, experiment, status)) return false;
    trainer->network->labels_mixed = augment_mixes(&trainer->augment);
    trainer->class_weights = class_weights_create(experiment, dataset);
    if (trainer->class_weights) network_set_class_weights(trainer->network, trainer->class_weights);
    return true;
}

/* The first `count` samples of what is on the device, in the order that `set` has. */
static void cover_set(const struct trainer *trainer, struct evaluation_set *set, const char *name,
                      struct device_dataset *data, int64_t count)
{
    int64_t size = evaluation_batch_size(trainer, count);
    set->name = name;
    set->count = count;
    set->data = data;
    set->full = (struct evaluation_batch){.n = size};
    set->tail = set->full;
    set->tail.n = count % size;
    if (set->tail.n == 0 || !network_needs_batches(trainer->network)) return;
    set->tail.skipped = size - set->tail.n;
    set->tail.n = size;
}

static void upload_set(struct trainer *trainer, struct evaluation_set *set, const char *name,
                       const struct image_set *images)
{
    if (images->count == 0) return;
    struct dataset_view view = dataset_view(trainer->dataset, images);
    cover_set(trainer, set, name, trainer->backend->table->dataset_upload(trainer->backend, &view), images->count);
}

/* A part is drawn once, by the seed, so that every evaluation covers the same samples. */
static void choose_train_part(struct trainer *trainer)
{
    const struct experiment *experiment = trainer->experiment;
    int64_t wanted = experiment->train.eval_train, count = trainer->train_set.count;
    if (wanted == EVAL_TRAIN_OFF) return;
    bool all = wanted == EVAL_TRAIN_ALL || wanted >= count;
    if (!all) {
        struct rng rng = rng_create((uint64_t)experiment->experiment.seed, RNG_STREAM_EVALUATION, 0);
        trainer->part_order = memory_alloc((size_t)count, sizeof *trainer->part_order);
        rng_permutation(&rng, trainer->part_order, (int32_t)count);
    }
    trainer->train_part.order = trainer->part_order;
    cover_set(trainer, &trainer->train_part, "train set", trainer->train_set.data, all ? count : wanted);
}

static bool check_augment(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    int64_t size = dataset->height < dataset->width ? dataset->height : dataset->width;
    if (experiment->augment.crop >= size)
        return experiment_fail(experiment, "augment.crop", status,
                               "expected less than the %" PRId64 " pixels of an image's side, found %" PRId64, size,
                               experiment->augment.crop);
    if (experiment->augment.cutout >= size)
        return experiment_fail(experiment, "augment.cutout", status,
                               "expected less than the %" PRId64 " pixels of an image's side, found %" PRId64, size,
                               experiment->augment.cutout);
    if (experiment->augment.saturation > 0 && dataset->channels != 3)
        return experiment_fail(experiment, "augment.saturation", status,
                               "expected 0, as it needs images of 3 channels, and these have %" PRId64 ", found %g",
                               dataset->channels, experiment->augment.saturation);
    return true;
}

static bool check_batch_size(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    int64_t count = dataset->train.count, batch_size = experiment->train.batch_size;
    if (batch_size <= count) return true;
    return experiment_fail(experiment, "train.batch_size", status,
                           "expected at most the %" PRId64 " samples of the training set, found %" PRId64, count,
                           batch_size);
}

static bool check_best_by(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    if (experiment->checkpoint.best_by == CHECKPOINT_BEST_BY_VALIDATION && dataset->validation.count == 0)
        return experiment_fail(experiment, "checkpoint.best_by", status,
                               "expected auto or test, as the data has no validation set (data.validation_size), found "
                               "validation");
    if (dataset->test.count > 0) return true;
    if (experiment->checkpoint.best_by == CHECKPOINT_BEST_BY_TEST)
        return experiment_fail(experiment, "checkpoint.best_by", status,
                               "expected auto or validation, as the data has no test set, found test");
    if (experiment->train.patience == 0 || dataset->validation.count > 0) return true;
    return experiment_fail(experiment, "train.patience", status,
                           "expected 0, as the data has neither a validation set (data.validation_size) nor a test set "
                           "to judge an evaluation by, found %" PRId64,
                           experiment->train.patience);
}

bool trainer_check_dataset(const struct experiment *experiment, const struct dataset *dataset, struct status *status)
{
    return check_batch_size(experiment, dataset, status) && check_augment(experiment, dataset, status) &&
           check_best_by(experiment, dataset, status) && class_weights_check(experiment, dataset, status);
}

/* --- programs --- */

static void write_programs(struct trainer *trainer)
{
    const struct evaluation_set *sets[] = {&trainer->train_part, &trainer->validation_set, &trainer->test_set};
    const struct experiment *experiment = trainer->experiment;
    int64_t n = 0;
    for (int i = 0; i < 3; i++) n = max_of(n, sets[i]->full.n);
    trainer->training = train_program_write(experiment, trainer->network, &trainer->optimizer, &trainer->ema,
                                            trainer->batches_per_epoch);
    trainer->update = train_program_write_update(experiment, trainer->network, &trainer->optimizer);
    trainer->average = train_program_write_average(experiment, trainer->network, &trainer->ema);
    if (n > 0) trainer->evaluation = train_program_write_evaluation(experiment, trainer->network, n);
}

static bool check_programs(const struct trainer *trainer, struct status *status)
{
    const struct network *network = trainer->network;
    const struct op magnitude = op_make(OP_MAGNITUDE); /* diverged_check_weights */
    return network_check_support(network, trainer->training.program, status) &&
           (!trainer->update || network_check_support(network, trainer->update, status)) &&
           (!trainer->average || network_check_support(network, trainer->average, status)) &&
           network_check_op(network, trainer->training.program, &magnitude, status) &&
           (!trainer->evaluation.program || network_check_support(network, trainer->evaluation.program, status));
}

/* Runs each operation once, so that lazy allocations happen before the first step. */
static void rehearse(struct trainer *trainer)
{
    const struct device_dataset *data = trainer->train_set.data;
    struct network *network = trainer->network;
    struct run_input input = {.n = trainer->experiment->train.batch_size, .data = data, .refresh = true};
    if (trainer->train)
        prepared_run_phases(trainer->train, &input, PHASE_BACKWARD);
    else
        slices_rehearse(&trainer->slices, &input);
    if (trainer->evaluate) {
        input.n = trainer->evaluation.program->max_n;
        input.n = input.n < trainer->train_set.count ? input.n : trainer->train_set.count;
        prepared_run_phases(trainer->evaluate, &input, PHASE_BACKWARD);
    }
    for (int i = 0; i < network->layer_count; i++) {
        struct layer *layer = &network->layers[i];
        if (layer->buffer_count > 0) layer->ops->init(layer); /* the runs above moved the running statistics */
    }
}

/* Where the sums of each batch of an evaluation go. */
static struct metrics *make_batch_sums(const struct trainer *trainer)
{
    const struct evaluation_set *sets[] = {&trainer->train_set, &trainer->validation_set, &trainer->test_set};
    int64_t most = 0;
    for (int i = 0; i < 3; i++) most = max_of(most, evaluation_set_batches(sets[i]));
    return memory_alloc((size_t)most, sizeof(struct metrics));
}

static void prepare(struct trainer *trainer)
{
    struct backend *backend = trainer->backend;
    struct network_memory *memory = &trainer->network->memory;
    int64_t before = backend->allocated, gradients = memory->gradients;
    int64_t bytes = trainer->training.program->work_bytes;
    if (trainer->update) bytes = max_of(bytes, trainer->update->work_bytes);
    if (trainer->evaluation.program) bytes = max_of(bytes, trainer->evaluation.program->work_bytes);
    trainer->work = backend->table->alloc(backend, (size_t)bytes);
    memory->work = backend->allocated - before;
    void *base[SPACES] = {[SPACE_WORK] = trainer->work};
    network_bases(trainer->network, base);
    optimizer_bases(&trainer->optimizer, base);
    ema_bases(&trainer->ema, base);
    if (trainer->update) {
        trainer->batch_sums = make_batch_sums(trainer);
        const struct comm *comm = trainer->ranks.comm;
        const struct slice_share share = {trainer->experiment->train.slices, comm ? comm->rank : 0,
                                          comm ? comm->size : 1};
        slices_create(&trainer->slices, trainer->network, trainer->training.program, share, base);
        trainer_listen(trainer);
        trainer->updating = prepared_create(trainer->update, backend, base);
        if (trainer->average) trainer->averaging = prepared_create(trainer->average, backend, base);
    } else {
        trainer->train = prepared_create(trainer->training.program, backend, base);
    }
    ema_evaluation_bases(&trainer->ema, base);
    if (trainer->evaluation.program) trainer->evaluate = prepared_create(trainer->evaluation.program, backend, base);
    trainer->magnitude = tensor_alloc(backend, TENSOR_SCALAR, (struct shape){1, 1, 1, 1});
    rehearse(trainer);
    memory->scratch += backend->allocated - before - memory->work - (memory->gradients - gradients);
}

/* The bytes of gradients that are sent at once; 0: all are. Without a choice of the user's a GPU sends them so, as a pass whose
 * ops are not recorded takes longer; and so do ranks of one machine, where sending takes the cores that compute. */
static int64_t bucket_bytes(const struct trainer *trainer, const struct comm *comm)
{
    const double between_machines = 4, given = trainer->experiment->backend.exchange_bucket_mb;
    if (given == 0 && (trainer->backend->table->copy_to_host || comm_is_local(comm))) return 0;
    return (int64_t)((given > 0 ? given : between_machines) * 0x1p20);
}

/* With several ranks each has the part of the parameters that it updates. */
static void create_optimizer(struct trainer *trainer, struct comm *comm)
{
    const struct experiment *experiment = trainer->experiment;
    const struct optimizer_settings settings = optimizer_from_experiment(experiment);
    if (!comm) {
        optimizer_create(&trainer->optimizer, &settings, trainer->network);
        return;
    }
    struct optimizer_cut cut = optimizer_cut(&settings, trainer->network, comm->size, bucket_bytes(trainer, comm));
    ranks_create(&trainer->ranks, comm, trainer->network, experiment->train.slices, cut);
    trainer->ranks.whole_gradient = experiment->train.clip_norm > 0 || experiment->report.histograms;
    optimizer_create_part(&trainer->optimizer, &settings, trainer->network, &cut, comm->rank);
}

bool trainer_create(struct trainer *trainer, const struct experiment *experiment, const struct dataset *dataset,
                    struct backend *backend, struct comm *comm, struct status *status)
{
    int64_t count = dataset->train.count, batch_size = experiment->train.batch_size;
    CHECK(count > 0 && count <= INT32_MAX);
    *trainer = (struct trainer){.experiment = experiment, .dataset = dataset, .backend = backend, .epoch = -1};
    if (!trainer_check_dataset(experiment, dataset, status)) return false;
    trainer->batches_per_epoch = count / batch_size;
    trainer->augment = augment_from_experiment(experiment, trainer->batches_per_epoch);
    if (!build_network(trainer, status)) return false;
    int64_t before = backend->allocated;
    trainer->schedule = schedule_from_experiment(experiment);
    create_optimizer(trainer, comm);
    ema_create(&trainer->ema, experiment->train.ema_decay, trainer->network);
    trainer->optimizer_bytes = backend->allocated - before;
    upload_set(trainer, &trainer->train_set, "train set", &dataset->train);
    upload_set(trainer, &trainer->validation_set, "validation set", &dataset->validation);
    upload_set(trainer, &trainer->test_set, "test set", &dataset->test);
    trainer->order = memory_alloc((size_t)count, sizeof *trainer->order);
    trainer->ahead = read_ahead_start(dataset, &dataset->train);
    choose_train_part(trainer);
    int64_t orders = trainer->part_order ? 2 : 1;
    trainer->data_bytes =
        backend->allocated - before - trainer->optimizer_bytes + orders * count * (int64_t)sizeof *trainer->order;
    if (!batch_statistics_check(trainer, status)) return false;
    whitening_compute(trainer->network, dataset);
    write_programs(trainer);
    if (!check_programs(trainer, status)) return false;
    ema_restart(&trainer->ema);
    prepare(trainer);
    trainer->refresh = true;
    network_set_metrics(trainer->network, (struct metrics){0});
    return true;
}

/* Returns the bytes of pixels that are read from a mapped file when they are needed. */
static int64_t count_mapped(const struct dataset *dataset)
{
    const struct image_set *sets[] = {&dataset->train, &dataset->validation, &dataset->test};
    int64_t images = 0;
    for (int i = 0; i < 3; i++)
        if (image_set_is_mapped(dataset, sets[i])) images += sets[i]->count;
    return images * dataset->channels * dataset->height * dataset->width;
}

void trainer_print_memory(const struct trainer *trainer, FILE *out)
{
    const struct network_memory *network = &trainer->network->memory;
    const struct {
        const char *name;
        int64_t bytes;
    } parts[] = {{"parameters", network->parameters},     {"gradients", network->gradients},
                 {"optimizer", trainer->optimizer_bytes}, {"activations and their gradients", network->work},
                 {"scratch", network->scratch},           {"data", trainer->data_bytes}};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) total += parts[i].bytes;
    fprintf(out, "memory at most %.1f MiB:", (double)total / 0x1p20);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        fprintf(out, "%s %s %.1f", i == 0 ? "" : ",", parts[i].name, (double)parts[i].bytes / 0x1p20);
    int64_t mapped = count_mapped(trainer->dataset);
    if (mapped > 0) fprintf(out, "; %.1f MiB of images in a mapped file", (double)mapped / 0x1p20);
    fputc('\n', out);
}

void trainer_destroy(struct trainer *trainer)
{
    struct backend *backend = trainer->backend;
    if (trainer->network) {
        prepared_free(trainer->train);
        slices_destroy(&trainer->slices);
        ranks_destroy(&trainer->ranks);
        prepared_free(trainer->updating), prepared_free(trainer->averaging);
        program_free(trainer->update), program_free(trainer->average);
        trainer_release_whole(trainer);
        prepared_free(trainer->evaluate);
        program_free(trainer->training.program);
        program_free(trainer->evaluation.program);
        backend->table->free(backend, trainer->work);
        tensor_free(backend, &trainer->magnitude);
        optimizer_destroy(&trainer->optimizer);
        ema_destroy(&trainer->ema);
        backend->table->dataset_free(backend, trainer->train_set.data);
        backend->table->dataset_free(backend, trainer->validation_set.data);
        backend->table->dataset_free(backend, trainer->test_set.data);
        network_destroy(trainer->network);
    }
    read_ahead_stop(trainer->ahead);
    free(trainer->class_weights);
    free(trainer->batch_sums);
    free(trainer->order);
    free(trainer->part_order);
    *trainer = (struct trainer){0};
}

static void begin_epoch(struct trainer *trainer, int64_t epoch)
{
    const struct experiment *experiment = trainer->experiment;
    epoch_order(trainer->order, (int32_t)trainer->train_set.count, experiment->data.first_epoch,
                (uint64_t)experiment->experiment.seed, epoch);
    trainer->backend->table->dataset_set_order(trainer->backend, trainer->train_set.data, trainer->order);
    read_ahead_follow(trainer->ahead, trainer->order);
    trainer->epoch = epoch;
}

/* Moves to the next step: its batch, its draws, its learning rate. */
static struct run_input next_step(struct trainer *trainer)
{
    const struct experiment *experiment = trainer->experiment;
    const struct dataset *dataset = trainer->dataset;
    int64_t epoch = trainer->step / trainer->batches_per_epoch, batch = trainer->step % trainer->batches_per_epoch;
    if (epoch != trainer->epoch) begin_epoch(trainer, epoch);
    struct step_state state = {
        .step = (uint64_t)trainer->step,
        .mix = mix_draw(&trainer->augment, (uint64_t)trainer->step, dataset->height, dataset->width),
        .learning_rate = trainer->learning_rate > 0 ? trainer->learning_rate
                                                    : schedule_learning_rate(&trainer->schedule, trainer->step),
        .batch_first = batch * experiment->train.batch_size};
    read_ahead_move(trainer->ahead, state.batch_first);
    bool refresh = trainer->refresh;
    trainer->step++;
    trainer->refresh = false;
    return (struct run_input){
        .state = state, .n = experiment->train.batch_size, .data = trainer->train_set.data, .refresh = refresh};
}

void trainer_take_step(struct trainer *trainer, const struct step_watch *watch)
{
    struct run_input input = next_step(trainer);
    if (!trainer->train)
        trainer_run_slices(trainer, &input, watch);
    else if (watch)
        prepared_watch(trainer->train, &input, watch->op_done, watch->argument);
    else
        prepared_run(trainer->train, &input);
}

void trainer_step(struct trainer *trainer)
{
    if (trainer_lead_step(trainer)) trainer_take_step(trainer, NULL);
}

void trainer_watch_step(struct trainer *trainer, const struct step_watch *watch)
{
    if (trainer_lead_step(trainer)) trainer_take_step(trainer, watch);
}
