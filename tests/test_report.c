/* Tests the contents of the page about runs. No text from a run's files may become part of the page itself.
 * tests/interop/test_report.py opens the page in a browser. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiment_support.h"
#include "nn/network_lanes.h"
#include "report/report.h"

static const struct metrics_row rows[] = {
    {.step = 50,
     .train = {1.5, 0.25},
     .validation = EVALUATION_NONE,
     .test = {2.5, 0.125},
     .learning_rate = 1e-3,
     .elapsed_seconds = 2.5},
    {.step = 100,
     .train = {NAN, 0.5},
     .validation = EVALUATION_NONE,
     .test = {INFINITY, 0.25},
     .learning_rate = 5e-4,
     .elapsed_seconds = 4.75},
};

static struct report_run run_named(const char *name)
{
    return (struct report_run){.name = name, .rows = rows, .row_count = 2, .batch_size = 20, .max_steps = 100};
}

/* Returns the text of the page about the runs. */
static char *page_of(const struct report_run *runs, int count)
{
    char *folder = support_folder(), *path = support_path(folder, "report.html");
    struct status status = {0};
    cr_assert(report_write(path, runs, count, &status), "%s", status.message);
    char *page = support_file_read(path, NULL);
    free(path);
    support_folder_remove(folder);
    return page;
}

/* Returns the text between two others, at the first place where they occur. */
static char *between(const char *page, const char *before, const char *after)
{
    const char *begin = strstr(page, before);
    cr_assert_not_null(begin, "%s", before);
    begin += strlen(before);
    const char *end = strstr(begin, after);
    cr_assert_not_null(end, "%s", after);
    return memory_format("%.*s", (int)(end - begin), begin);
}

/* Reads the data as a browser finds it: up to the first "</script". */
static json_t *data_of(const char *page)
{
    char *text = between(page, "<script type=\"application/json\" id=\"data\">", "</script");
    cr_assert_null(strchr(text, '<'), "%s", text);
    json_error_t error;
    json_t *data = json_loads(text, 0, &error);
    cr_assert_not_null(data, "%s", error.text);
    free(text);
    return data;
}

static json_t *run_data(const json_t *data, size_t index)
{
    return json_array_get(json_object_get(data, "runs"), index);
}

static const char *string_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

Test(report, metrics_are_as_measured_and_what_is_not_finite_is_null)
{
    struct report_run run = run_named("a run");
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *a = run_data(data, 0);
    cr_assert_eq(json_array_size(json_object_get(data, "runs")), 1);
    cr_assert_str_eq(string_in(a, "name"), "a run");
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "step"), 1)), 100);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "train_loss"), 0)), 1.5);
    cr_assert(json_is_null(json_array_get(json_object_get(a, "train_loss"), 1)));
    cr_assert(json_is_null(json_array_get(json_object_get(a, "test_loss"), 1)));
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "test_accuracy"), 0)), 0.125);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "learning_rate"), 1)), 5e-4);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "elapsed_seconds"), 1)), 4.75);
    cr_assert_eq(json_integer_value(json_object_get(a, "batch_size")), 20);
    cr_assert(json_is_null(json_object_get(a, "config")) && json_is_null(json_object_get(a, "layers")));
    json_decref(data);
    free(page);
}

Test(report, sets_that_a_run_has_not_are_null)
{
    static const struct metrics_row held_out[] = {
        {.step = 50, .train = {1.5, 0.25}, .validation = {2.5, 0.125}, .test = EVALUATION_NONE}};
    struct report_run run = run_named("a run");
    run.rows = held_out, run.row_count = 1, run.best_by = BEST_BY_VALIDATION;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *a = run_data(data, 0);
    cr_assert_str_eq(string_in(a, "best_by"), "validation");
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "validation_accuracy"), 0)), 0.125);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(a, "validation_loss"), 0)), 2.5);
    cr_assert(json_is_null(json_array_get(json_object_get(a, "test_accuracy"), 0)));
    json_decref(data);
    free(page);
}

