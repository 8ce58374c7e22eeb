/* Tests metrics.csv: the reader gives back the written rows, and refuses everything else with its line. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "../src/train/metrics_csv.h"
#include "config_support.h"

TestSuite(csv, .init = enter_folder, .fini = leave_folder);

#define HEADER "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n"
#define ROW "1,0,2.5,0.25,2.75,0.125,0.001,1.500\n"

static const struct metrics_columns usual = {.test = true};

static void write_columns(const char *path, struct metrics_columns columns, const struct metrics_row *rows, int count)
{
    struct metrics_csv csv;
    struct status status = {0};
    cr_assert(metrics_csv_open(&csv, path, columns, &status), "%s", status.message);
    for (int i = 0; i < count; i++) cr_assert(metrics_csv_append(&csv, &rows[i], &status), "%s", status.message);
    metrics_csv_close(&csv);
}

static void write_rows(const char *path, const struct metrics_row *rows, int count)
{
    write_columns(path, usual, rows, count);
}

static struct metrics_row *read_rows(const char *path, int count)
{
    struct metrics_row *rows;
    struct metrics_columns columns;
    struct status status = {0};
    int found;
    cr_assert(metrics_csv_read(path, &columns, &rows, &found, &status), "%s", status.message);
    cr_assert_eq(found, count);
    return rows;
}

static void expect_refused(const char *path, const char *message)
{
    struct metrics_row *rows = (struct metrics_row *)&rows;
    struct metrics_columns columns;
    struct status status = {0};
    int count = 17;
    cr_assert_not(metrics_csv_read(path, &columns, &rows, &count, &status), "%s", message);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
    cr_expect_null(rows);
    cr_expect_eq(count, 0);
}

static void expect_text_refused(const char *text, const char *message)
{
    support_file_write("m.csv", text, strlen(text));
    expect_refused("m.csv", message);
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool same_rows(const struct metrics_row *a, const struct metrics_row *b)
{
    return a->step == b->step && a->epoch == b->epoch && same_bits(a->train.loss, b->train.loss) &&
           same_bits(a->train.accuracy, b->train.accuracy) && same_bits(a->validation.loss, b->validation.loss) &&
           same_bits(a->validation.accuracy, b->validation.accuracy) && same_bits(a->test.loss, b->test.loss) &&
           same_bits(a->test.accuracy, b->test.accuracy) && same_bits(a->learning_rate, b->learning_rate) &&
           same_bits(a->elapsed_seconds, b->elapsed_seconds);
}

/* --- written and read --- */

/* Numbers of nine digits, and times in milliseconds, come back to the bit. */
Test(csv, round_trip_is_exact)
{
    const struct metrics_row rows[] = {
        {1, 0, {2.30258509, 0.0}, EVALUATION_NONE, {2.30258512, 1.0}, 1e-3, 0.0},
        {2, 0, {123456789, 0.123456789}, EVALUATION_NONE, {1.17549435e-38, 0.1}, 0.3, 0.001},
        {3, 1, {-4.25, 0.987654321}, EVALUATION_NONE, {3.40282347e38, 0.5}, 0.0, 86399.999},
        {INT64_MAX, INT64_MAX, {-0.0, 0.7}, EVALUATION_NONE, {1e300, 0.33333333}, 1e-300, 123456789.125},
    };
    const int count = sizeof rows / sizeof *rows;
    write_rows("m.csv", rows, count);
    struct metrics_row *found = read_rows("m.csv", count);
    for (int i = 0; i < count; i++) cr_expect(same_rows(&found[i], &rows[i]), "row %d", i);
    free(found);
}

