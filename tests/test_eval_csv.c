/* Tests the table of trainer eval --csv: a row for each image, which agrees with what a predictor computes. */
#include <criterion/criterion.h>
#include <math.h>
#include <png.h>
#include <string.h>
#include <sys/stat.h>

#include "../src/cli/cli_eval_csv.h"
#include "build/build.h"
#include "config_support.h"
#include "predict/predictor.h"
#include "program_support.h"

TestSuite(eval_csv, .init = enter_folder, .fini = leave_folder);

#define REST                                                                                                           \
    "[model]\nkind = mlp\nhidden = 6\n[train]\nbatch_size = 4\nmax_steps = 3\neval_batch_size = 5\n"                   \
    "[backend]\ndevice = cpu\nthreads = 1\n"
static const char synthetic[] = "[data]\ndataset = synthetic\nsynthetic_train = 20\nsynthetic_test = 13\n"
                                "synthetic_classes = 3\nsynthetic_size = 4\n" REST;
static const char pictures[] = "[data]\ndataset = folder\npath = pets\nimage_size = 4\nchannels = 1\n" REST;
#define HEADER "index,path,label,label_name,prediction,prediction_name,probability,label_probability,correct\n"

static void train(const char *text)
{
    support_file_write("c.ini", text, strlen(text));
    struct program_result result = program_run("c.ini", "--out", "run", "--quiet", NULL);
    cr_assert_eq(result.code, 0, "%s", result.error);
    free(result.out), free(result.error);
}

/* The rows that the table should have, from the scores of each image. */
struct expectation {
    const struct predictor *predictor;
    const char *const *paths; /* as fields of CSV; NULL: the format has none */
    const char *const *names; /* likewise */
    char *text;
};

static void expect_row(void *argument, int64_t index, int64_t label, const double *logits)
{
    struct expectation *expected = argument;
    double probabilities[8];
    int64_t classes = expected->predictor->input.classes, best = scores_predicted(logits, classes);
    scores_probabilities(logits, classes, probabilities);
    char *row =
        memory_format("%s%d,%s,%d,%s,%d,%s,%.9g,%.9g,%d\n", expected->text, (int)index,
                      expected->paths ? expected->paths[index] : "", (int)label, expected->names[label], (int)best,
                      expected->names[best], probabilities[best], probabilities[label], best == label);
    free(expected->text);
    expected->text = row;
}

/* Returns the table that the run's set should have, computed by the library. */
static char *table_of(const char *const *paths, const char *const *names, bool train_set)
{
    struct predictor predictor;
    struct dataset dataset;
    struct confusion confusion;
    struct status status = {0};
    cr_assert(predictor_open(&predictor, "run", CHECKPOINT_BEST, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &predictor.experiment, NULL, &status), "%s", status.message);
    struct expectation expected = {&predictor, paths, names, memory_copy_string(HEADER)};
    predictor_evaluate(&predictor, train_set ? &dataset.train : &dataset.test,
                       (struct predictor_visitor){expect_row, &expected}, &confusion);
    confusion_free(&confusion);
    dataset_free(&dataset);
    predictor_close(&predictor);
    return expected.text;
}

static void expect_file(const char *path, const char *expected)
{
    char *found = support_file_read(path, NULL);
    cr_assert(found, "%s", path);
    cr_expect_str_eq(found, expected, "\"%s\", not \"%s\"", found, expected);
    free(found);
}

Test(eval_csv, has_a_row_for_each_image)
{
    const char *const names[] = {"0", "1", "2"};
    train(synthetic);
    char *test = table_of(NULL, names, false), *train_set = table_of(NULL, names, true);
    program_expect(program_run("eval", "run", "--csv", "-", NULL), 0, test, "");
    struct program_result plain = program_run("eval", "run", "--on", "train", NULL);
    program_expect(program_run("eval", "run", "--on", "train", "--csv", "t.csv", NULL), 0, plain.out, "");
    expect_file("t.csv", train_set);
    free(plain.out), free(plain.error), free(test), free(train_set);
}

static void write_picture(const char *path, uint8_t grey)
{
    const uint8_t pixels[4] = {grey, 0, grey, 255};
    png_image png = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_GRAY};
    cr_assert(png_image_write_to_file(&png, path, 0, pixels, 0, NULL), "%s", png.message);
}

Test(eval_csv, names_files_and_classes)
{
    const char *const folders[] = {"pets",           "pets/train",         "pets/test",    "pets/train/big, old",
                                   "pets/train/cat", "pets/test/big, old", "pets/test/cat"};
    for (int i = 0; i < 7; i++) cr_assert_eq(mkdir(folders[i], 0777), 0);
    for (int i = 0; i < 8; i++) {
        char *path = memory_format("pets/train/%s/%d.png", i % 2 ? "cat" : "big, old", i);
        write_picture(path, (uint8_t)(30 * i));
        free(path);
    }
    write_picture("pets/test/big, old/a \"b\"\nc.png", 3), write_picture("pets/test/cat/\xC3\xA9.png", 200);
    const char *const paths[] = {"\"test/big, old/a \"\"b\"\"\nc.png\"", "test/cat/\xC3\xA9.png"};
    const char *const names[] = {"\"big, old\"", "cat"};
    train(pictures);
    char *test = table_of(paths, names, false);
    program_expect(program_run("eval", "run", "--csv", "-", NULL), 0, test, "");
    free(test);
}

Test(eval_csv, errors)
{
    train(synthetic);
    support_file_write("t.csv", "kept", 4);
    program_expect(program_run("eval", "run", "--csv", "no/t.csv", NULL), 1, "",
                   "trainer: no/t.csv: cannot write: No such file or directory\n");
    program_expect(program_run("eval", "run", "--csv", "-", "--json", NULL), 2, "",
                   "trainer: --json and --csv -: expected one of them on the standard output\n");
    struct program_result result = program_run("eval", "run", "--on", "validation", "--csv", "t.csv", NULL);
    cr_expect_eq(result.code, 2);
    expect_file("t.csv", "kept");
    free(result.out), free(result.error);
}

/* Scores that are no numbers tell no class. */
Test(eval_csv, leaves_fields_empty_where_nothing_is_predicted)
{
    struct cli_eval_csv csv;
    struct status status = {0};
    struct predictor predictor = {.input = {.classes = 2}};
    struct image_set set = {.count = 1};
    const double logits[] = {NAN, 1};
    cr_assert(cli_eval_csv_open(&csv, "t.csv", &predictor, &set, &status), "%s", status.message);
    struct predictor_visitor visitor = cli_eval_csv_visitor(&csv);
    visitor.image(visitor.argument, 0, 1, logits);
    cr_assert(cli_eval_csv_close(&csv, &status), "%s", status.message);
    expect_file("t.csv", HEADER "0,,1,1,,,,,0\n");
    cr_assert(cli_eval_csv_open(&csv, NULL, &predictor, &set, &status));
    cr_expect_null(cli_eval_csv_visitor(&csv).image);
    cr_expect(cli_eval_csv_close(&csv, &status));
}
