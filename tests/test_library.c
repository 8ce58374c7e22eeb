/* Tests the public interface, include/trainer/, against the functions behind it. */
#include <math.h>
#include <pthread.h>
#include <criterion/criterion.h>

#include <trainer/experiment.h>
#include <trainer/predictor.h>
#include <trainer/run.h>
#include <trainer/session.h>
#include <trainer/version.h>

#include "run_support.h"
#include "predict/predictor.h"

TestSuite(library, .init = enter_without_gnuplot, .fini = leave_folder);

/* 50 training samples are three steps of 14 and a rest. */
static const char text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                           "synthetic_classes = 5\nsynthetic_size = 9\nvalidation_size = 7\nnormalization = channel\n"
                           "[augment]\nflip = true\ncrop = 2\n"
                           "[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\nbatchnorm = custom\ndropout = 0.1\n"
                           "[optimizer]\nname = adam\nlearning_rate = 1e-3\n"
                           "[train]\nmax_steps = 10\nbatch_size = 14\neval_freq = 4\nema_decay = 0.9\n"
                           "[checkpoint]\nfreq = 5\n[backend]\ndevice = cpu\nthreads = 2\n";

static struct trainer_experiment *parse(const char *set)
{
    struct trainer_status status;
    struct trainer_experiment *experiment = trainer_experiment_parse(text, "x.ini", &set, set != NULL, &status);
    cr_assert(experiment, "%s", status.message);
    return experiment;
}

static struct trainer_session *create(const char *set)
{
    struct trainer_status status;
    struct trainer_experiment *experiment = parse(set);
    struct trainer_session *session = trainer_session_create(experiment, &status);
    cr_assert(session, "%s", status.message);
    trainer_experiment_free(experiment); /* the session has a copy */
    return session;
}

static struct trainer_run_result run(const char *set, const char *folder, enum trainer_run_start start)
{
    struct trainer_status status;
    struct trainer_run_result result;
    struct trainer_experiment *experiment = parse(set);
    cr_assert(trainer_run(experiment, folder, start, NULL, &result, &status), "%s", status.message);
    cr_expect_eq(status.code, TRAINER_OK);
    cr_expect_str_empty(status.message);
    trainer_experiment_free(experiment);
    return result;
}

static void save(struct trainer_session *session, const char *path)
{
    struct trainer_status status;
    cr_assert(trainer_session_save(session, path, &status), "%s", status.message);
}

static struct trainer_evaluation evaluate(struct trainer_session *session)
{
    struct trainer_status status;
    struct trainer_evaluation evaluation;
    cr_assert(trainer_session_evaluate(session, &evaluation, &status), "%s", status.message);
    return evaluation;
}

