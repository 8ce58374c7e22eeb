/* Tests a trained network in use: the checkpoint alone must give the results of training again. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <png.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "predict/import.h"
#include "predict/predictor.h"
#include "program_support.h"
#include "session_support.h"

static char *folder;

static void enter(void)
{
    folder = support_folder();
    cr_assert(chdir(folder) == 0);
}

static void leave(void)
{
    support_folder_remove(folder);
}

TestSuite(predictor, .init = enter, .fini = leave);

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 90\nsynthetic_test = 43\nsynthetic_classes = 3\nsynthetic_size = " \
    "9\nnormalization = mean_image\n"
#define REST                                                                                                           \
    "[optimizer]\nname = adam\nlearning_rate = 1e-2\n[train]\nbatch_size = 16\nmax_steps = 6\neval_batch_size = 10\n"  \
    "[backend]\ndevice = cpu\nthreads = 1\n"

static const char convnet[] = DATA "[model]\nkind = convnet\nfeatures = 5, M, 7k2s2\nhidden = 6\nbatchnorm = custom\n"
                                   "activation = elu\ndropout = 0.2\n" REST;
/* 43 test images are evaluated in batches of 10. The last three are normalised together with the seven before them. */
static const char by_batch[] = DATA "[model]\nkind = mlp\nhidden = 11\nbatchnorm = custom\n"
                                    "batchnorm_batch_stats_only = true\n" REST;
static const char separate[] = DATA "[model]\nkind = mlp\nhidden = 11\nloss = separate\n" REST;
static const char wide[] = DATA "[model]\nkind = mlp\nhidden = 11\n" REST "precision = fp64\n";

/* Trains a little. Returns a session whose run's folder has a best and a last checkpoint, one step apart. */
static struct session *run_made(const char *text)
{
    struct session *session = session_open(text, 1);
    struct run_result result = {0};
    struct status status = {0};
    cr_assert(mkdir("run", 0777) == 0 && mkdir("run/checkpoints", 0777) == 0);
    const char *const paths[] = {"run/checkpoints/step_00000007.safetensors", "run/checkpoints/best.safetensors"};
    for (int i = 0; i < 6; i++) trainer_step(&session->trainer);
    for (int i = 0; i < 2; i++) { /* `best` is what the session holds in the end */
        trainer_step(&session->trainer);
        cr_assert(checkpoint_write(paths[i], &session->trainer, &result, &status), "%s", status.message);
    }
    return session;
}

static struct predictor open_good(const char *run, enum checkpoint_choice choice)
{
    struct predictor predictor;
    struct status status = {0};
    cr_assert(predictor_open(&predictor, run, choice, NULL, 0, &status), "%s", status.message);
    return predictor;
}

static void expect_same_evaluation(const char *text)
{
    struct session *session = run_made(text);
    struct predictor predictor = open_good("run", CHECKPOINT_BEST);
    struct predictor_visitor nobody = {0};
    struct confusion confusion;
    struct evaluation found = predictor_evaluate(&predictor, &session->dataset.test, nobody, &confusion);
    struct evaluation expected = trainer_evaluate(&session->trainer, &session->trainer.test_set);
    cr_expect_eq(found.accuracy, expected.accuracy, "%g, not %g", found.accuracy, expected.accuracy);
    /* The backend's sum has single precision. */
    cr_expect(fabs(found.loss - expected.loss) <= 1e-6 * expected.loss, "%.9g, not %.9g", found.loss, expected.loss);
    cr_expect_eq(confusion_total(&confusion), session->dataset.test.count);
    cr_expect_eq((double)confusion_correct(&confusion) / (double)session->dataset.test.count, expected.accuracy);
    confusion_free(&confusion);
    predictor_close(&predictor);
    session_close(session);
}

Test(predictor, evaluates_as_training_does)
{
    expect_same_evaluation(convnet);
}

Test(predictor, evaluates_a_network_with_a_softmax_of_its_own)
{
    expect_same_evaluation(separate);
}

Test(predictor, evaluates_in_double_precision)
{
    expect_same_evaluation(wide);
}