Test(report, nothing_of_a_run_becomes_markup)
{
    const char *hostile = "</script><script>alert(1)</script><!-- & \"'@DATA@ \x80\x01\xC3\xA9";
    struct report_run run = run_named(hostile);
    run.title = run.config = hostile;
    report_add_missing(&run, "no config: %s", hostile);
    char *page = page_of(&run, 1), *title = between(page, "<title>", "</title>");
    json_t *data = data_of(page), *a = run_data(data, 0);
    const char *shown = "</script><script>alert(1)</script><!-- & \"'@DATA@ \xEF\xBF\xBD\x01\xC3\xA9";
    cr_assert_str_eq(string_in(a, "name"), shown);
    cr_assert_str_eq(string_in(a, "config"), shown);
    cr_assert_str_eq(title, "&#60;/script&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#60;!-- &#38; &#34;&#39;@DATA@ "
                            "\xEF\xBF\xBD\x01\xC3\xA9");
    cr_assert_null(strstr(page, "<script>alert"));
    const char *missing = json_string_value(json_array_get(json_object_get(a, "missing"), 0));
    cr_assert_eq(strncmp(missing, "no config: </script>", 20), 0);
    json_decref(data);
    free(run.missing[0]);
    free(title);
    free(page);
}

Test(report, titles_name_a_few_runs_and_count_many)
{
    struct report_run runs[7];
    const char *const expected[] = {"a", "a and b", "a, b and c", NULL, NULL, NULL, "7 runs"};
    const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (int i = 0; i < 7; i++) runs[i] = run_named(names[i]);
    for (int i = 0; i < 7; i++) {
        if (!expected[i]) continue;
        char *page = page_of(runs, i + 1), *title = between(page, "<title>", "</title>");
        cr_assert_str_eq(title, expected[i]);
        free(title);
        free(page);
    }
}

Test(report, layers_are_those_of_the_network)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, "[model]\nkind = convnet\nfeatures = 4, M\nbatchnorm = custom\n");
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct shape images = {1, 3, 8, 8};
    struct network *network = network_from(&experiment, backend, images, 10, &status);
    cr_assert_not_null(network, "%s", status.message);
    struct report_run run = run_named("a");
    run.network = network;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *a = run_data(data, 0), *layers = json_object_get(a, "layers");
    cr_assert_eq((int)json_array_size(layers), network->layer_count);
    cr_assert_str_eq(string_in(a, "input"), "3x8x8");
    cr_assert_eq((int)json_array_size(json_object_get(a, "lanes")), 0, "a chain needs no lines");
    json_t *conv = json_array_get(layers, 0);
    cr_assert_str_eq(string_in(conv, "name"), "conv2d 3x3");
    cr_assert_str_eq(string_in(conv, "output"), "4x8x8");
    cr_assert_eq(json_integer_value(json_object_get(conv, "parameters")), 4 * 3 * 9 + 4);
    cr_assert_eq(json_integer_value(json_object_get(conv, "multiply_adds")), 4 * 3 * 9 * 64);
    cr_assert_eq(json_integer_value(json_object_get(a, "parameters")), network->parameter_count);
    json_decref(data);
    free(page);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

