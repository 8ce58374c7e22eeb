/* Tests weights from other programs. Each tensor, under any name and dtype, finds its place in the network, or the file
 * is refused with a line that names the tensor. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "predict/predictor.h"
#include "program_support.h"
#include "session_support.h"

static char *folder;
static struct safetensors_file own; /* the network that is imported, as the trainer exports it */

/* Layers 0 and 4 are convolutions, 1, 5 and 9 batch normalizations, 8 and 11 linear layers. Layers of a kind have the
 * same shapes, so a shape alone does not show a tensor's place. */
static const char config[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 40\nsynthetic_test = 20\nsynthetic_classes = 3\nsynthetic_size = 4\n"
    "normalization = channel\n[model]\nkind = convnet\nfeatures = 3, M2, 3, M2\nhidden = 3\nbatchnorm = custom\n"
    "activation = relu\n[train]\nbatch_size = 8\nmax_steps = 3\n[backend]\ndevice = cpu\nthreads = 1\n";

static void enter(void)
{
    struct status status = {0};
    folder = support_folder();
    cr_assert(chdir(folder) == 0);
    support_file_write("c.ini", config, strlen(config));
    program_expect(program_run("c.ini", "--out", "run", "--quiet", NULL), 0, "", "");
    program_expect(program_run("export", "run", "-f", "safetensors", "-o", "own", NULL), 0, "own\n", "");
    cr_assert(safetensors_read(&own, "own", SAFETENSORS_DIGEST_OPTIONAL, &status), "%s", status.message);
}

static void leave(void)
{
    safetensors_free(&own);
    support_folder_remove(folder);
}

TestSuite(import, .init = enter, .fini = leave);

/* --- files of other programs --- */

enum { TENSORS_MAX = 64 };

struct foreign {
    struct safetensors_tensor tensors[TENSORS_MAX];
    int count;
};

static void add(struct foreign *foreign, const char *name, const struct safetensors_tensor *tensor)
{
    foreign->tensors[foreign->count] = *tensor;
    foreign->tensors[foreign->count++].name = name;
}

/* Names the tensors of layers "<prefix><i + shift><.leaf>", where shift counts for layers from `first` on. */
static struct foreign renamed(const char *prefix, int first, int shift)
{
    struct foreign foreign = {.count = 0};
    for (int i = 0; i < own.tensor_count; i++) {
        int layer, end;
        if (sscanf(own.tensors[i].name, "layers.%d%n", &layer, &end) != 1) continue;
        if (layer >= first) layer += shift;
        add(&foreign, memory_format("%s%d%s", prefix, layer, own.tensors[i].name + end), &own.tensors[i]);
    }
    return foreign;
}

static void foreign_write(struct foreign *foreign, const char *path)
{
    struct status status = {0};
    cr_assert(safetensors_write(path, foreign->tensors, foreign->count, NULL, 0, &status), "%s", status.message);
}

/* Imports the file into a run. Checks that the import prints `error` on the standard error and that the run exports the
 * same weights. */
static void expect_same_network(struct foreign *foreign, const char *error)
{
    foreign_write(foreign, "w");
    static int count;
    char *run = memory_format("imported-%d", count++);
    struct program_result result = program_run("import", "c.ini", "w", "-o", run, NULL);
    cr_assert_eq(result.code, 0, "%s", result.error);
    cr_expect_str_eq(result.error, error, "\"%s\", not \"%s\"", result.error, error);
    free(result.out), free(result.error);
    program_expect(program_run("export", run, "-f", "safetensors", "-o", "again", NULL), 0, "again\n", "");
    struct safetensors_file again;
    struct status status = {0};
    cr_assert(safetensors_read(&again, "again", SAFETENSORS_DIGEST_OPTIONAL, &status), "%s", status.message);
    cr_assert_eq(again.tensor_count, own.tensor_count);
    for (int i = 0; i < own.tensor_count; i++) {
        const struct safetensors_tensor *found = safetensors_find(&again, own.tensors[i].name);
        cr_assert(found, "%s", own.tensors[i].name);
        cr_expect_eq(memcmp(found->data, own.tensors[i].data, (size_t)found->count * sizeof(float)), 0, "%s",
                     found->name);
    }
    safetensors_free(&again);
    free(run);
}

static void expect_refusal(struct foreign *foreign, const char *error)
{
    foreign_write(foreign, "w");
    char *line = memory_format("trainer: w: %s\n", error);
    program_expect(program_run("import", "c.ini", "w", "-o", "imported", NULL), 1, "", line);
    cr_expect_neq(access("imported", F_OK), 0);
    free(line);
}

Test(import, takes_the_names_of_wrappers)
{
    const char *const prefixes[] = {
        "layers.", "", "module.", "_orig_mod.", "module.layers.", "_orig_mod.module.layers.", "model.net."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct foreign foreign = renamed(prefixes[i], 0, 0);
        expect_same_network(&foreign, "");
    }
}

Test(import, takes_normalization_and_counts_under_a_wrapper)
{
    const int64_t batches = 3;
    const struct safetensors_tensor count = {"", SAFETENSORS_I64, 0, {0}, 1, &batches};
    struct foreign foreign = renamed("module.layers.", 0, 0);
    add(&foreign, "module.input.offset", safetensors_find(&own, "input.offset"));
    add(&foreign, "module.input.scale", safetensors_find(&own, "input.scale"));
    add(&foreign, "module.layers.1.num_batches_tracked", &count);
    expect_same_network(&foreign, "");
    /* The import compares the offset under any name. */
    struct safetensors_tensor *offset = &foreign.tensors[foreign.count - 3];
    float *values = memory_alloc((size_t)offset->count, sizeof *values);
    offset->data = values;
    expect_refusal(&foreign, "tensor input.offset: not the normalization of this config's data");
    free(values);
}

Test(import, takes_a_checkpoint_of_its_own)
{
    struct program_result result = program_run("c.ini", "--out", "adam", "--quiet", "-s", "optimizer.name=adam", "-s",
                                               "train.ema_decay=0.9", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
    result = program_run("import", "c.ini", "adam/checkpoints/best.safetensors", "-o", "imported", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    cr_expect_str_eq(result.error, "");
    free(result.out), free(result.error);
}

Test(import, takes_modules_in_their_order_where_the_numbers_differ)
{
    struct foreign flattened = renamed("layers.", 8, 1), nested = renamed("", 0, 0);
    expect_same_network(&flattened,
                        "trainer: w: its modules are numbered otherwise and were taken in their order: tensor "
                        "layers.9.weight is layers.8.weight\n");
    for (int i = 0; i < nested.count; i++) { /* an nn.Sequential of two parts; its 1.11 comes after 1.9 */
        const char *name = nested.tensors[i].name;
        nested.tensors[i].name = memory_format("%d.%s", atoi(name) >= 8, name);
    }
    expect_same_network(&nested, "trainer: w: its modules are numbered otherwise and were taken in their order: tensor "
                                 "0.0.weight is layers.0.weight\n");
}

Test(import, names_tensors_without_a_place)
{
    const float values[10] = {0};
    struct safetensors_tensor extra = {"", SAFETENSORS_F32, 2, {2, 5}, 10, values};
    struct foreign foreign = renamed("layers.", 0, 0);
    add(&foreign, "classifier.weight", &extra);
    expect_refusal(&foreign, "expected the tensors of the network and no others, found also classifier.weight");
    add(&foreign, "layers.12.weight", &extra), add(&foreign, "layers.12.bias", &extra);
    expect_refusal(&foreign, "expected the tensors of the network and no others, found also layers.12.bias, "
                             "layers.12.weight, classifier.weight");
    foreign.count -= 3;
    extra.dtype = SAFETENSORS_I8;
    add(&foreign, "layers.7.mask", &extra), add(&foreign, "ma\nsk", &extra);
    expect_same_network(&foreign,
                        "trainer: w: tensor ma?sk (I8) is passed over: the network has no place for it\n"
                        "trainer: w: tensor layers.7.mask (I8) is passed over: the network has no place for it\n");
    struct foreign shifted = renamed("", 8, 1);
    add(&shifted, "mask", &extra), add(&shifted, "7.seen", &extra);
    expect_same_network(
        &shifted, "trainer: w: tensor mask (I8) is passed over: the network has no place for it\n"
                  "trainer: w: tensor 7.seen (I8) is passed over: the network has no place for it\n"
                  "trainer: w: its modules are numbered otherwise and were taken in their order: tensor 9.weight is "
                  "layers.8.weight\n");
}

Test(import, names_what_is_missing_and_the_nearest)
{
    struct foreign foreign = renamed("layers.", 0, 0);
    for (int i = 0; i < foreign.count; i++)
        if (strcmp(foreign.tensors[i].name, "layers.5.running_var") == 0) foreign.tensors[i].name = "layers.5.var";
    expect_refusal(&foreign, "no tensor layers.5.running_var (3), which the network has; the nearest in the file is "
                             "layers.5.var (3)");
    foreign = renamed("layers.", 8, 1000);
    foreign.count--;
    foreign_write(&foreign, "w");
    struct program_result result = program_run("import", "c.ini", "w", "-o", "imported", NULL);
    cr_expect(result.code == 1 && strstr(result.error, "which the network has; "), "%s", result.error);
    free(result.out), free(result.error);
    foreign = renamed("conv", 0, 0);
    expect_refusal(&foreign, "no tensor layers.0.weight (3,3,3,3), which the network has; the nearest in the file is "
                             "conv0.weight (3,3,3,3)");
    foreign.count = 0;
    expect_refusal(&foreign,
                   "no tensor layers.0.weight (3,3,3,3), which the network has; no other tensor of the file is "
                   "left for it");
}

Test(import, a_shape_is_told_by_the_name_that_the_file_has)
{
    struct foreign foreign = renamed("module.", 8, 1);
    for (int i = 0; i < foreign.count; i++)
        if (strcmp(foreign.tensors[i].name, "module.9.weight") == 0)
            foreign.tensors[i].shape[0] = foreign.tensors[i].count, foreign.tensors[i].shape[1] = 1;
    expect_refusal(&foreign,
                   "tensor module.9.weight, taken for layers.8.weight: expected the shape (3,3), found (9,1)");
}

/* --- dtypes --- */

/* Writes all weights in 16 bits: the upper half of a float is a bfloat16. */
Test(import, converts_halves)
{
    struct foreign foreign = renamed("layers.", 0, 0);
    for (int i = 0; i < foreign.count; i++) {
        struct safetensors_tensor *tensor = &foreign.tensors[i];
        uint16_t *halves = memory_alloc((size_t)tensor->count, sizeof *halves);
        for (int64_t k = 0; k < tensor->count; k++) memcpy(&halves[k], (const char *)tensor->data + 4 * k + 2, 2);
        tensor->data = halves, tensor->dtype = SAFETENSORS_BF16;
    }
    foreign_write(&foreign, "w");
    struct program_result result = program_run("import", "c.ini", "w", "-o", "imported", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
    struct checkpoint checkpoint;
    struct status status = {0};
    cr_assert(checkpoint_open(&checkpoint, "imported", CHECKPOINT_BEST, &status), "%s", status.message);
    for (int i = 0; i < foreign.count; i++) {
        const struct safetensors_tensor *half = &foreign.tensors[i];
        const struct safetensors_tensor *found = safetensors_find(&checkpoint.file, half->name);
        cr_assert(found && found->dtype == SAFETENSORS_F32, "%s", half->name);
        for (int64_t k = 0; k < half->count; k++) {
            const uint16_t expected[2] = {0, ((const uint16_t *)half->data)[k]};
            cr_assert_eq(memcmp((const char *)found->data + 4 * k, expected, 4), 0, "%s", half->name);
        }
    }
    checkpoint_free(&checkpoint);
}

Test(import, refuses_quantized_weights)
{
    const int8_t bytes[81] = {0};
    struct foreign foreign = renamed("layers.", 0, 0);
    for (int i = 0; i < foreign.count; i++)
        if (strcmp(foreign.tensors[i].name, "layers.0.weight") == 0)
            foreign.tensors[i].data = bytes, foreign.tensors[i].dtype = SAFETENSORS_I8;
    expect_refusal(&foreign, "tensor layers.0.weight: expected F32, F64, F16 or BF16, found I8");
}