Test(predictor, best_and_last_are_different_networks)
{
    struct session *session = run_made(convnet);
    struct predictor best = open_good("run", CHECKPOINT_BEST), last = open_good("run", CHECKPOINT_LAST);
    struct predictor file = open_good("run/checkpoints/best.safetensors", CHECKPOINT_LAST);
    double scores[3][3];
    predictor_logits(&best, session->dataset.test.pixels, 1, scores[0]);
    predictor_logits(&last, session->dataset.test.pixels, 1, scores[1]);
    predictor_logits(&file, session->dataset.test.pixels, 1, scores[2]);
    cr_expect(best.step == 8 && last.step == 7 && file.step == 8);
    cr_expect(memcmp(scores[0], scores[2], sizeof scores[0]) == 0);
    cr_expect(memcmp(scores[0], scores[1], sizeof scores[0]) != 0);
    predictor_close(&best), predictor_close(&last), predictor_close(&file);
    session_close(session);
}

/* A network for batches of 10 gives 25 images the scores that each gets alone. */
Test(predictor, takes_any_number_of_images)
{
    struct session *session = run_made(convnet);
    struct predictor predictor = open_good("run", CHECKPOINT_BEST);
    double together[25 * 3], alone[3];
    const uint8_t *pixels = session->dataset.test.pixels;
    predictor_logits(&predictor, pixels, 25, together);
    for (int i = 0; i < 25; i++) {
        predictor_logits(&predictor, pixels + i * 3 * 9 * 9, 1, alone);
        for (int k = 0; k < 3; k++)
            cr_expect(fabs(alone[k] - together[3 * i + k]) <= 1e-5, "image %d: %g, not %g", i, alone[k],
                      together[3 * i + k]);
    }
    predictor_close(&predictor);
    session_close(session);
}

Test(predictor, refuses_other_data_and_other_networks)
{
    struct session *session = run_made(convnet);
    struct predictor predictor = open_good("run", CHECKPOINT_BEST);
    struct status status = {0};
    session->dataset.width = 8;
    cr_expect_not(predictor_check_data(&predictor, &session->dataset, &status));
    cr_expect_str_eq(status.message, "run/checkpoints/best.safetensors: the network takes images of 3x9x9 and tells 3 "
                                     "classes apart, the data set has 3x9x8 and 3");
    predictor_close(&predictor);
    session->dataset.width = 9;
    struct experiment_override override = {.section = "model", .key = "hidden", .value = "7"};
    cr_expect_not(predictor_open(&predictor, "run", CHECKPOINT_BEST, &override, 1, &status));
    cr_expect_not_null(strstr(status.message, "expected the shape (7,"), "%s", status.message);
    session_close(session);
}

Test(predictor, softmax_of_large_scores)
{
    const double logits[] = {1000, 1000, -1000};
    double probabilities[3];
    scores_probabilities(logits, 3, probabilities);
    cr_expect(probabilities[0] == 0.5 && probabilities[1] == 0.5 && probabilities[2] == 0);
}

/* --- confusion --- */

Test(predictor, counts_what_is_taken_for_what)
{
    struct confusion confusion = confusion_create(3);
    const int pairs[][2] = {{0, 0}, {0, 2}, {0, 2}, {0, 1}, {1, 1}, {2, 3}};
    for (int i = 0; i < 6; i++) confusion_add(&confusion, pairs[i][0], pairs[i][1]);
    cr_expect(confusion_total(&confusion) == 6 && confusion_correct(&confusion) == 2);
    cr_expect(confusion_label_count(&confusion, 0) == 4 && confusion_count(&confusion, 0, 2) == 2);
    cr_expect(confusion_worst(&confusion, 0) == 2 && confusion_worst(&confusion, 1) == -1);
    cr_expect_eq(confusion_worst(&confusion, 2), -1); /* never taken for any class */
    confusion_free(&confusion);
    const double outputs[][3] = {{1, 3, 3}, {NAN, 1, 2}, {1, 2, NAN}, {-INFINITY, -5, -INFINITY}};
    const int64_t expected[] = {1, 3, 3, 1};
    for (int i = 0; i < 4; i++) cr_expect_eq(scores_predicted(outputs[i], 3), expected[i]);
}

/* --- the program --- */

static void expect_error(struct program_result result, int code, const char *part)
{
    cr_expect_eq(result.code, code, "exit code %d: %s", result.code, result.error);
    cr_expect_not_null(strstr(result.error, part), "\"%s\" lacks \"%s\"", result.error, part);
    cr_expect_str_empty(result.out);
    free(result.out), free(result.error);
}