/* Rows: input, conv, norm + relu, conv, norm + relu, conv, norm, sum, relu, pool, linear; or fewer, where they are fused. */
Test(report, what_goes_past_layers_is_drawn)
{
    struct experiment experiment;
    struct status status = {0};
    experiment_from(&experiment, "[model]\nkind = convnet\nfeatures = 4, (4, 4)+, G\nbatchnorm = custom\n");
    struct backend *backend = backend_of(PRECISION_FP32, 1);
    struct network *network = network_from(&experiment, backend, (struct shape){1, 3, 8, 8}, 10, &status);
    cr_assert_not_null(network, "%s", status.message);
    struct report_run run = run_named("a");
    run.network = network;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *lanes = json_object_get(run_data(data, 0), "lanes");
    cr_assert_eq((int)json_array_size(lanes), network->group_count + 1);
    int nodes = 0, ups = 0, downs = 0;
    for (int row = 0; row <= network->group_count; row++) {
        cr_assert_eq(json_array_size(json_array_get(lanes, (size_t)row)), 1);
        int64_t bits = json_integer_value(json_array_get(json_array_get(lanes, (size_t)row), 0));
        nodes += bits & LANE_NODE ? 1 : 0, ups += bits & LANE_UP ? 1 : 0, downs += bits & LANE_DOWN ? 1 : 0;
    }
    cr_expect(nodes == 2 && ups == downs && ups >= 3, "%d nodes, %d up, %d down", nodes, ups, downs);
    json_decref(data);
    free(page);
    network_destroy(network);
    backend_destroy(backend);
    experiment_free(&experiment);
}

Test(report, mistakes_are_in_the_page)
{
    const struct mistake mistakes[] = {{7, 1, 0, 0.75, 0.125}, {3, 0, 1, 0.5, NAN}};
    const uint8_t images[2] = {0, 255};
    struct confusion confusion = confusion_create(2);
    struct report_evaluation evaluation = {.checkpoint = "c", .set = "test set", .confusion = &confusion};
    evaluation.mistakes = mistakes, evaluation.mistake_count = 2;
    evaluation.channels = evaluation.height = evaluation.width = 1, evaluation.images = images;
    char *files[] = {"test/<b>/a\nb.png", NULL};
    evaluation.mistake_files = files;
    struct report_run run = run_named("a");
    run.evaluation = &evaluation;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *list = json_object_get(run_data(data, 0), "mistakes");
    const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
    cr_assert_eq(json_array_size(list), 2);
    cr_assert_eq(json_integer_value(json_object_get(first, "index")), 7);
    cr_assert_eq(json_integer_value(json_object_get(first, "label")), 1);
    cr_assert_str_eq(json_string_value(json_object_get(first, "file")), "test/<b>/a\\nb.png");
    cr_assert(json_is_null(json_object_get(second, "file")));
    cr_assert_eq(json_integer_value(json_object_get(second, "predicted")), 1);
    cr_assert_eq(json_real_value(json_object_get(first, "probability")), 0.75);
    cr_assert(json_is_null(json_object_get(second, "label_probability")));
    cr_assert(!json_equal(json_object_get(first, "image"), json_object_get(second, "image")) ||
              json_is_null(json_object_get(first, "image")));
    cr_assert_str_eq(json_string_value(json_array_get(json_object_get(run_data(data, 0), "classes"), 1)), "1");
    json_decref(data);
    free(page);
    confusion_free(&confusion);
}

Test(report, the_confusion_matrix_is_in_the_page)
{
    char *names[] = {"cat", "<dog>"};
    struct confusion confusion = confusion_create(2);
    struct report_evaluation evaluation = {
        .checkpoint = "run/best", .set = "test set", .step = 70, .figures = {NAN, 0.25}};
    evaluation.confusion = &confusion, evaluation.class_names = names;
    confusion_add(&confusion, 0, 1), confusion_add(&confusion, 0, 1), confusion_add(&confusion, 1, 2);
    struct report_run run = run_named("a");
    run.evaluation = &evaluation;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *a = run_data(data, 0), *evaluated = json_object_get(a, "evaluated");
    char *matrix = json_dumps(json_object_get(a, "confusion"), JSON_COMPACT);
    cr_assert_str_eq(matrix, "[[0,2,0],[0,0,1]]");
    cr_assert_str_eq(json_string_value(json_array_get(json_object_get(a, "classes"), 1)), "<dog>");
    cr_assert_eq(json_integer_value(json_object_get(evaluated, "step")), 70);
    cr_assert_eq(json_integer_value(json_object_get(evaluated, "count")), 3);
    cr_assert(json_is_null(json_object_get(evaluated, "loss")));
    char *pairs = json_dumps(json_object_get(a, "pairs"), JSON_COMPACT | JSON_SORT_KEYS);
    cr_assert_str_eq(pairs, "[{\"count\":2,\"label\":0,\"taken\":1},{\"count\":1,\"label\":1,\"taken\":2}]");
    free(pairs);
    json_t *first = json_array_get(json_object_get(a, "class_figures"), 0);
    cr_assert(json_is_null(json_object_get(first, "precision"))); /* never predicted */
    cr_assert_eq(json_number_value(json_object_get(first, "recall")), 0);
    cr_assert_eq(json_number_value(json_object_get(evaluated, "balanced_accuracy")), 0);
    free(matrix);
    json_decref(data);
    free(page);
    confusion_free(&confusion);
}

