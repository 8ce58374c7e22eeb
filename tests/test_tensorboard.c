/* Tests event files: frames, contents, and their continuation by a run that goes on. In
 * tests/interop/test_tensorboard.py TensorBoard itself reads them. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../src/report/tensorboard.h"
#include "../src/report/tfrecord.h"
#include "config_support.h"
#include "tensorboard.pb-c.h"
#include "train/train.h"

TestSuite(tensorboard, .init = enter_folder, .fini = leave_folder);

enum { EVENT_LIMIT = 64 };

struct event_list {
    int count;
    Tensorboard__Event *event[EVENT_LIMIT];
};

static int is_event_file(const struct dirent *entry)
{
    return strncmp(entry->d_name, "events.out.tfevents.", 20) == 0;
}

/* Returns the path of the folder's event file number `index` in the order of their names. The folder must have `count`
 * of them. */
static char *event_file(const char *folder, int index, int count)
{
    struct dirent **names;
    int found = scandir(folder, &names, is_event_file, alphasort);
    cr_assert_eq(found, count, "%d event files in %s", found, folder);
    char *path = support_path(folder, names[index]->d_name);
    for (int i = 0; i < found; i++) free(names[i]);
    free(names);
    return path;
}

static uint64_t little_endian(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* Every frame's length and both checksums must be right, and the last must end where the file does. */
static struct event_list read_events(char *path)
{
    struct event_list list = {0};
    size_t size, at = 0;
    uint8_t *bytes = (uint8_t *)support_file_read(path, &size);
    cr_assert_not_null(bytes, "%s", path);
    while (at < size) {
        cr_assert(size - at >= 16 && list.count < EVENT_LIMIT);
        uint64_t length = little_endian(bytes + at, 8);
        cr_assert_eq(little_endian(bytes + at + 8, 4), tfrecord_checksum(bytes + at, 8));
        cr_assert(length <= size - at - 16);
        cr_assert_eq(little_endian(bytes + at + 12 + length, 4), tfrecord_checksum(bytes + at + 12, length));
        Tensorboard__Event *event = tensorboard__event__unpack(NULL, length, bytes + at + 12);
        cr_assert_not_null(event);
        list.event[list.count++] = event;
        at += 16 + length;
    }
    free(bytes);
    free(path);
    return list;
}

static void free_events(struct event_list *list)
{
    for (int i = 0; i < list->count; i++) tensorboard__event__free_unpacked(list->event[i], NULL);
}

static void expect_head(const struct event_list *list, int64_t first_step)
{
    cr_assert_geq(list->count, 2);
    cr_assert_eq(list->event[0]->what_case, TENSORBOARD__EVENT__WHAT_FILE_VERSION);
    cr_assert_str_eq(list->event[0]->file_version, "brain.Event:2");
    cr_assert_eq(list->event[1]->what_case, TENSORBOARD__EVENT__WHAT_SESSION_LOG);
    cr_assert_eq(list->event[1]->session_log->status, TENSORBOARD__SESSION_LOG__SESSION_STATUS__START);
    cr_assert_eq(list->event[1]->step, first_step);
}

static struct tensorboard open_board(int64_t first_step)
{
    struct tensorboard board;
    struct status status = {0};
    cr_assert(tensorboard_open(&board, "run/tensorboard", first_step, &status), "%s", status.message);
    return board;
}

/* --- frames --- */

/* CRC-32C of "123456789" is 0xe3069283 (RFC 3720 has the polynomial); CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720,
 * B.4). */
Test(tensorboard, checksums_are_masked_crc32c)
{
    const uint8_t zeros[32] = {0};
    uint32_t a = 0xe3069283, b = 0x8a9136aa;
    cr_assert_eq(tfrecord_checksum("123456789", 9), (a >> 15 | a << 17) + 0xa282ead8);
    cr_assert_eq(tfrecord_checksum(zeros, 32), (b >> 15 | b << 17) + 0xa282ead8);
}

Test(tensorboard, a_full_disk_is_an_error)
{
    FILE *file = fopen("/dev/full", "wb");
    cr_assert_not_null(file);
    setvbuf(file, NULL, _IONBF, 0);
    cr_assert_not(tfrecord_write(file, "x", 1));
    struct tensorboard board = {file, memory_copy_string("/dev/full")};
    struct status status = {0};
    struct tensorboard_scalar scalar = {"loss", 1};
    cr_assert_not(tensorboard_add_scalars(&board, 1, &scalar, 1, &status));
    cr_assert_str_eq(status.message, "/dev/full: cannot write: No space left on device");
    tensorboard_close(&board);
}

/* --- events --- */

Test(tensorboard, scalars_and_text_are_as_given)
{
    struct tensorboard board = open_board(0);
    struct tensorboard_scalar scalars[] = {{"loss/train", 0.5}, {"loss/test", NAN}};
    struct status status = {0};
    cr_assert(tensorboard_add_scalars(&board, INT64_C(1) << 40, scalars, 2, &status));
    cr_assert(tensorboard_add_text(&board, 3, "config", "a = \xC3\xA9\n", &status));
    tensorboard_close(&board);
    struct event_list list = read_events(event_file("run/tensorboard", 0, 1));
    expect_head(&list, 0);
    cr_assert_eq(list.count, 4);
    Tensorboard__Event *event = list.event[2];
    cr_assert(event->step == INT64_C(1) << 40 && event->wall_time > 1.7e9 && event->summary->n_value == 2);
    cr_assert_str_eq(event->summary->value[0]->tag, "loss/train");
    cr_assert_eq(event->summary->value[0]->simple_value, 0.5f);
    cr_assert(isnan(event->summary->value[1]->simple_value));
    Tensorboard__Summary__Value *text = list.event[3]->summary->value[0];
    cr_assert_str_eq(text->metadata->plugin_data->plugin_name, "text");
    cr_assert_eq(text->tensor->dtype, TENSORBOARD__DATA_TYPE__DT_STRING);
    cr_assert_eq(text->tensor->string_val[0].len, 7);
    cr_assert_arr_eq(text->tensor->string_val[0].data, "a = \xC3\xA9\n", 7);
    free_events(&list);
}

static Tensorboard__HistogramProto *histogram_of(struct event_list *list, int64_t count, const double *values)
{
    struct tensorboard board = open_board(0);
    struct status status = {0};
    cr_assert(tensorboard_add_histogram(&board, 1, "weights", values, count, &status));
    tensorboard_close(&board);
    *list = read_events(event_file("run/tensorboard", 0, 1));
    cr_assert_eq(list->count, 3);
    return list->event[2]->summary->value[0]->histo;
}

Test(tensorboard, histograms_count_every_finite_value)
{
    const double values[] = {-1, 2, 2, 0.04999, 0.05001, NAN, INFINITY};
    struct event_list list;
    Tensorboard__HistogramProto *histogram = histogram_of(&list, 7, values);
    cr_assert(histogram->min == -1 && histogram->max == 2 && histogram->num == 5);
    cr_assert_float_eq(histogram->sum, 3.1, 1e-12);
    cr_assert_float_eq(histogram->sum_squares, 9 + 0.04999 * 0.04999 + 0.05001 * 0.05001, 1e-12);
    cr_assert(histogram->n_bucket == 30 && histogram->n_bucket_limit == 30);
    cr_assert_float_eq(histogram->bucket_limit[0], -0.9, 1e-12);
    cr_assert_eq(histogram->bucket_limit[29], 2);
    for (int i = 0; i < 30; i++) cr_assert_eq(histogram->bucket[i], i == 0 ? 1 : i == 10 || i == 29 ? 2 : 0, "%d", i);
    free_events(&list);
}

Test(tensorboard, histograms_of_equal_values_and_of_none)
{
    const double equal[] = {3, 3, 3}, none[] = {NAN, -INFINITY};
    struct event_list list;
    Tensorboard__HistogramProto *histogram = histogram_of(&list, 3, equal);
    cr_assert(histogram->min == 3 && histogram->max == 3 && histogram->bucket[0] == 3);
    free_events(&list);
    histogram = histogram_of(&list, 2, none);
    cr_assert(histogram->num == 0 && histogram->bucket[0] == 0);
    free_events(&list);
}

/* --- runs that go on --- */

Test(tensorboard, a_run_that_goes_on_adds_a_file_and_voids_what_it_repeats)
{
    struct tensorboard board = open_board(0);
    tensorboard_close(&board);
    for (int i = 0; i < 3; i++) { /* all within a second, so the times in the names must be made to differ */
        board = open_board(41 + i);
        tensorboard_close(&board);
    }
    for (int i = 0; i < 4; i++) {
        struct event_list list = read_events(event_file("run/tensorboard", i, 4));
        expect_head(&list, i == 0 ? 0 : 40 + i);
        free_events(&list);
    }
}

Test(tensorboard, a_new_run_removes_the_files_of_the_one_before)
{
    for (int i = 0; i < 2; i++) {
        struct tensorboard board = open_board(7 * i);
        tensorboard_close(&board);
    }
    support_file_write("run/tensorboard/notes.txt", "mine", 4);
    struct tensorboard board = open_board(0);
    tensorboard_close(&board);
    struct event_list list = read_events(event_file("run/tensorboard", 0, 1));
    expect_head(&list, 0);
    free_events(&list);
    char *notes = support_file_read("run/tensorboard/notes.txt", NULL);
    cr_assert_str_eq(notes, "mine");
    free(notes);
}

/* --- a whole run --- */

static struct experiment tiny_run(const char *report)
{
    const char *overrides[] = {"data.dataset=synthetic", "data.synthetic_train=20",  "data.synthetic_test=10",
                               "data.synthetic_size=4",  "data.synthetic_classes=2", "model.hidden=3",
                               "train.max_steps=4",      "train.batch_size=5",       "train.eval_freq=2",
                               "backend.device=cpu",     "backend.threads=1",        report};
    struct experiment experiment = load_overrides(overrides, 11 + (report != NULL));
    return experiment;
}

Test(tensorboard, a_run_writes_files_only_where_asked)
{
    struct experiment experiment = tiny_run(NULL);
    struct status status = {0};
    cr_assert(train_run(&experiment, "run", TRAIN_NEW, NULL, NULL, NULL, &status), "%s", status.message);
    cr_assert_neq(access("run/tensorboard", F_OK), 0);
    experiment_free(&experiment);
}

Test(tensorboard, a_run_writes_its_metrics_and_config)
{
    struct experiment experiment = tiny_run("report.tensorboard=true");
    struct run_result result;
    struct status status = {0};
    cr_assert(train_run(&experiment, "run", TRAIN_OVERWRITE, NULL, NULL, &result, &status), "%s", status.message);
    struct event_list list = read_events(event_file("run/tensorboard", 0, 1));
    cr_assert_eq(list.count, 5); /* head, config, an evaluation after steps 2 and 4 */
    Tensorboard__Event *last = list.event[4];
    cr_assert_eq(last->step, 4);
    bool found = false;
    for (size_t i = 0; i < last->summary->n_value; i++) {
        Tensorboard__Summary__Value *value = last->summary->value[i];
        if (strcmp(value->tag, "loss/test") != 0) continue;
        cr_assert_eq(value->simple_value, (float)result.final.test.loss);
        found = true;
    }
    cr_assert(found);
    ProtobufCBinaryData text = list.event[2]->summary->value[0]->tensor->string_val[0];
    char *config = memory_format("%.*s", (int)text.len, (const char *)text.data);
    cr_assert_not_null(strstr(config, "    max_steps = 4\n"), "%s", config);
    free(config);
    free_events(&list);
    experiment_free(&experiment);
}

Test(tensorboard, histograms_need_event_files)
{
    expect_failure("[report]\nhistograms = true\n",
                   "x.ini:2: report.histograms: expected false, as report.tensorboard is false");
}