static json_t *json_of(struct program_result result)
{
    json_error_t problem;
    cr_assert_eq(result.code, 0, "exit code %d: %s", result.code, result.error);
    json_t *value = json_loads(result.out, 0, &problem);
    cr_assert(value, "%s: %s", problem.text, result.out);
    free(result.out), free(result.error);
    return value;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

Test(predictor, program_evaluates)
{
    struct session *session = run_made(convnet);
    struct evaluation expected = trainer_evaluate(&session->trainer, &session->trainer.test_set);
    json_t *value = json_of(program_run("eval", "run", "--json", NULL));
    cr_expect_eq(number(value, "accuracy"), expected.accuracy);
    cr_expect(number(value, "images") == 43 && number(value, "step") == 8);
    json_t *rows = json_object_get(value, "confusion"), *classes = json_object_get(value, "classes");
    double correct = 0, images = 0;
    for (size_t i = 0; i < 3; i++) {
        correct += json_number_value(json_array_get(json_array_get(rows, i), i));
        images += number(json_array_get(classes, i), "images");
    }
    cr_expect(correct / 43 == expected.accuracy && images == 43);
    double recall = 0;
    for (size_t i = 0; i < 3; i++) recall += number(json_array_get(classes, i), "recall") / 3;
    cr_expect(fabs(number(value, "balanced_accuracy") - recall) < 1e-12);
    cr_expect(number(json_object_get(value, "top"), "k") == 2);
    cr_expect(number(json_object_get(value, "top"), "accuracy") >= expected.accuracy);
    cr_expect(json_is_number(json_object_get(json_object_get(value, "macro"), "f1")));
    json_decref(value);
    value = json_of(program_run("eval", "run", "--on", "train", "--checkpoint", "last", "--json", NULL));
    cr_expect(number(value, "images") == 90 && number(value, "step") == 7);
    json_decref(value);
    struct program_result text = program_run("eval", "run", NULL);
    char *line = memory_format("test: 43 images, loss %.4f, accuracy %.2f%%\n", expected.loss, 100 * expected.accuracy);
    cr_expect_not_null(strstr(text.out, line), "\"%s\" lacks \"%s\"", text.out, line);
    cr_expect_not_null(strstr(text.out, "\nrows: the true class"), "%s", text.out);
    free(line), free(text.out), free(text.error);
    session_close(session);
}

Test(predictor, program_errors_of_eval)
{
    struct session *session = run_made(convnet);
    expect_error(program_run("eval", "nowhere", NULL), 1, "nowhere: cannot open: No such file or directory");
    expect_error(program_run("eval", "run", "--on", "validation", NULL), 2,
                 "--on validation: this run holds out no images (data.validation_size = 0)");
    expect_error(program_run("eval", "run", "--on", "tset", NULL), 2,
                 "--on: expected one of test, train, validation, found \"tset\"");
    expect_error(program_run("eval", "run", "--checkpoint", "x.safetensors", NULL), 1,
                 "x.safetensors: cannot open: No such file");
    expect_error(program_run("eval", "run", "--set", "data.synthetic_size=10", NULL), 1, "the data set has 3x10x10");
    session_close(session);
}

/* Class 2 has no image in a set of two, and may have no prediction either. No NaN is printed. */
Test(predictor, figures_that_are_not_defined_are_dashes_and_null)
{
    struct session *session = run_made(convnet);
    const char *two = "data.synthetic_test=2"; /* sample i is of class i mod 3 */
    json_t *value = json_of(program_run("eval", "run", "--json", "--set", two, NULL));
    const json_t *absent = json_array_get(json_object_get(value, "classes"), 2);
    cr_expect(json_is_null(json_object_get(absent, "recall")) && json_is_null(json_object_get(absent, "accuracy")));
    cr_expect(json_is_number(json_object_get(value, "balanced_accuracy")));
    json_decref(value);
    struct program_result text = program_run("eval", "run", "--set", two, NULL);
    cr_expect_not_null(strstr(text.out, "        -"), "%s", text.out);
    cr_expect_null(strstr(text.out, "nan"), "%s", text.out);
    cr_expect_not_null(strstr(text.out, "\nbalanced accuracy "), "%s", text.out);
    cr_expect_not_null(strstr(text.out, ", top-2 accuracy "), "%s", text.out);
    cr_expect_not_null(strstr(text.out, "\nmacro average "), "%s", text.out);
    free(text.out), free(text.error);
    session_close(session);
}

/* Writes an image of the data set as a picture, so that the program needs to resize nothing. */
static void write_picture(const struct dataset *dataset, int64_t index, const char *path)
{
    int64_t plane = dataset->height * dataset->width;
    const uint8_t *pixels = dataset->test.pixels + index * 3 * plane;
    uint8_t *rows = memory_alloc((size_t)plane, 3);
    for (int64_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++) rows[3 * i + c] = pixels[c * plane + i];
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)dataset->width,
                     .height = (png_uint_32)dataset->height,
                     .format = PNG_FORMAT_RGB};
    cr_assert(png_image_write_to_file(&png, path, 0, rows, 0, NULL), "%s", png.message);
    free(rows);
}