static bool same_figures(struct trainer_figures a, struct trainer_figures b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void expect_same_evaluation(struct trainer_evaluation a, struct trainer_evaluation b)
{
    cr_expect_eq(a.step, b.step);
    cr_expect(same_figures(a.train, b.train) && same_figures(a.validation, b.validation) &&
              same_figures(a.test, b.test));
}

/* --- status and version --- */

static void expect_error(const struct trainer_status *status, enum trainer_status_code code, const char *message)
{
    cr_expect_eq(status->code, code);
    cr_expect_str_eq(status->message, message, "\"%s\", not \"%s\"", status->message, message);
}

Test(library, the_version_is_that_of_the_program)
{
    char *numbers = memory_format("%d.%d.%d", TRAINER_VERSION_MAJOR, TRAINER_VERSION_MINOR, TRAINER_VERSION_PATCH);
    cr_expect_str_eq(numbers, TRAINER_VERSION_TEXT);
    cr_expect_str_eq(trainer_version_text(), TRAINER_VERSION_TEXT);
    cr_expect_eq(trainer_version_number(), TRAINER_VERSION_NUMBER);
    free(numbers);
}

Test(library, nothing_may_be_freed_and_no_status_be_given)
{
    trainer_experiment_free(NULL);
    trainer_session_free(NULL);
    trainer_predictor_free(NULL);
    cr_expect_null(trainer_experiment_load("nowhere.ini", NULL, 0, NULL));
    cr_expect_null(trainer_predictor_open("nowhere", NULL, 0, NULL));
    struct trainer_experiment *experiment = parse(NULL);
    const char *set = "train.batch_size=51";
    cr_expect_null(trainer_experiment_get(experiment, "train.nothing", NULL));
    cr_expect_null(trainer_session_resume(experiment, "nowhere", NULL));
    cr_assert(trainer_experiment_set(experiment, &set, 1, NULL));
    cr_expect_null(trainer_session_create(experiment, NULL));
    cr_expect_not(trainer_run(experiment, "run", TRAINER_RUN_NEW, NULL, NULL, NULL));
    trainer_experiment_free(experiment);
}

/* --- experiments --- */

static void expect_value(const struct trainer_experiment *experiment, const char *key, const char *expected)
{
    char *value = trainer_experiment_get(experiment, key, NULL);
    cr_assert_not_null(value, "%s", key);
    cr_expect_str_eq(value, expected, "%s: \"%s\"", key, value);
    free(value);
}

Test(library, an_experiment_from_a_file_is_the_one_from_its_text)
{
    struct trainer_status status;
    support_file_write("x.ini", text, strlen(text));
    struct trainer_experiment *file = trainer_experiment_load("x.ini", NULL, 0, &status), *parsed = parse(NULL);
    cr_assert(file, "%s", status.message);
    char *a = trainer_experiment_text(file), *b = trainer_experiment_text(parsed);
    cr_expect_str_eq(a, b);
    expect_value(parsed, "experiment.name", "x");
    expect_value(parsed, "model.features", "6, M, 17, M, A");
    trainer_experiment_free(parsed);
    parsed = trainer_experiment_parse(a, "other.ini", NULL, 0, &status);
    cr_assert(parsed, "%s", status.message);
    free(b), b = trainer_experiment_text(parsed);
    cr_expect_str_eq(a, b);
    free(a), free(b);
    trainer_experiment_free(file), trainer_experiment_free(parsed);
}

Test(library, keys_are_set_together_and_defaults_follow)
{
    struct trainer_status status;
    struct trainer_experiment *experiment = parse("optimizer.weight_decay=0.1");
    const char *sgd[] = {"optimizer.name=sgd", "optimizer.momentum=0.7"}, *bad[] = {"train.max_steps=3", "data.path"};
    cr_assert(trainer_experiment_set(experiment, sgd, 2, &status), "%s", status.message);
    expect_value(experiment, "optimizer.momentum", "0.7");
    expect_value(experiment, "optimizer.weight_decay", "0.1");
    char *before = trainer_experiment_text(experiment);
    cr_expect_not(trainer_experiment_set(experiment, bad, 2, &status));
    expect_error(&status, TRAINER_USAGE, "--set data.path: expected section.key=value");
    bad[1] = "optimizer.beta1=0.8";
    cr_expect_not(trainer_experiment_set(experiment, bad, 2, &status));
    cr_expect_eq(status.code, TRAINER_USAGE);
    char *after = trainer_experiment_text(experiment);
    cr_expect_str_eq(after, before);
    cr_assert(trainer_experiment_set(experiment, bad, 1, &status), "%s", status.message);
    expect_value(experiment, "train.max_steps", "3");
    free(before), free(after);
    trainer_experiment_free(experiment);
}

Test(library, errors_of_an_experiment_name_their_place)
{
    struct trainer_status status;
    cr_expect_null(trainer_experiment_load("nowhere.ini", NULL, 0, &status));
    expect_error(&status, TRAINER_USAGE, "nowhere.ini: cannot open: No such file or directory");
    cr_expect_null(trainer_experiment_parse("[train]\nmax_steps = x\n", "mine", NULL, 0, &status));
    expect_error(&status, TRAINER_USAGE,
                 "mine:2: train.max_steps: expected an integer from 1 to 1000000000, found \"x\"");
    struct trainer_experiment *experiment = parse(NULL);
    cr_expect_null(trainer_experiment_get(experiment, "train.maxsteps", &status));
    expect_error(&status, TRAINER_USAGE, "train.maxsteps: unknown key; did you mean train.max_steps?");
    cr_expect_null(trainer_experiment_get(experiment, "train", &status));
    expect_error(&status, TRAINER_USAGE, "train: expected section.key");
    trainer_experiment_free(experiment);
}

/* --- sessions --- */

/* A session that is evaluated where the run is writes the run's own checkpoints, to the byte. */
Test(library, a_session_is_a_run_step_by_step)
{
    struct trainer_run_result result = run(NULL, "run", TRAINER_RUN_NEW);
    struct trainer_session *session = create(NULL);
    cr_expect_eq(trainer_session_max_steps(session), 10);
    cr_expect_eq(trainer_session_step(session, 4), 4);
    evaluate(session);
    cr_expect_eq(trainer_session_step(session, 1), 1);
    save(session, "five");
    cr_expect(same_files("five", "run/checkpoints/step_00000005.safetensors"));
    cr_expect_eq(trainer_session_step(session, 3), 3);
    evaluate(session);
    cr_expect_eq(trainer_session_step(session, 1000), 2);
    cr_expect_eq(trainer_session_step(session, 1), 0);
    cr_expect_eq(trainer_session_steps(session), 10);
    expect_same_evaluation(evaluate(session), result.last);
    save(session, "ten");
    cr_expect(same_files("ten", "run/checkpoints/step_00000010.safetensors"));
    trainer_session_free(session);
}

static void expect_same_tensors(const char *a_path, const char *b_path)
{
    struct checkpoint a, b;
    struct status status = {0};
    cr_assert(checkpoint_read(&a, a_path, &status) && checkpoint_read(&b, b_path, &status), "%s", status.message);
    cr_assert_eq(a.file.tensor_count, b.file.tensor_count);
    for (int i = 0; i < a.file.tensor_count; i++) {
        const struct safetensors_tensor *x = &a.file.tensors[i], *y = &b.file.tensors[i];
        cr_assert_str_eq(x->name, y->name);
        cr_assert(x->count == y->count && x->dtype == y->dtype);
        cr_expect_eq(memcmp(x->data, y->data, (size_t)x->count * sizeof(float)), 0, "%s", x->name);
    }
    checkpoint_free(&a), checkpoint_free(&b);
}

/* Evaluations leave no trace in training. */
Test(library, the_steps_of_a_session_do_not_depend_on_its_evaluations)
{
    run(NULL, "run", TRAINER_RUN_NEW);
    struct trainer_session *session = create(NULL);
    trainer_session_step(session, 3);
    evaluate(session), evaluate(session);
    trainer_session_step(session, 7);
    save(session, "ten");
    expect_same_tensors("ten", "run/checkpoints/step_00000010.safetensors");
    trainer_session_free(session);
}

static void *train_and_save(void *path)
{
    struct trainer_session *session = create(NULL);
    trainer_session_step(session, 10);
    save(session, path);
    trainer_session_free(session);
    return NULL;
}

Test(library, two_sessions_train_at_once)
{
    char names[2][2] = {"a", "b"};
    pthread_t threads[2];
    run(NULL, "run", TRAINER_RUN_NEW);
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, train_and_save, names[i]), 0);
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) expect_same_tensors(names[i], "run/checkpoints/step_00000010.safetensors");
}

