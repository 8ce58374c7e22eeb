/* Tests which keys may have another value when a run goes on: the rule in each key's row. */
#include <criterion/criterion.h>

#include "run_support.h"
#include "train/run_resume.h"

TestSuite(resume_keys, .init = enter_without_gnuplot, .fini = leave_folder);

/* 6 steps, 3 an epoch, and a checkpoint after each. */
#define RUN                                                                                                            \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\n[train]\nmax_steps = 6\nbatch_size = 16\neval_freq = 6\n[backend]\ndevice = cpu\n"            \
    "[checkpoint]\nfreq = 1\nkeep = 100\n[schedule]\nname = "

/* Gives the key's field another value that the key takes. */
static void set_other(const struct experiment_key *key, struct experiment *experiment)
{
    static const char *const texts[] = {"1", "2", "0.5", "true", "false", "x", "7k3", "dropout, activation, batchnorm"};
    char before[VALUE_TEXT_SIZE], now[VALUE_TEXT_SIZE];
    struct status problem;
    experiment_value_format(key, experiment, before, sizeof before);
    const char *const *candidates = key->choices ? key->choices : texts;
    size_t count = sizeof texts / sizeof *texts;
    for (size_t i = 0; key->choices ? candidates[i] != NULL : i < count; i++) {
        if (!experiment_value_parse(key, candidates[i], experiment, &problem)) continue;
        experiment_value_format(key, experiment, now, sizeof now);
        if (strcmp(before, now) != 0) return;
    }
    cr_assert_fail("%s.%s: no other value", key->section, key->name);
}

static struct experiment load_run(const char *schedule)
{
    char *text = memory_format(RUN "%s\n", schedule);
    struct experiment experiment;
    struct status status = {0};
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    free(text);
    return experiment;
}

static void make_run(const char *schedule, const char *folder)
{
    struct experiment experiment = load_run(schedule);
    struct status status = {0};
    cr_assert(train_run(&experiment, folder, TRAIN_NEW, NULL, NULL, NULL, &status), "%s", status.message);
    experiment_free(&experiment);
}

/* Tells whether the run in the folder may go on as `here`. A refusal must name the key. */
static bool goes_on(const char *folder, const struct experiment *here, const struct experiment_key *key)
{
    struct checkpoint checkpoint;
    struct status status = {0};
    bool good = run_resume_open(&checkpoint, folder, here, &status);
    char *name = memory_format("%s.%s", key->section, key->name);
    if (!good) cr_expect(strstr(status.message, name), "%s: %s", name, status.message);
    if (good) checkpoint_free(&checkpoint);
    free(name);
    return good;
}

/* Tells whether the run may go on where the one key differs, and the format of its data where `packed`. */
static bool may_differ(const char *folder, const char *schedule, const struct experiment_key *key, bool packed)
{
    struct experiment here = load_run(schedule);
    if (packed) here.data.dataset = DATASET_PACK;
    set_other(key, &here);
    bool good = goes_on(folder, &here, key);
    experiment_free(&here);
    return good;
}

static bool is(const struct experiment_key *key, const char *section, const char *name)
{
    return strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0;
}

/* True where the run may go on with another value. A key that its optimizer does not read has no effect. */
static bool is_free(const struct experiment_key *key)
{
    bool unread = strcmp(key->section, "optimizer") == 0 && !optimizer_reads(OPTIMIZER_SGD, key->name);
    return unread || key->resume != KEY_RESUME_KEPT;
}

Test(resume_keys, each_key_may_differ_by_its_rule)
{
    make_run("constant", "run");
    for (int k = 0; k < experiment_key_count; k++) {
        const struct experiment_key *key = &experiment_keys[k];
        if (is(key, "data", "dataset") || is(key, "train", "max_steps")) continue; /* below */
        bool packed = key->resume == KEY_RESUME_PACKED;
        cr_expect_eq(may_differ("run", "constant", key, packed), is_free(key), "%s.%s", key->section, key->name);
        if (packed) cr_expect_not(may_differ("run", "constant", key, false), "%s.%s", key->section, key->name);
    }
}

static const struct experiment_key *find(const char *section, const char *name)
{
    return &experiment_keys[experiment_key_find(section, name)];
}