Test(predictor, program_predicts)
{
    struct session *session = run_made(convnet);
    struct predictor predictor = open_good("run", CHECKPOINT_BEST);
    const char odd[] = "a \"b\"\n\t\\ \xC3\xA9 \xFF.png";
    write_picture(&session->dataset, 5, "5.png");
    write_picture(&session->dataset, 7, odd);
    json_t *value = json_of(program_run("predict", "run", "--json", "--top", "2", "5.png", odd, NULL));
    const json_t *predictions = json_object_get(value, "predictions");
    cr_assert_eq(json_array_size(predictions), 2);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(predictions, 1), "file")),
                     "a \"b\"\n\t\\ \xC3\xA9 \xEF\xBF\xBD.png");
    const int64_t images[] = {5, 7};
    for (size_t i = 0; i < 2; i++) {
        double scores[3], probabilities[3];
        const json_t *prediction = json_array_get(predictions, i), *top = json_object_get(prediction, "top");
        predictor_logits(&predictor, session->dataset.test.pixels + images[i] * 3 * 9 * 9, 1, scores);
        scores_probabilities(scores, 3, probabilities);
        for (size_t k = 0; k < 3; k++)
            cr_expect_eq(json_number_value(json_array_get(json_object_get(prediction, "logits"), k)), scores[k]);
        cr_assert_eq(json_array_size(top), 2);
        size_t first = (size_t)number(json_array_get(top, 0), "class");
        cr_expect_eq(first, (size_t)scores_predicted(scores, 3));
        cr_expect_eq(number(json_array_get(top, 0), "probability"), probabilities[first]);
        cr_expect_geq(number(json_array_get(top, 0), "probability"), number(json_array_get(top, 1), "probability"));
    }
    json_decref(value);
    struct program_result text = program_run("predict", "run", "5.png", NULL);
    cr_expect_eq(text.code, 0);
    cr_expect(strncmp(text.out, "5.png\n  ", 8) == 0 && strchr(text.out, '%'), "%s", text.out);
    free(text.out), free(text.error);
    predictor_close(&predictor);
    session_close(session);
}

Test(predictor, program_errors_of_predict)
{
    struct session *session = run_made(convnet);
    write_picture(&session->dataset, 0, "0.png");
    expect_error(program_run("predict", "run", NULL), 2, "expected an image; usage: trainer predict RUN IMAGE...");
    expect_error(program_run("predict", "run", "none.png", NULL), 1, "none.png: cannot open: No such file");
    expect_error(program_run("predict", "run", "0.png", "--top", "0", NULL), 2,
                 "--top: expected an integer from 1 to 65536, found \"0\"");
    session_close(session);
}

