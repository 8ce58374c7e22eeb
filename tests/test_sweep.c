/* Tests a [sweep] section: alternatives, products, the list of trials, and refused sections. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../src/sweep/sweep_folder.h"
#include "config_support.h"
#include "sweep/sweep.h"

TestSuite(sweep, .init = enter_folder, .fini = leave_folder);

/* These are lines 1 to 4; a test goes on with line 5. */
#define HEAD "[data]\ndataset = synthetic\nvalidation_size = 100\n[sweep]\n"

static bool load_sweep(struct sweep *sweep, const char *text, const char *const *overrides, int count,
                       struct status *status)
{
    support_file_write("x.ini", text, strlen(text));
    struct experiment_override *parts = cut_overrides(overrides, count, status);
    bool good = parts && sweep_load(sweep, "x.ini", parts, count, status);
    experiment_overrides_free(parts, parts ? count : 0);
    return good;
}

static struct sweep sweep_from(const char *text)
{
    struct sweep sweep;
    struct status status = {0};
    cr_assert(load_sweep(&sweep, text, NULL, 0, &status), "%s", status.message);
    return sweep;
}

static void expect_sweep_failure(const char *text, const char *override, const char *message)
{
    struct sweep sweep;
    struct status status = {0};
    cr_assert_not(load_sweep(&sweep, text, &override, override != NULL, &status), "%s", text);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

/* Expects the values of factor f, with '/' between them. */
static void expect_values(const struct sweep *sweep, int f, const char *expected)
{
    char text[32768] = "";
    for (int v = 0; v < sweep->factors[f].value_count; v++) {
        strcat(text, v ? "/" : "");
        strcat(text, sweep->factors[f].values[v]);
    }
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
}

static void expect_alternatives(const char *key, const char *alternatives, const char *expected)
{
    const char *kind = strcmp(key, "model.features") == 0 ? "[model]\nkind = convnet\n" : "";
    char *text = memory_format("%s" HEAD "%s = %s\n", kind, key, alternatives);
    struct sweep sweep = sweep_from(text);
    expect_values(&sweep, 0, expected);
    sweep_free(&sweep);
    free(text);
}

/* --- alternatives --- */

Test(sweep, alternatives_are_written_out_as_the_key_writes_them)
{
    expect_alternatives("optimizer.learning_rate", "1e-7|0.00001 |  1.50", "1e-7/1e-5/1.5");
    expect_alternatives("optimizer.name", "adam | sgd", "adam/sgd");
    expect_alternatives("model.hidden", "128 | 256,128", "128/256, 128");
    expect_alternatives("model.hidden", "| 7", "/7");
    expect_alternatives("experiment.seed", "1 | 2", "1/2");
    expect_alternatives("model.block", "batchnorm, activation, dropout | activation,batchnorm,dropout",
                        "batchnorm, activation, dropout/activation, batchnorm, dropout");
    expect_alternatives("optimizer.nesterov", "false", "false");
}

Test(sweep, a_key_may_have_many_alternatives)
{
    char text[32768] = "", expected[32768] = "";
    for (int i = 1; i <= 4000; i++) {
        sprintf(text + strlen(text), "%s%d", i > 1 ? " | " : "", i);
        sprintf(expected + strlen(expected), "%s%d", i > 1 ? "/" : "", i);
    }
    expect_alternatives("experiment.seed", text, expected);
}

Test(sweep, products_are_every_list)
{
    expect_alternatives("model.hidden", "(1 | 2)^2", "1, 1/1, 2/2, 1/2, 2");
    expect_alternatives("model.hidden", "(1|2)^1..2", "1/2/1, 1/1, 2/2, 1/2, 2");
    expect_alternatives("model.hidden", "(5)^0..2 | 9", "/5/5, 5/9");
    expect_alternatives("model.hidden", "3 | ( 1, 2 | 4 )^2", "3/1, 2, 1, 2/1, 2, 4/4, 1, 2/4, 4");
}

/* Parentheses are also those of residual blocks. */
Test(sweep, features_are_values_with_parentheses)
{
    expect_alternatives("model.features", "(16,16)+|16, (16, 16)+ x3 , G | (8)+x2, 8",
                        "(16, 16)+/16, (16, 16)+ x3, G/(8)+ x2, 8");
    expect_alternatives("model.features", "(16 | M)^1..2", "16/M/16, 16/16, M/M, 16/M, M");
    expect_alternatives("model.features", "8 | ((8, 8)+ x2 | (8)+, M)^1..2",
                        "8/(8, 8)+ x2/(8)+, M/(8, 8)+ x2, (8, 8)+ x2/(8, 8)+ x2, (8)+, M/(8)+, M, (8, 8)+ x2/(8)+, M, "
                        "(8)+, M");
}

static void expect_trial(const struct sweep *sweep, int32_t trial, const char *hidden, double learning_rate,
                         int64_t batch_size, enum optimizer_kind optimizer)
{
    struct experiment experiment;
    struct status status = {0};
    cr_assert(sweep_trial(sweep, trial, &experiment, &status), "%s", status.message);
    cr_expect_str_eq(sweep_value(sweep, trial, 0), hidden, "trial %d: %s", trial, sweep_value(sweep, trial, 0));
    cr_expect_eq(experiment.optimizer.learning_rate, learning_rate);
    cr_expect_eq(experiment.train.batch_size, batch_size);
    cr_expect_eq(experiment.optimizer.name, optimizer);
    cr_expect_eq(experiment.train.max_steps, 1500);
    cr_expect_eq(experiment.model.batchnorm, BATCHNORM_NONE);
    cr_expect_eq(experiment.model.dropout, 0);
    experiment_free(&experiment);
}

Test(sweep, the_search_of_the_report_has_its_1512_trials)
{
    char *path = support_path(CONFIG_FOLDER, "sweep_mlp.ini");
    struct sweep sweep;
    struct status status = {0};
    cr_assert(sweep_load(&sweep, path, NULL, 0, &status), "%s", status.message);
    cr_assert_eq(sweep.grid_size, 1512);
    cr_assert_eq(sweep.trial_count, 1512);
    cr_expect_eq(sweep.factors[0].value_count, 84);
    cr_expect_str_eq(sweep.name, "sweep_mlp");
    expect_trial(&sweep, 0, "128", 1e-7, 128, OPTIMIZER_ADAM);
    expect_trial(&sweep, 1, "128", 1e-7, 128, OPTIMIZER_SGD);
    expect_trial(&sweep, 2, "128", 1e-7, 256, OPTIMIZER_ADAM);
    expect_trial(&sweep, 18 * 4, "128, 128", 1e-7, 128, OPTIMIZER_ADAM);
    expect_trial(&sweep, 1511, "512, 512, 512", 1e-5, 384, OPTIMIZER_SGD);
    for (int32_t i = 0; i < 1512; i++) cr_assert_eq(sweep.order[i], i);
    sweep_free(&sweep);
    free(path);
}

Test(sweep, a_trial_may_need_defaults_that_depend_on_its_values)
{
    struct sweep sweep = sweep_from(HEAD "model.activation = relu | elu | leaky_relu\n");
    const double slopes[] = {0, 1, 0.01};
    for (int32_t trial = 0; trial < 3; trial++) {
        struct experiment experiment;
        struct status status = {0};
        cr_assert(sweep_trial(&sweep, trial, &experiment, &status), "%s", status.message);
        cr_expect_eq(experiment.model.activation_slope, slopes[trial]);
        experiment_free(&experiment);
    }
    sweep_free(&sweep);
}

/* --- order and limit --- */

static struct sweep random_sweep(const char *seed, const char *limit)
{
    char *text = memory_format("[experiment]\nseed = %s\n" HEAD "optimizer.learning_rate = 1 | 2 | 3 | 4 | 5 | 6 | 7\n"
                               "model.hidden = (1 | 2 | 3)^1..3\norder = random\nlimit = %s\n",
                               seed, limit);
    struct sweep sweep = sweep_from(text);
    free(text);
    return sweep;
}

Test(sweep, random_order_is_a_permutation_that_the_seed_repeats)
{
    struct sweep a = random_sweep("1", "0"), b = random_sweep("1", "0"), other = random_sweep("2", "0");
    enum { TRIALS = 7 * 39 };
    bool seen[TRIALS] = {false};
    int moved = 0;
    cr_assert_eq(a.trial_count, TRIALS);
    for (int i = 0; i < TRIALS; i++) {
        cr_assert(a.order[i] >= 0 && a.order[i] < TRIALS && !seen[a.order[i]]);
        seen[a.order[i]] = true;
        moved += a.order[i] != i;
    }
    cr_expect_gt(moved, TRIALS / 2);
    cr_expect_arr_eq(a.order, b.order, TRIALS * sizeof *a.order);
    cr_expect_arr_neq(a.order, other.order, TRIALS * sizeof *a.order);
    sweep_free(&a), sweep_free(&b), sweep_free(&other);
}

Test(sweep, a_limit_takes_the_first_trials_of_the_order)
{
    struct sweep all = random_sweep("1", "0"), some = random_sweep("1", "5"), more = random_sweep("1", "100000");
    cr_expect_eq(some.trial_count, 5);
    cr_expect_eq(some.grid_size, 7 * 39);
    cr_expect_eq(more.trial_count, 7 * 39);
    cr_expect_arr_eq(all.order, some.order, 5 * sizeof *all.order);
    sweep_free(&all), sweep_free(&some), sweep_free(&more);
}

Test(sweep, rungs_multiply_their_steps_up_to_the_last)
{
    struct sweep sweep = sweep_from(HEAD "optimizer.learning_rate = 1 | 2\nhalving = on\neta = 3\nrungs = 4\n");
    cr_expect_eq(sweep_rung_count(&sweep), 4);
    const int64_t steps[] = {55, 166, 500, 1500};
    for (int rung = 1; rung <= 4; rung++) cr_expect_eq(sweep_rung_steps(&sweep, 1500, rung), steps[rung - 1]);
    sweep_free(&sweep);
    sweep = sweep_from(HEAD "optimizer.learning_rate = 1 | 2\n");
    cr_expect_eq(sweep_rung_count(&sweep), 1);
    cr_expect_eq(sweep_rung_steps(&sweep, 1500, 1), 1500);
    sweep_free(&sweep);
}

/* --- --set --- */

Test(sweep, overrides_replace_and_add)
{
    const char *const overrides[] = {"sweep.optimizer.learning_rate = 5 | 6 | 7", "sweep.jobs=3", "train.batch_size=17",
                                     "sweep.model.hidden=(1|2)^2"};
    struct sweep sweep;
    struct status status = {0};
    const char text[] = HEAD "optimizer.learning_rate = 1 | 2\noptimizer.name = sgd | adam\njobs = 2\n";
    cr_assert(load_sweep(&sweep, text, overrides, 4, &status), "%s", status.message);
    cr_assert_eq(sweep.factor_count, 3);
    expect_values(&sweep, 0, "5/6/7");
    expect_values(&sweep, 1, "sgd/adam");
    expect_values(&sweep, 2, "1, 1/1, 2/2, 1/2, 2");
    cr_expect_eq(sweep.settings.jobs, 3);
    cr_expect_eq(sweep.base.train.batch_size, 17);
    sweep_free(&sweep);
}

/* --- sweep.ini --- */

Test(sweep, what_is_written_is_read_back)
{
    const char *const configs[] = {
        HEAD
        "model.hidden = (3 | 4)^0..2 | 7\nmodel.activation = elu | relu\nhalving = on\nrungs = 2\norder = random\n",
        "[experiment]\nname = other\n[data]\ndataset = synthetic\n[model]\nkind = convnet\nfeatures = 4, M\n"
        "[sweep]\nrank_by = test\noptimizer.learning_rate = 1e-3 | 1e-4\nlimit = 1\n"};
    for (int i = 0; i < 2; i++) {
        struct sweep sweep = sweep_from(configs[i]), again;
        struct status status = {0};
        struct experiment a, b;
        FILE *file = fopen("sweep.ini", "w");
        sweep_write(&sweep, file);
        fclose(file);
        cr_assert(sweep_load(&again, "sweep.ini", NULL, 0, &status), "%s", status.message);
        cr_expect_str_eq(again.name, sweep.name);
        cr_expect_eq(memcmp(&again.settings, &sweep.settings, sizeof sweep.settings), 0);
        cr_assert_eq(again.grid_size, sweep.grid_size);
        cr_assert_eq(again.factor_count, sweep.factor_count);
        for (int32_t t = 0; t < sweep.grid_size; t++) {
            cr_assert(sweep_trial(&sweep, t, &a, &status) && sweep_trial(&again, t, &b, &status));
            cr_expect_eq(memcmp(&a, &b, offsetof(struct experiment, origins)), 0, "trial %d", t);
            experiment_free(&a), experiment_free(&b);
        }
        sweep_free(&sweep), sweep_free(&again);
    }
}

/* --- what is refused --- */

Test(sweep, bad_values_name_line_key_and_alternative)
{
    expect_sweep_failure(HEAD "optimizer.learning_rate = 1e-3 | x | 2\n", NULL,
                         "x.ini:5: sweep.optimizer.learning_rate: alternative 2: expected a number above 0 up to 1000, "
                         "found \"x\"");
    expect_sweep_failure(HEAD "optimizer.learning_rate = 1e-3 |\n", NULL,
                         "x.ini:5: sweep.optimizer.learning_rate: alternative 2: expected a number above 0 up to 1000, "
                         "found \"\"");
    expect_sweep_failure(HEAD "# comment\nmodel.hidden = 128 | 128, 0\n", NULL,
                         "x.ini:6: sweep.model.hidden: alternative 2: entry 2: expected an integer from 1 to 65536, "
                         "found \"0\"");
    expect_sweep_failure(
        HEAD "optimizer.name = adam | rmsprop\n", NULL,
        "x.ini:5: sweep.optimizer.name: alternative 2: expected one of sgd, adam, adamw, lion, muon, found "
        "\"rmsprop\"");
    expect_sweep_failure(HEAD "model.hidden = 128 | 5 | 128\n", NULL,
                         "x.ini:5: sweep.model.hidden: alternative 3: \"128\" is there twice");
    expect_sweep_failure(HEAD "optimizer.learning_rate = 0.1 | 1e-1\n", NULL,
                         "x.ini:5: sweep.optimizer.learning_rate: alternative 2: \"0.1\" is there twice");
    expect_sweep_failure(HEAD "jobs = many\n", NULL,
                         "x.ini:5: sweep.jobs: expected an integer from 0 to 1024, found \"many\"");
    expect_sweep_failure(HEAD "order = sorted\n", NULL,
                         "x.ini:5: sweep.order: expected one of grid, random, found \"sorted\"");
    expect_sweep_failure(HEAD "optimizer.learning_rate = 1\n", "sweep.optimizer.learning_rate=-1",
                         "--set sweep.optimizer.learning_rate: alternative 1: expected a number above 0 up to 1000, "
                         "found \"-1\"");
}

Test(sweep, bad_products)
{
    const char *const products[] = {"(1 | 2)",       "(1 | 2)^",      "(1 | 2)^x",   "(1 | 2)^3..2", "(1 | 2)^1..",
                                    "(1 | 2)^1..17", "(1 | 2",        "(1 | 2)^2 3", "((1 | 2))^2",  "(1)^2, 5",
                                    "(1 | 2)^-1",    "(1 | 2)^1...2", "(1)^111",     "(1|2)^1..2..3"};
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        char *text = memory_format(HEAD "model.hidden = 7 | %s\n", products[i]);
        char *message = memory_format("x.ini:5: sweep.model.hidden: alternative 2: expected a product like (128 | "
                                      "256)^2 or (128 | 256)^1..3, with powers up to 16, found \"%s\"",
                                      products[i]);
        expect_sweep_failure(text, NULL, message);
        free(text), free(message);
    }
    expect_sweep_failure(HEAD "optimizer.name = (adam | sgd)^1\n", NULL,
                         "x.ini:5: sweep.optimizer.name: alternative 1: products are for keys that take lists, like "
                         "model.hidden");
    expect_sweep_failure(HEAD "model.hidden = (1 | 2)^13\n", NULL,
                         "x.ini:5: sweep.model.hidden: expected at most 4096 alternatives");
    const char *const of_features[] = {"(16, M | 8)", "((8, 8)+ | M", "(8, 8)+^2", "((8)+ | M)^2, 8"};
    for (size_t i = 0; i < sizeof of_features / sizeof *of_features; i++) {
        char *text = memory_format(HEAD "model.features = %s\n", of_features[i]);
        char *message = memory_format("x.ini:5: sweep.model.features: alternative 1: expected a product like (128 | "
                                      "256)^2 or (128 | 256)^1..3, with powers up to 16, found \"%s\"",
                                      of_features[i]);
        expect_sweep_failure(text, NULL, message);
        free(text), free(message);
    }
    expect_sweep_failure(HEAD "model.features = 8 | (8, M)+\n", NULL,
                         "x.ini:5: sweep.model.features: alternative 2: entry 1: expected convolutions like 64 or "
                         "64k5s2p2, and S16 behind them, in a residual block, found \"M\"");
    expect_sweep_failure(HEAD "model.hidden = 1)^2\n", NULL,
                         "x.ini:5: sweep.model.hidden: alternative 1: entry 1: expected an integer from 1 to 65536, "
                         "found \"1)^2\"");
}