Test(resume_keys, the_format_may_become_or_have_been_a_packed_one)
{
    make_run("constant", "run");
    struct experiment here = load_run("constant");
    here.data.dataset = DATASET_PACK;
    cr_expect(goes_on("run", &here, find("data", "dataset")));
    here.data.dataset = DATASET_NPZ;
    cr_expect_not(goes_on("run", &here, find("data", "dataset")));
    experiment_free(&here);
}

Test(resume_keys, the_length_may_differ_where_no_schedule_ends)
{
    static const char *const schedules[] = {"constant", "step", "cosine", "linear"};
    for (int i = 0; i < 4; i++) {
        make_run(schedules[i], schedules[i]);
        struct experiment here = load_run(schedules[i]);
        here.train.epochs = 2; /* gives the same 6 steps */
        cr_expect(goes_on(schedules[i], &here, find("train", "epochs")), "%s", schedules[i]);
        here.train.epochs = 0, here.train.max_steps = 9;
        cr_expect_eq(goes_on(schedules[i], &here, find("train", "max_steps")), i < 2, "%s", schedules[i]);
        experiment_free(&here);
    }
}

Test(resume_keys, the_order_of_the_first_epoch_may_differ_after_it)
{
    make_run("constant", "run");
    const struct experiment_key *key = find("data", "first_epoch");
    for (int step = 6; step >= 1; step--) {
        cr_expect_eq(may_differ("run", "constant", key, false), step >= 3, "step %d", step);
        char *last = memory_format("run/checkpoints/step_%08d.safetensors", step);
        cr_assert_eq(unlink(last), 0, "%s", last);
        free(last);
    }
}

/* A wrong rule in a row lets a run go on as another one, so the lists are here once more. */
Test(resume_keys, the_lists_are_known)
{
    char *resume = experiment_keys_list_resume(experiment_keys, experiment_key_count);
    char *sweep = experiment_keys_list_sweep();
    cr_expect_str_eq(
        sweep,
        "experiment.seed, [model] but init_from and init_names, [optimizer], [schedule], [train] but eval_train");
    static const char *const lists[] = {
        "experiment.name, data.path, data.class_names, data.max_skipped, data.cache, model.init_from, model.init_names, train.patience, [checkpoint] but "
        "best_by, [report], backend.threads, backend.graph, backend.streams, backend.exchange, backend.exchange_timeout, "
        "backend.exchange_bucket_mb: Every step is the same with another value.\n\n",
        "\n\nbackend.device, backend.cpu_isa, backend.winograd, backend.fuse, backend.deterministic, "
        "backend.workspace_mb: Another device",
        "\n\ntrain.max_steps, train.epochs: They may differ with the schedules constant and step",
        "\n\ndata.dataset, data.classes, data.first_label, data.labels, data.transpose, data.image_size, "
        "data.channels, data.test_size, data.images: They may differ where data.dataset is pack",
        "\n\ndata.first_epoch: It may differ after the first epoch"};
    for (int i = 0; i < 5; i++) cr_expect(strstr(resume, lists[i]), "%s\nis not in\n%s", lists[i], resume);
    free(resume), free(sweep);
}

static bool is_chosen(const struct experiment_key *key, int letter)
{
    return strchr(key->name, letter) != NULL;
}

Test(resume_keys, a_section_stands_for_its_keys_where_few_are_left_out)
{
    static const struct experiment_key keys[] = {
        {.section = "one", .name = "a"},   {.section = "one", .name = "ab"},   {.section = "two", .name = "b"},
        {.section = "two", .name = "abc"}, {.section = "three", .name = "a"},  {.section = "three", .name = "ab"},
        {.section = "three", .name = "c"}, {.section = "three", .name = "ac"},
    };
    static const struct {
        int letter;
        const char *list;
    } cases[] = {{'a', "[one], two.abc, [three] but c"},
                 {'b', "one.ab, [two], three.ab"},
                 {'c', "two.abc, three.c, three.ac"},
                 {'d', ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *list = experiment_keys_list(keys, sizeof keys / sizeof *keys, is_chosen, cases[i].letter);
        cr_expect_str_eq(list, cases[i].list, "%c: %s", cases[i].letter, list);
        free(list);
    }
}