/* With train.epochs only the data tells the number of steps. */
Test(library, epochs_give_the_steps)
{
    struct trainer_session *session = create("train.epochs=2");
    cr_expect_eq(trainer_session_max_steps(session), 6);
    trainer_session_free(session);
}

/* Goes on at step 5, and expects the last checkpoint of the run, which lies in the file "ten". */
static void expect_resumed(const struct trainer_experiment *experiment, const char *from)
{
    struct trainer_status status;
    struct trainer_session *session = trainer_session_resume(experiment, from, &status);
    cr_assert(session, "%s", status.message);
    cr_assert_eq(trainer_session_steps(session), 5);
    trainer_session_step(session, 3);
    evaluate(session);
    trainer_session_step(session, 2);
    evaluate(session);
    save(session, "resumed");
    cr_expect(same_files("resumed", "ten"), "%s", from);
    trainer_session_free(session);
}

Test(library, a_session_goes_on_from_the_checkpoint_of_a_run)
{
    run(NULL, "run", TRAINER_RUN_NEW);
    cr_assert_eq(rename("run/checkpoints/step_00000010.safetensors", "ten"), 0);
    struct trainer_experiment *experiment = parse(NULL);
    expect_resumed(experiment, "run/checkpoints/step_00000005.safetensors");
    expect_resumed(NULL, "run/checkpoints/step_00000005.safetensors");
    expect_resumed(NULL, "run");
    trainer_experiment_free(experiment);
}