static void expect_exported(const char *format, const char *path, const char *begin, size_t size)
{
    struct program_result result = program_run("export", "run", "--format", format, NULL);
    char *line = memory_format("%s\n", path), *bytes = support_file_read(path, NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    cr_expect_str_eq(result.out, line);
    cr_assert_not_null(bytes);
    if (begin) cr_expect(memcmp(bytes, begin, size) == 0, "%s begins otherwise", path);
    free(line), free(bytes), free(result.out), free(result.error);
}

Test(predictor, program_exports)
{
    struct session *session = run_made(convnet);
    expect_exported("onnx", "run/model.onnx", "\x08\x08\x12\x07trainer", 11);
    expect_exported("npz", "run/model.npz", "PK\x03\x04", 4);
    expect_exported("safetensors", "run/model.safetensors", NULL, 0);
    struct safetensors_file file;
    struct status status = {0};
    cr_assert(safetensors_read(&file, "run/model.safetensors", SAFETENSORS_DIGEST_REQUIRED, &status), "%s",
              status.message);
    cr_expect_not_null(safetensors_find(&file, "layers.0.weight"));
    cr_expect_not_null(safetensors_find(&file, "layers.1.running_var"));
    cr_expect_not_null(safetensors_find(&file, "input.offset"));
    for (int i = 0; i < file.tensor_count; i++)
        cr_expect(strncmp(file.tensors[i].name, "optimizer.", 10) != 0, "%s", file.tensors[i].name);
    cr_expect(checkpoint_load_weights(&file, session->trainer.network, NULL, &status), "%s", status.message);
    safetensors_free(&file);
    struct program_result named = program_run("export", "run", "-f", "npz", "--output", "a.npz", "-c", "last", NULL);
    program_expect(named, 0, "a.npz\n", "");
    session_close(session);
}

Test(predictor, program_errors_of_export)
{
    struct session *session = run_made(DATA "[model]\nkind = mlp\nbatchnorm = custom\nbatchnorm_batch_stats_only = "
                                            "true\n" REST);
    expect_error(program_run("export", "run", NULL), 2,
                 "model.batchnorm_batch_stats_only: true, and ONNX normalizes by running statistics only");
    expect_error(program_run("export", "run", "--format", "onx", NULL), 2,
                 "--format: expected one of onnx, safetensors, npz, found \"onx\"");
    expect_error(program_run("export", "run", "-f", "npz", "-o", "no/a.npz", NULL), 1, "no/a.npz: cannot write: ");
    expect_error(program_run("export", "run", "-f", "safetensors", "-o", "no/a", NULL), 1, "no/a");
    session_close(session);
}

/* --- batch statistics --- */

Test(predictor, a_network_without_running_statistics_evaluates_by_the_batches_of_training)
{
    expect_same_evaluation(by_batch);
}

Test(predictor, program_states_the_batch_of_the_statistics)
{
    struct session *session = run_made(by_batch);
    json_t *value = json_of(program_run("eval", "run", "--json", NULL));
    cr_expect_eq(number(value, "statistics_batch"), 10);
    json_decref(value);
    struct program_result text = program_run("eval", "run", NULL);
    cr_expect_not_null(strstr(text.out, "batch statistics: normalised by batches of 10 images\n"), "%s", text.out);
    free(text.out), free(text.error);
    session_close(session);
}

/* trainer export still gives the weights. */
Test(predictor, program_refuses_to_predict_by_batch_statistics)
{
    struct session *session = run_made(by_batch);
    expect_error(
        program_run("predict", "run", "a.png", NULL), 2,
        "model.batchnorm_batch_stats_only: expected false, as an image alone has no batch to be normalised by");
    expect_error(program_run("eval", "run", "--set", "train.eval_batch_size=1", NULL), 2,
                 "train.eval_batch_size: expected more than 1 image, as layer 1 (batchnorm) normalises by the batch and"
                 " would see one value per channel, found 1");
    program_expect(program_run("export", "run", "--format", "npz", "--output", "a.npz", NULL), 0, "a.npz\n", "");
    session_close(session);
}

/* --- import --- */

static void write_config(const char *text)
{
    support_file_write("c.ini", text, strlen(text));
}

Test(predictor, program_imports_what_it_exported)
{
    struct session *session = run_made(convnet);
    write_config(convnet);
    program_expect(program_run("export", "run", "-f", "safetensors", "-o", "w", NULL), 0, "w\n", "");
    struct evaluation expected = trainer_evaluate(&session->trainer, &session->trainer.test_set);
    struct program_result result = program_run("import", "c.ini", "w", "--output", "new/run", NULL);
    char *part = memory_format("test loss %.4f  accuracy %.2f%%\n", expected.loss, 100 * expected.accuracy);
    cr_expect_eq(result.code, 0, "%s", result.error);
    cr_expect(strncmp(result.out, "new/run: train loss ", 20) == 0 && strstr(result.out, part), "%s", result.out);
    free(part), free(result.out), free(result.error);
    struct predictor first = open_good("run", CHECKPOINT_BEST), second = open_good("new/run", CHECKPOINT_BEST);
    double scores[2][3];
    predictor_logits(&first, session->dataset.test.pixels, 1, scores[0]);
    predictor_logits(&second, session->dataset.test.pixels, 1, scores[1]);
    cr_expect(memcmp(scores[0], scores[1], sizeof scores[0]) == 0 && second.step == 0);
    predictor_close(&first), predictor_close(&second);
    /* The imported run is like any other. */
    result = program_run("resume", "new/run", "--quiet", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
    second = open_good("new/run", CHECKPOINT_LAST);
    cr_expect_eq(second.step, 6);
    predictor_close(&second);
    session_close(session);
}

Test(predictor, program_errors_of_import)
{
    struct session *session = run_made(convnet);
    write_config(convnet);
    program_expect(program_run("export", "run", "-f", "safetensors", "-o", "w", NULL), 0, "w\n", "");
    expect_error(program_run("import", "c.ini", NULL), 2, "expected a safetensors file; usage: trainer import CONFIG");
    expect_error(program_run("import", "c.ini", "none", NULL), 1, "none: ");
    expect_error(program_run("import", "c.ini", "c.ini", NULL), 1, "c.ini: not a good safetensors file");
    expect_error(program_run("import", "c.ini", "w", "-s", "model.hidden=9", NULL), 1,
                 "w: tensor layers.10.weight: expected the shape (9,63), found (6,63)");
    expect_error(program_run("import", "c.ini", "w", "-s", "data.normalization=unit", NULL), 1,
                 "w: tensor input.offset: not the normalization of this config's data");
    cr_expect_neq(access("runs", F_OK), 0, "nothing is left of what failed");
    expect_error(program_run("import", "c.ini", "w", "--output", "run", NULL), 2, "run");
    session_close(session);
}

/* Writes the exported weights with one value that is not finite. */
static void write_damaged(const char *from, const char *to)
{
    struct safetensors_file file;
    struct status status = {0};
    cr_assert(safetensors_read(&file, from, SAFETENSORS_DIGEST_OPTIONAL, &status), "%s", status.message);
    const float bad[] = {NAN};
    for (int i = 0; i < file.tensor_count; i++)
        if (strcmp(file.tensors[i].name, "layers.0.weight") == 0) memcpy((void *)file.tensors[i].data, bad, sizeof bad);
    cr_assert(safetensors_write(to, file.tensors, file.tensor_count, NULL, 0, &status), "%s", status.message);
    safetensors_free(&file);
}

Test(predictor, program_leaves_nothing_of_an_import_that_fails)
{
    struct session *session = run_made(convnet);
    write_config(convnet);
    program_expect(program_run("export", "run", "-f", "safetensors", "-o", "w", NULL), 0, "w\n", "");
    write_damaged("w", "bad");
    expect_error(program_run("import", "c.ini", "bad", "--out", "i", NULL), 4,
                 "bad: tensor layers.0.weight holds a value that is not finite");
    cr_expect_neq(access("i", F_OK), 0);
    struct program_result result = program_run("import", "c.ini", "w", "--out", "i", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
    expect_error(program_run("import", "c.ini", "w", "--out", "i", NULL), 2,
                 "i: holds a run already, saved at step 0; go on with it: trainer resume i; or start anew with "
                 "--overwrite, or elsewhere with --out FOLDER");
    size_t before_size, after_size;
    char *before = support_file_read("i/checkpoints/best.safetensors", &before_size);
    expect_error(program_run("import", "c.ini", "bad", "--out", "i", "--overwrite", NULL), 4, "bad: ");
    char *after = support_file_read("i/checkpoints/best.safetensors", &after_size);
    cr_expect(after && before_size == after_size && memcmp(before, after, before_size) == 0, "the run is as it was");
    result = program_run("import", "c.ini", "w", "--out", "i", "--overwrite", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error), free(before), free(after);
    session_close(session);
}

/* A limit to the size of files stands for a full disk. */
Test(predictor, a_full_disk_leaves_nothing_of_an_import)
{
    const struct rlimit low = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    struct session *session = run_made(convnet);
    struct experiment experiment;
    struct metrics_row row;
    struct status status = {0};
    write_config(convnet);
    program_expect(program_run("export", "run", "-f", "safetensors", "-o", "w", NULL), 0, "w\n", "");
    cr_assert(experiment_load(&experiment, "c.ini", NULL, 0, &status), "%s", status.message);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(mkdir("mine", 0777) == 0 && setrlimit(RLIMIT_FSIZE, &low) == 0);
    for (int i = 0; i < 2; i++) {
        cr_expect_not(import_weights(&experiment, "w", i ? "mine" : "new", TRAIN_NEW, &row, &status));
        cr_expect_not_null(strstr(status.message, "File too large"), "%s", status.message);
    }
    cr_expect_neq(access("new", F_OK), 0);
    cr_expect_eq(rmdir("mine"), 0, "nothing is left in it");
    experiment_free(&experiment);
    session_close(session);
}