Test(sweep, unknown_keys_get_the_nearest)
{
    expect_sweep_failure(HEAD "job = 1\n", NULL, "x.ini:5: sweep.job: unknown key; did you mean sweep.jobs?");
    expect_sweep_failure(HEAD "learning_rate = 1\n", NULL,
                         "x.ini:5: sweep.learning_rate: unknown key; did you mean sweep.optimizer.learning_rate?");
    expect_sweep_failure(HEAD "optimizer.learning_rat = 1\n", NULL,
                         "x.ini:5: sweep.optimizer.learning_rat: unknown key; did you mean optimizer.learning_rate?");
    expect_sweep_failure(HEAD "colour = red\n", NULL,
                         "x.ini:5: sweep.colour: unknown key; [sweep] has order, rank_by, limit, jobs, halving, eta, "
                         "rungs, and keys of the experiment, like optimizer.learning_rate");
    expect_sweep_failure(HEAD "optimizer.learning_rate = 1\n", "sweep.limits=1",
                         "--set sweep.limits: unknown key; did you mean sweep.limit?");
}

Test(sweep, keys_that_cannot_vary)
{
    const char *const keys[] = {"data.path", "data.validation_size", "backend.threads", "experiment.name"};
    for (int i = 0; i < 4; i++) {
        char *text = memory_format(HEAD "%s = 1 | 2\n", keys[i]);
        char *message =
            memory_format("x.ini:5: sweep.%s: cannot vary from trial to trial; these can: experiment.seed, "
                          "[model] but init_from and init_names, [optimizer], [schedule], [train] but eval_train",
                          keys[i]);
        expect_sweep_failure(text, NULL, message);
        free(text), free(message);
    }
}