/* The sums of training since the last evaluation are part of a checkpoint where they become figures. */
Test(library, the_mean_is_that_of_the_steps_since_the_evaluation)
{
    struct trainer_session *session = create("train.eval_train=off");
    cr_expect(isnan(trainer_session_mean(session).loss));
    trainer_session_step(session, 2);
    struct trainer_figures first = trainer_session_mean(session);
    cr_expect(same_figures(evaluate(session).train, first) && isfinite(first.loss));
    cr_expect(isnan(trainer_session_mean(session).accuracy));
    trainer_session_step(session, 1);
    struct trainer_figures second = trainer_session_mean(session);
    cr_expect(!same_figures(first, second));
    save(session, "three");
    trainer_session_free(session);
    session = trainer_session_resume(NULL, "three", NULL);
    cr_assert_not_null(session);
    cr_expect(same_figures(trainer_session_mean(session), second));
    trainer_session_free(session);
}

Test(library, what_a_session_refuses_has_its_place)
{
    struct trainer_status status;
    struct trainer_experiment *experiment = parse("train.batch_size=44");
    cr_expect_null(trainer_session_create(experiment, &status));
    expect_error(&status, TRAINER_USAGE,
                 "--set train.batch_size: expected at most the 43 samples of the training set, found 44");
    trainer_experiment_free(experiment);
    run(NULL, "run", TRAINER_RUN_NEW);
    experiment = parse("optimizer.learning_rate=0.5");
    cr_expect_null(trainer_session_resume(experiment, "run", &status));
    expect_error(&status, TRAINER_USAGE,
                 "--set optimizer.learning_rate: expected \"0.001\", as in the run in "
                 "run/checkpoints/step_00000010.safetensors that is to go on, found \"0.5\"");
    cr_expect_null(trainer_session_resume(experiment, "nowhere", &status));
    expect_error(&status, TRAINER_RUNTIME, "nowhere: cannot open: No such file or directory");
    trainer_experiment_free(experiment);
    struct trainer_session *session = create(NULL);
    cr_expect_not(trainer_session_save(session, "nowhere/file", &status));
    cr_expect_eq(status.code, TRAINER_RUNTIME);
    trainer_session_free(session);
}