/* Any float comes back as that float. A file that is read and written again has the same bytes. */
Test(csv, floats_survive)
{
    enum { ROWS = 500 };
    struct metrics_row rows[ROWS] = {{0}};
    double values[3 * ROWS];
    support_fill(values, 3 * ROWS, support_seed("floats_survive"), 0, 0, 1);
    for (int i = 0; i < ROWS; i++) {
        rows[i].step = i;
        rows[i].train.loss = (float)exp(40 * values[3 * i]);
        rows[i].test.loss = (float)-exp(values[3 * i + 1]);
        rows[i].train.accuracy = (float)(fabs(values[3 * i + 2]) / 3);
        rows[i].learning_rate = (float)exp(-fabs(20 * values[3 * i + 1]));
    }
    write_rows("a.csv", rows, ROWS);
    struct metrics_row *found = read_rows("a.csv", ROWS);
    for (int i = 0; i < ROWS; i++) {
        cr_assert_eq((float)found[i].train.loss, (float)rows[i].train.loss);
        cr_assert_eq((float)found[i].test.loss, (float)rows[i].test.loss);
        cr_assert_eq((float)found[i].train.accuracy, (float)rows[i].train.accuracy);
        cr_assert_eq((float)found[i].learning_rate, (float)rows[i].learning_rate);
    }
    write_rows("b.csv", found, ROWS);
    char *a = support_file_read("a.csv", NULL), *b = support_file_read("b.csv", NULL);
    cr_expect_str_eq(a, b);
    free(a), free(b), free(found);
}

/* The sign of a nan means nothing, and some libraries print it. */
Test(csv, nan_and_infinity)
{
    const struct metrics_row row = {5,        1,       {NAN, NAN}, EVALUATION_NONE, {-INFINITY, copysign(NAN, -1)},
                                    INFINITY, INFINITY};
    write_rows("m.csv", &row, 1);
    char *text = support_file_read("m.csv", NULL);
    cr_expect_str_eq(text, HEADER "5,1,nan,nan,-inf,nan,inf,inf\n");
    struct metrics_row *found = read_rows("m.csv", 1);
    cr_expect(isnan(found->train.loss) && isnan(found->train.accuracy) && isnan(found->test.accuracy));
    cr_expect(found->test.loss == -INFINITY && found->learning_rate == INFINITY);
    free(text), free(found);
}

/* The largest and smallest doubles come back, subnormal ones too. */
Test(csv, extreme_numbers)
{
    const struct metrics_row row = {0,      0, {1.7976931348623157e308, 5e-324}, EVALUATION_NONE, {-5e-324, 2e-310},
                                    1e-320, 0};
    write_rows("m.csv", &row, 1);
    struct metrics_row *found = read_rows("m.csv", 1);
    cr_expect_float_eq(found->train.loss / row.train.loss, 1, 1e-8);
    cr_expect(same_bits(found->train.accuracy, 5e-324));
    cr_expect(same_bits(found->test.loss, -5e-324));
    cr_expect_float_eq(found->test.accuracy / 2e-310, 1, 1e-8);
    free(found);
}

/* A run that has not evaluated yet is no error. */
Test(csv, no_rows)
{
    write_rows("m.csv", NULL, 0);
    struct metrics_row *rows = read_rows("m.csv", 0);
    cr_expect_null(rows);
}

/* Every row is in the file as soon as it is appended, and the rows of an old file are gone. */
Test(csv, rows_are_written_at_once)
{
    const struct metrics_row row = {1, 0, {2.5, 0.25}, EVALUATION_NONE, {2.75, 0.125}, 0.001, 1.5};
    struct metrics_csv csv;
    struct status status = {0};
    support_file_write("m.csv", "old", 3);
    cr_assert(metrics_csv_open(&csv, "m.csv", usual, &status), "%s", status.message);
    char *text = support_file_read("m.csv", NULL);
    cr_expect_str_eq(text, HEADER);
    free(text);
    cr_assert(metrics_csv_append(&csv, &row, &status), "%s", status.message);
    text = support_file_read("m.csv", NULL);
    cr_expect_str_eq(text, HEADER ROW);
    free(text);
    metrics_csv_close(&csv);
}

/* --- the sets of a run --- */

#define START "step,epoch,train_loss,train_accuracy,"
#define END "learning_rate,elapsed_seconds\n"