/* Of many classes the page has those with the lowest F1, and no matrix; of very many no pairs either. */
static void expect_many_classes(int64_t classes, bool has_pairs)
{
    struct confusion confusion = confusion_create(classes);
    struct report_evaluation evaluation = {.checkpoint = "c", .set = "test set", .confusion = &confusion};
    for (int64_t i = 0; i < classes; i++) confusion_add(&confusion, i, i);
    confusion_add(&confusion, 130, 7), confusion_add(&confusion, 130, 7), confusion_add(&confusion, 3, 7);
    struct report_run run = run_named("a");
    run.evaluation = &evaluation;
    char *page = page_of(&run, 1);
    json_t *data = data_of(page), *a = run_data(data, 0), *figures = json_object_get(a, "class_figures");
    cr_expect(json_is_null(json_object_get(a, "confusion")));
    cr_expect(has_pairs ? json_array_size(json_object_get(a, "pairs")) == 2
                        : json_is_null(json_object_get(a, "pairs")));
    cr_expect_eq(json_array_size(json_object_get(a, "classes")), (size_t)classes);
    cr_assert_eq(json_array_size(figures), 100);
    const int64_t expected[] = {7, 130, 3, 0, 1}; /* F1: 2/5, 1/2, 2/3, 1, 1 */
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(json_integer_value(json_object_get(json_array_get(figures, i), "label")), expected[i]);
    json_decref(data);
    free(page);
    confusion_free(&confusion);
}

Test(report, many_classes_give_a_page_that_can_be_read)
{
    expect_many_classes(1000, true);
    expect_many_classes(CONFUSION_MATRIX_MAX + 1, false);
}

/* Content-Security-Policy tells the browser the same, but the page should hold nothing that the browser would
 * refuse. */
Test(report, the_page_needs_no_other_file)
{
    struct report_run run = run_named("a");
    char *page = page_of(&run, 1);
    const char *const references[] = {"src=", "href=", "@import", "url(h", "fetch(", "XMLHttp", "WebSocket"};
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        cr_assert_null(strstr(page, references[i]), "%s", references[i]);
    cr_assert_not_null(strstr(page, "default-src 'none'"));
    cr_assert_not_null(strstr(page, "class Charts"));
    cr_assert_not_null(strstr(page, "prefers-color-scheme: dark"));
    free(page);
}

Test(report, more_is_missing_than_there_is_room_for)
{
    struct report_run run = run_named("a");
    for (int i = 0; i < REPORT_MISSING_MAX + 2; i++) report_add_missing(&run, "no %d", i);
    char *page = page_of(&run, 1);
    json_t *data = data_of(page);
    cr_assert_eq(json_array_size(json_object_get(run_data(data, 0), "missing")), REPORT_MISSING_MAX);
    json_decref(data);
    free(page);
    for (int i = 0; i < REPORT_MISSING_MAX; i++) free(run.missing[i]);
}

Test(report, a_file_that_cannot_be_written_is_an_error)
{
    struct report_run run = run_named("a");
    struct status status = {0};
    cr_assert_not(report_write("/nowhere/report.html", &run, 1, &status));
    cr_assert_eq(status.code, STATUS_RUNTIME);
    cr_assert_eq(strncmp(status.message, "/nowhere/report.html", 20), 0, "%s", status.message);
}