Test(library, a_session_that_diverges_says_so_and_saves_nothing)
{
    const char diverging[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_size = 7\n"
                             "[model]\nhidden = 9, 9\nactivation = leaky_relu\n[optimizer]\nlearning_rate = 1000\n"
                             "[train]\nmax_steps = 60\nbatch_size = 16\n[backend]\ndevice = cpu\n";
    struct trainer_status status;
    struct trainer_evaluation evaluation;
    struct trainer_experiment *experiment = trainer_experiment_parse(diverging, "x.ini", NULL, 0, &status);
    cr_assert(experiment, "%s", status.message);
    struct trainer_session *session = trainer_session_create(experiment, &status);
    cr_assert(session, "%s", status.message);
    trainer_session_step(session, 60);
    cr_expect_not(trainer_session_evaluate(session, &evaluation, &status));
    cr_expect_eq(status.code, TRAINER_DIVERGED);
    const char start[] = "step 60: the training loss is not finite, at learning rate 1000; it shows first in layer ";
    cr_expect_eq(strncmp(status.message, start, strlen(start)), 0, "%s", status.message);
    cr_expect(!strstr(status.message, "checkpoint"), "%s", status.message);
    cr_expect_not(trainer_session_save(session, "bad", &status));
    cr_expect_eq(status.code, TRAINER_DIVERGED);
    cr_expect_not(file_exists("bad"));
    trainer_session_free(session);
    trainer_experiment_free(experiment);
}

/* --- predictors --- */

Test(library, a_predictor_is_the_one_inside)
{
    struct trainer_status status;
    struct status problem = {0};
    struct predictor inside;
    uint8_t pixels[3 * 3 * 9 * 9];
    double scores[3 * 5], expected[3 * 5], sum = 0;
    const char *set = "backend.threads=1";
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37);
    run(NULL, "run", TRAINER_RUN_NEW);
    struct trainer_predictor *predictor = trainer_predictor_open("run", &set, 1, &status);
    cr_assert(predictor, "%s", status.message);
    struct trainer_image_format format = trainer_predictor_format(predictor);
    cr_assert(format.channels == 3 && format.height == 9 && format.width == 9);
    cr_assert_eq(trainer_predictor_classes(predictor), 5);
    cr_expect_str_eq(trainer_predictor_class_name(predictor, 4), "4");
    cr_assert(predictor_open(&inside, "run", CHECKPOINT_BEST, NULL, 0, &problem), "%s", problem.message);
    trainer_predictor_scores(predictor, pixels, 3, scores);
    predictor_logits(&inside, pixels, 3, expected);
    cr_expect_eq(memcmp(scores, expected, sizeof scores), 0);
    trainer_predictor_probabilities(predictor, scores, scores);
    for (int i = 0; i < 5; i++) sum += scores[i];
    cr_expect(fabs(sum - 1) < 1e-9); /* rounding of five terms */
    predictor_close(&inside);
    trainer_predictor_free(predictor);
}

/* The last checkpoint stands for the best where the run keeps none. */
Test(library, a_predictor_takes_what_the_run_has)
{
    struct trainer_status status;
    struct trainer_experiment *experiment = parse("checkpoint.best=false");
    cr_assert(trainer_run(experiment, "run", TRAINER_RUN_NEW, NULL, NULL, &status), "%s", status.message);
    struct trainer_predictor *predictor = trainer_predictor_open("run", NULL, 0, &status);
    cr_assert(predictor, "%s", status.message);
    uint8_t pixels[3 * 9 * 9];
    cr_expect_not(trainer_predictor_read(predictor, "run/metrics.csv", pixels, &status));
    cr_expect_eq(status.code, TRAINER_RUNTIME);
    cr_expect_eq(strncmp(status.message, "run/metrics.csv: ", 17), 0, "%s", status.message);
    trainer_predictor_free(predictor);
    trainer_experiment_free(experiment);
}

Test(library, errors_of_a_predictor)
{
    struct trainer_status status;
    const char *set = "backend.nothing=1";
    cr_expect_null(trainer_predictor_open("nowhere", NULL, 0, &status));
    expect_error(&status, TRAINER_RUNTIME, "nowhere: cannot open: No such file or directory");
    run(NULL, "run", TRAINER_RUN_NEW);
    cr_expect_null(trainer_predictor_open("run", &set, 1, &status));
    cr_expect_eq(status.code, TRAINER_USAGE);
    run("model.batchnorm_batch_stats_only=true", "batches", TRAINER_RUN_NEW);
    cr_expect_null(trainer_predictor_open("batches", NULL, 0, &status));
    cr_expect_eq(status.code, TRAINER_USAGE);
    cr_expect(strstr(status.message, "model.batchnorm_batch_stats_only: expected false"), "%s", status.message);
}