static void expect_columns(struct metrics_columns columns, const char *text)
{
    struct metrics_row row = {2, 1, {1, 0.5}, {2, 0.25}, {3, 0.125}, 0.1, 4};
    struct metrics_columns found;
    struct metrics_row *rows;
    struct status status = {0};
    int count;
    write_columns("m.csv", columns, &row, 1);
    char *written = support_file_read("m.csv", NULL);
    cr_expect_str_eq(written, text, "\"%s\", not \"%s\"", written, text);
    cr_assert(metrics_csv_read("m.csv", &found, &rows, &count, &status), "%s", status.message);
    cr_expect(found.validation == columns.validation && found.test == columns.test);
    cr_expect_eq(found.running, columns.running);
    if (!columns.validation) row.validation = (struct evaluation)EVALUATION_NONE;
    if (!columns.test) row.test = (struct evaluation)EVALUATION_NONE;
    cr_expect(count == 1 && evaluation_exists(&rows->validation) == columns.validation);
    cr_expect(evaluation_exists(&rows->test) == columns.test);
    cr_expect(!columns.validation || rows->validation.loss == 2);
    cr_expect(!columns.test || rows->test.loss == 3);
    free(written), free(rows);
}

Test(csv, has_columns_of_the_sets_that_a_run_has)
{
    expect_columns((struct metrics_columns){.test = true}, HEADER "2,1,1,0.5,3,0.125,0.1,4.000\n");
    expect_columns((struct metrics_columns){.validation = true, .test = true},
                   START "val_loss,val_accuracy,test_loss,test_accuracy," END "2,1,1,0.5,2,0.25,3,0.125,0.1,4.000\n");
    expect_columns((struct metrics_columns){.validation = true},
                   START "val_loss,val_accuracy," END "2,1,1,0.5,2,0.25,0.1,4.000\n");
    expect_columns((struct metrics_columns){.running = true, .validation = true},
                   "step,epoch,running_loss,running_accuracy,val_loss,val_accuracy," END
                   "2,1,1,0.5,2,0.25,0.1,4.000\n");
    expect_columns((struct metrics_columns){0}, START END "2,1,1,0.5,0.1,4.000\n");
}

/* A program without a validation set began this file. */
Test(csv, goes_on_with_other_columns)
{
    const struct metrics_row next = {2, 0, {1, 0.5}, {2, 0.25}, {3, 0.125}, 0.1, 4};
    const char *old = HEADER ROW "2,0,9,0.9,9,0.9,0.9,9.000\n3,0";
    struct metrics_csv csv;
    struct metrics_row *rows;
    struct status status = {0};
    support_file_write("m.csv", old, strlen(old));
    cr_assert(metrics_csv_continue(&csv, "m.csv", (struct metrics_columns){.validation = true, .test = true}, 1, &rows,
                                   &status),
              "%s", status.message);
    cr_expect(rows[0].test.loss == 2.75 && !evaluation_exists(&rows[0].validation));
    cr_assert(metrics_csv_append(&csv, &next, &status), "%s", status.message);
    metrics_csv_close(&csv);
    char *text = support_file_read("m.csv", NULL);
    cr_expect_str_eq(text,
                     START "val_loss,val_accuracy,test_loss,test_accuracy," END
                           "1,0,2.5,0.25,nan,nan,2.75,0.125,0.001,1.500\n2,0,1,0.5,2,0.25,3,0.125,0.1,4.000\n",
                     "%s", text);
    free(text), free(rows);
}

/* --- files that a spreadsheet saved --- */

#define ROWS_OF_TWO ROW "2,0,1,0.5,1,0.5,0.1,2.000\n"
#define QUOTED_HEADER                                                                                                  \
    "\"step\",\"epoch\",\"train_loss\",\"train_accuracy\",\"test_loss\",\"test_accuracy\",\"learning_rate\","          \
    "\"elapsed_seconds\"\r\n"