/* The set that ranks trials is the one by which each finds its best evaluation. */
Test(sweep, best_by_goes_with_rank_by)
{
    expect_sweep_failure("[checkpoint]\nbest_by = test\n" HEAD "optimizer.learning_rate = 1\n",
                         "data.validation_size=100",
                         "x.ini:2: checkpoint.best_by: expected auto or the set of sweep.rank_by, which is validation");
}

Test(sweep, keys_that_contradict_each_other)
{
    const char missing[] = "x.ini: expected a [sweep] section with at least one key to vary, like "
                           "optimizer.learning_rate = 1e-4 | 1e-3";
    expect_sweep_failure("[data]\ndataset = synthetic\n", NULL, missing);
    expect_sweep_failure(HEAD "jobs = 2\n", NULL, missing);
    expect_sweep_failure("[optimizer]\nname = adam\n[sweep]\noptimizer.name = sgd\nrank_by = test\n", NULL,
                         "x.ini:4: sweep.optimizer.name: the key is also set in line 2; expected it once");
    expect_sweep_failure(HEAD "optimizer.name = sgd\n", "optimizer.name=adam",
                         "--set optimizer.name: [sweep] varies this key; expected --set sweep.optimizer.name=...");
    expect_sweep_failure("[sweep]\noptimizer.name = sgd\n", NULL,
                         "x.ini: sweep.rank_by (default): validation needs samples that are held out, "
                         "data.validation_size above 0; or rank by test");
    expect_sweep_failure("[backend]\nthreads = 2\n" HEAD "optimizer.name = sgd\n", NULL,
                         "x.ini:2: backend.threads: expected nothing, as each trial of a sweep runs on one thread; see "
                         "sweep.jobs");
    expect_sweep_failure(HEAD "train.max_steps = 10 | 20\nhalving = on\n", NULL,
                         "x.ini:6: sweep.halving: expected off, as train.max_steps varies");
    expect_sweep_failure(
        "[train]\nmax_steps = 8\n" HEAD "optimizer.name = sgd\nhalving = on\n", NULL,
        "x.ini: sweep.rungs (default): the first of 3 rungs has less than one step: train.max_steps is "
        "8, sweep.eta 3");
    expect_sweep_failure(
        HEAD "optimizer.name = sgd | adam\noptimizer.momentum = 0 | 0.5\n", NULL,
        "x.ini:6: optimizer.momentum: expected 0, the default, as optimizer.name is adam, which has no "
        "momentum (trial 4: optimizer.name = adam; optimizer.momentum = 0.5)");
    expect_sweep_failure(HEAD "model.hidden = (1|2|3|4|5|6|7|8)^1..3\nexperiment.seed = (1)\n", NULL,
                         "x.ini:6: sweep.experiment.seed: alternative 1: products are for keys that take lists, like "
                         "model.hidden");
    expect_sweep_failure(HEAD "model.hidden = (1|2|3|4|5|6|7|8)^1..3\nmodel.features = (1|2|3|4|5|6|7|8)^4\n", NULL,
                         "x.ini: [sweep] has more than the 1000000 combinations that are possible");
}

Test(sweep, a_single_run_refuses_the_section)
{
    expect_failure(HEAD "optimizer.learning_rate = 1 | 2\n",
                   "x.ini:4: section [sweep] describes a search over many trials; run it with: trainer sweep x.ini");
    struct experiment experiment;
    struct status status = {0};
    const char *override = "sweep.jobs=1";
    support_file_write("x.ini", "", 0);
    cr_assert_not(load_with(&experiment, "x.ini", &override, 1, &status));
    cr_expect_str_eq(status.message, "--set sweep.jobs: only for `trainer sweep`");
}

Test(sweep, the_help_shows_every_key)
{
    FILE *file = fopen("keys.txt", "w");
    sweep_print_defaults(file);
    fclose(file);
    char *help = support_file_read("keys.txt", NULL);
    const char *const parts[] = {"\n# [sweep]\n", "\n# order =", "\n# rank_by =", "\n# limit =",     "\n# jobs =",
                                 "\n# halving =", "\n# eta =",   "\n# rungs =",   "(128 | 256)^1..3"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(help, parts[i]), "%s", parts[i]);
    free(help);
}