/* Returns the text with CR LF for each newline, in a new string. */
static char *with_cr_lf(const char *before, const char *text)
{
    char *longer = memory_alloc(strlen(before) + 2 * strlen(text) + 1, 1), *to = longer + strlen(before);
    memcpy(longer, before, strlen(before));
    for (; *text; text++) {
        if (*text == '\n') *to++ = '\r';
        *to++ = *text;
    }
    return longer;
}

static void expect_two_rows(const char *text, size_t size)
{
    support_file_write("m.csv", text, size);
    struct metrics_row *rows = read_rows("m.csv", 2);
    cr_expect(rows[0].step == 1 && rows[0].learning_rate == 0.001 && rows[0].elapsed_seconds == 1.5);
    cr_expect(rows[1].step == 2 && rows[1].test.accuracy == 0.5 && rows[1].elapsed_seconds == 2);
    free(rows);
}

Test(csv, takes_what_spreadsheets_save)
{
    char *plain = with_cr_lf("", HEADER ROWS_OF_TWO), *marked = with_cr_lf("\xEF\xBB\xBF", HEADER ROWS_OF_TWO);
    expect_two_rows(plain, strlen(plain));
    expect_two_rows(plain, strlen(plain) - 1);
    expect_two_rows(plain, strlen(plain) - 2);
    expect_two_rows(marked, strlen(marked));
    expect_two_rows("\xEF\xBB\xBF" HEADER ROWS_OF_TWO, strlen(HEADER ROWS_OF_TWO) + 3);
    const char *quoted = QUOTED_HEADER "1,0,2.5,\"0.25\",2.75,0.125,1.00E-03,1.5\r\n2,0,1,0.5,1,0.5,0.1,2";
    expect_two_rows(quoted, strlen(quoted));
    /* Errors in such a file have the usual messages. A byte order mark anywhere else is none. */
    expect_text_refused(HEADER ROW "2,0,1,0.5,1,0.5,0.1\r\n", "m.csv:3: expected 8 columns, found 7");
    expect_text_refused(HEADER "\xEF\xBB\xBF" ROW, "m.csv:2: step: expected a whole number, found \"\xEF\xBB\xBF"
                                                   "1\"");
    free(plain), free(marked);
}

/* A run that goes on writes the file anew, so that all lines are of one kind. */
Test(csv, goes_on_with_a_file_that_a_spreadsheet_saved)
{
    const struct metrics_row next = {
        .step = 3, .train = {1, 0.5}, .test = {1, 0.5}, .learning_rate = 0.1, .elapsed_seconds = 3};
    char *saved = with_cr_lf("\xEF\xBB\xBF", HEADER ROWS_OF_TWO "9,0,1,0.5,1,0.5,0.1,9.000\n");
    struct metrics_csv csv;
    struct metrics_row *rows;
    struct status status = {0};
    support_file_write("m.csv", saved, strlen(saved));
    cr_assert(metrics_csv_continue(&csv, "m.csv", usual, 2, &rows, &status), "%s", status.message);
    cr_assert(metrics_csv_append(&csv, &next, &status), "%s", status.message);
    metrics_csv_close(&csv);
    char *text = support_file_read("m.csv", NULL);
    cr_expect_str_eq(text, HEADER ROWS_OF_TWO "3,0,1,0.5,1,0.5,0.1,3.000\n", "%s", text);
    free(saved), free(rows), free(text);
}

/* --- refused files --- */

#define EXPECTED_HEADER                                                                                                  \
    "m.csv:1: expected the header "                                                                                      \
    "\"step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\", or "                \
    "that of a run with other figures (running_ for train_, val_loss,val_accuracy before those of the test set, either " \
    "pair missing), "                                                                                                    \
    "found "

Test(csv, header_errors)
{
    expect_text_refused("", EXPECTED_HEADER "\"\"");
    expect_text_refused("\n" HEADER, EXPECTED_HEADER "\"\"");
    expect_text_refused("step,epoch\n" ROW, EXPECTED_HEADER "\"step,epoch\"");
    expect_text_refused(ROW, EXPECTED_HEADER "\"1,0,2.5,0.25,2.75,0.125,0.001,1.500\"");
    expect_text_refused("step", "m.csv:1: the line is cut off: no newline at its end");
}

Test(csv, column_errors)
{
    expect_text_refused(HEADER "1,0,1,0.5,1,0.5,0.1\n", "m.csv:2: expected 8 columns, found 7");
    expect_text_refused(HEADER ROW "2,0,1,0.5,1,0.5,0.1,1,1\n", "m.csv:3: expected 8 columns, found 9");
    expect_text_refused(HEADER "\n", "m.csv:2: expected 8 columns, found 1");
    expect_text_refused(HEADER "x,0,1,1,1,1,1,1\n", "m.csv:2: step: expected a whole number, found \"x\"");
    expect_text_refused(HEADER "1.0,0,1,1,1,1,1,1\n", "m.csv:2: step: expected a whole number, found \"1.0\"");
    expect_text_refused(HEADER "-1,0,1,1,1,1,1,1\n", "m.csv:2: step: expected a whole number, found \"-1\"");
    expect_text_refused(HEADER "1,nan,1,1,1,1,1,1\n", "m.csv:2: epoch: expected a whole number, found \"nan\"");
    expect_text_refused(HEADER "1,0,,1,1,1,1,1\n", "m.csv:2: train_loss: expected a number, found \"\"");
    expect_text_refused(HEADER "1,0,1 ,1,1,1,1,1\n", "m.csv:2: train_loss: expected a number, found \"1 \"");
    expect_text_refused(HEADER "1,0,1, 1,1,1,1,1\n",
                        "m.csv:2: train_accuracy: expected a number of 0..1, found \" 1\"");
    expect_text_refused(HEADER "1,0,1,1,0x1,1,1,1\n", "m.csv:2: test_loss: expected a number, found \"0x1\"");
    expect_text_refused(HEADER "1,0,1,1,NaN,1,1,1\n", "m.csv:2: test_loss: expected a number, found \"NaN\"");
    expect_text_refused(HEADER "1,0,1,1,1,1.01,1,1\n",
                        "m.csv:2: test_accuracy: expected a number of 0..1, found \"1.01\"");
    expect_text_refused(HEADER "1,0,1,1,1,inf,1,1\n",
                        "m.csv:2: test_accuracy: expected a number of 0..1, found \"inf\"");
    expect_text_refused(HEADER "1,0,1,1,1,1,-1e-3,1\n",
                        "m.csv:2: learning_rate: expected a number >= 0, found \"-1e-3\"");
    expect_text_refused(HEADER "1,0,1,1,1,1,1,-inf\n",
                        "m.csv:2: elapsed_seconds: expected a number >= 0, found \"-inf\"");
}

Test(csv, steps_grow)
{
    expect_text_refused(HEADER ROW ROW, "m.csv:3: step: expected more than the 1 of the row before, found 1");
    expect_text_refused(HEADER ROW "0,0,1,1,1,1,1,1\n",
                        "m.csv:3: step: expected more than the 1 of the row before, found 0");
}

/* A full disk or a killed run leaves a prefix of a file. One that ends within a line must not pass for a shorter
 * run. */
Test(csv, truncated_files)
{
    const char *text = HEADER ROW "2,0,1,0.5,1,0.5,0.1,2.000\n";
    struct metrics_columns columns;
    struct metrics_row *rows;
    struct status status;
    int count, passed = 0;
    for (size_t size = 0; size < strlen(text); size++) {
        support_file_write("m.csv", text, size);
        bool whole = size > 0 && text[size - 1] == '\n';
        cr_expect_eq(metrics_csv_read("m.csv", &columns, &rows, &count, &status), whole, "%zu bytes", size);
        if (!whole) continue;
        cr_expect_eq(count, passed++);
        free(rows);
    }
    cr_expect_eq(passed, 2);
    expect_text_refused(HEADER ROW "2,0,1,0.5,1,0.5,0.1,2.00", "m.csv:3: the line is cut off: no newline at its end");
}

Test(csv, hostile_numbers)
{
    expect_text_refused(HEADER "9223372036854775808,0,1,1,1,1,1,1\n",
                        "m.csv:2: step: expected a whole number, found \"9223372036854775808\"");
    expect_text_refused(HEADER "1,99999999999999999999999,1,1,1,1,1,1\n",
                        "m.csv:2: epoch: expected a whole number, found \"99999999999999999999999\"");
    expect_text_refused(HEADER "1,0,1e309,1,1,1,1,1\n", "m.csv:2: train_loss: expected a number, found \"1e309\"");
    expect_text_refused(HEADER "1,0,-1e999999999999,1,1,1,1,1\n",
                        "m.csv:2: train_loss: expected a number, found \"-1e999999999999\"");
    expect_text_refused(HEADER "1,0,%n%s,1,1,1,1,1\n", "m.csv:2: train_loss: expected a number, found \"%n%s\"");
}

static void expect_long_line(size_t length, const char *message)
{
    char text[1024] = HEADER;
    size_t start = strlen(text);
    memset(text + start, '1', length);
    strcpy(text + start + length, "\n");
    expect_text_refused(text, message);
}

Test(csv, long_lines)
{
    expect_long_line(METRICS_CSV_LINE_LIMIT, "m.csv:2: expected 8 columns, found 1");
    expect_long_line(METRICS_CSV_LINE_LIMIT + 1, "m.csv:2: longer than the 255 characters that a line may have");
    expect_long_line(800, "m.csv:2: longer than the 255 characters that a line may have");
}

Test(csv, not_text)
{
    const char bytes[] = HEADER "1,0\0,";
    support_file_write("m.csv", bytes, sizeof bytes - 1);
    expect_refused("m.csv", "m.csv:2: not text: a NUL character");
}

Test(csv, too_many_rows)
{
    FILE *file = fopen("m.csv", "w");
    cr_assert_not_null(file);
    fputs(HEADER, file);
    for (int i = 0; i <= METRICS_CSV_ROW_LIMIT; i++) fprintf(file, "%d,0,1,1,1,1,1,1\n", i);
    cr_assert_eq(fclose(file), 0);
    expect_refused("m.csv", "m.csv:1000002: more than the 1000000 rows that a file may have");
}

Test(csv, files_that_cannot_be_read)
{
    expect_refused("none.csv", "none.csv: cannot open: No such file or directory");
    expect_refused(".", ".: cannot read: Is a directory");
}

/* --- writing that fails --- */

static void expect_not_written(bool written, const struct status *status, const char *message)
{
    cr_assert_not(written);
    cr_expect_eq(status->code, STATUS_RUNTIME);
    cr_expect_str_eq(status->message, message, "\"%s\", not \"%s\"", status->message, message);
}

Test(csv, full_disk)
{
    struct metrics_csv csv;
    struct status status = {0};
    bool opened = metrics_csv_open(&csv, "/dev/full", usual, &status);
    expect_not_written(opened, &status, "/dev/full: cannot write: No space left on device");
    metrics_csv_close(&csv);
}

/* The disk fills up later, when the file is open already. */
Test(csv, full_disk_at_a_row)
{
    const struct metrics_row row = {.step = 1};
    struct metrics_csv csv;
    struct status status = {0};
    cr_assert(metrics_csv_open(&csv, "m.csv", usual, &status), "%s", status.message);
    int full = open("/dev/full", O_WRONLY);
    cr_assert(full >= 0 && dup2(full, fileno(csv.file)) >= 0);
    close(full);
    bool appended = metrics_csv_append(&csv, &row, &status);
    expect_not_written(appended, &status, "m.csv: cannot write: No space left on device");
    metrics_csv_close(&csv);
}

Test(csv, no_place_for_the_file)
{
    struct metrics_csv csv;
    struct status status = {0};
    bool opened = metrics_csv_open(&csv, "none/m.csv", usual, &status);
    expect_not_written(opened, &status, "none/m.csv: cannot create the file: No such file or directory");
    metrics_csv_close(&csv);
}
