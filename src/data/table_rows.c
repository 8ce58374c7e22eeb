/* Finds the classes of a table's rows (table_rows.h). */
#include "table_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/text.h"

enum { DIGITS_MAX = 9, PART_WORDS_SIZE = 64 };

char *table_trim(char *text)
{
    while (text_is_blank(*text)) text++;
    size_t length = strlen(text);
    while (length > 0 && text_is_blank(text[length - 1])) text[--length] = '\0';
    return text;
}

void table_rows_free(struct table_rows *rows)
{
    for (int64_t i = 0; i < rows->count; i++) free(rows->rows[i].label);
    free(rows->rows);
    *rows = (struct table_rows){0};
}

/* --- rows --- */

static bool check_label(const struct table *table, int64_t column, const char *label, struct status *status)
{
    const char *problem;
    size_t size = strlen(label), bad = text_find_bad_name_byte(label, size, &problem);
    if (size == 0) return table_fail(table, column, status, "nothing, expected a label");
    if (bad == size) return true;
    return table_fail(table, column, status, "%s (byte 0x%02x) in a label, expected text in UTF-8", problem,
                      (unsigned char)label[bad]);
}

static bool find_part(const struct table *table, const struct table_columns *columns, enum picture_part *part,
                      struct status *status)
{
    *part = PICTURE_TRAIN;
    if (columns->part < 0) return true;
    char *word = table_trim(table->fields[columns->part]);
    if (table_part_of(columns, word, part)) return true;
    char *shown = text_escape(word);
    table_fail(table, columns->part, status, "\"%.*s\", expected %s", PART_WORDS_SIZE, shown,
               columns->part_is_validation ? "True or False" : "train, val or test");
    free(shown);
    return false;
}

bool table_rows_add(struct table_rows *rows, struct table *table, const struct table_columns *columns,
                    struct status *status)
{
    enum picture_part part;
    char *label = table_trim(table->fields[columns->label]);
    if (!check_label(table, columns->label, label, status) || !find_part(table, columns, &part, status)) return false;
    if (rows->count >= DATA_COUNT_MAX)
        return table_fail(table, columns->label, status, "a row more than %d, expected no more", DATA_COUNT_MAX);
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity > 0 ? 2 * rows->capacity : 256;
        rows->rows = memory_resize(rows->rows, (size_t)rows->capacity, sizeof *rows->rows);
    }
    int64_t column = table->fields[columns->label] - table->scratch + 1;
    rows->rows[rows->count++] = (struct table_row){memory_copy_string(label), table->line, column, part, 0};
    return true;
}

/* --- classes --- */

static bool is_whole(const char *text)
{
    size_t length = strlen(text);
    return length <= DIGITS_MAX && strspn(text, "0123456789") == length;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts whole numbers; those that are written in different ways are in the order of their bytes. */
static int compare_numbers(const void *a, const void *b)
{
    long left = strtol(*(const char *const *)a, NULL, 10), right = strtol(*(const char *const *)b, NULL, 10);
    return left != right ? (left < right ? -1 : 1) : compare_texts(a, b);
}

/* The different labels of the training set, in order. */
struct labels {
    const char **texts; /* (count); the rows own the texts */
    int64_t count;
    bool whole; /* all of them are whole numbers */
};

static struct labels find_labels(const struct table_rows *rows)
{
    struct labels labels = {memory_alloc((size_t)rows->count, sizeof *labels.texts), 0, true};
    int64_t all = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        if (rows->rows[i].part != PICTURE_TRAIN) continue;
        labels.texts[all++] = rows->rows[i].label;
        labels.whole = labels.whole && is_whole(rows->rows[i].label);
    }
    if (all > 1) qsort(labels.texts, (size_t)all, sizeof *labels.texts, labels.whole ? compare_numbers : compare_texts);
    for (int64_t i = 0; i < all; i++)
        if (labels.count == 0 || strcmp(labels.texts[i], labels.texts[labels.count - 1]) != 0)
            labels.texts[labels.count++] = labels.texts[i];
    return labels;
}

static bool fail_row(const struct table_rows *rows, const struct table_row *row, const char *expected,
                     struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s:%" PRId64 ":%" PRId64 ": label \"%.200s\", expected %s", rows->path,
                       row->line, row->column, row->label, expected);
}

/* Gives every row the number of its label among `labels`. */
static bool number_by_labels(struct table_rows *rows, const struct labels *labels, struct status *status)
{
    for (int64_t i = 0; i < rows->count; i++) {
        struct table_row *row = &rows->rows[i];
        const char *label = row->label;
        const char **found = !labels->whole || is_whole(label)
                                 ? bsearch(&label, labels->texts, (size_t)labels->count, sizeof *labels->texts,
                                           labels->whole ? compare_numbers : compare_texts)
                                 : NULL;
        if (!found) return fail_row(rows, row, "one that the training set has", status);
        row->number = (uint16_t)(found - labels->texts);
    }
    return true;
}

/* Takes whole numbers below the number of classes as they are. */
static bool number_by_value(struct table_rows *rows, int64_t classes, struct status *status)
{
    for (int64_t i = 0; i < rows->count; i++) {
        struct table_row *row = &rows->rows[i];
        int64_t value = is_whole(row->label) ? strtol(row->label, NULL, 10) : classes;
        if (value >= classes) return fail_row(rows, row, "a number below the number of classes", status);
        row->number = (uint16_t)value;
    }
    return true;
}

/* Gives every row the place of its label in the names of the config. */
static bool number_by_names(struct table_rows *rows, const struct class_names *names, struct status *status)
{
    struct labels sorted = {memory_alloc((size_t)names->count, sizeof *sorted.texts), names->count, false};
    int64_t *place = memory_alloc((size_t)names->count, sizeof *place);
    for (int64_t i = 0; i < names->count; i++) sorted.texts[i] = names->name[i];
    qsort(sorted.texts, (size_t)sorted.count, sizeof *sorted.texts, compare_texts);
    for (int64_t i = 0; i < names->count; i++) {
        const char *name = names->name[i];
        const char **found = bsearch(&name, sorted.texts, (size_t)sorted.count, sizeof *sorted.texts, compare_texts);
        place[found - sorted.texts] = i;
    }
    bool good = true;
    for (int64_t i = 0; i < rows->count && good; i++) {
        const char *label = rows->rows[i].label;
        const char **found = bsearch(&label, sorted.texts, (size_t)sorted.count, sizeof *sorted.texts, compare_texts);
        if (found)
            rows->rows[i].number = (uint16_t)place[found - sorted.texts];
        else
            good = fail_row(rows, &rows->rows[i], "one of data.class_names", status);
    }
    free(sorted.texts);
    free(place);
    return good;
}

static bool has_any(const struct labels *labels, const struct class_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        for (int64_t k = 0; k < labels->count; k++)
            if (strcmp(labels->texts[k], names->name[i]) == 0) return true;
    return false;
}

/* Makes names of the classes from the labels, or from the numbers below `count`. */
static void make_names(struct class_names *classes, const struct labels *labels, int64_t count)
{
    classes->name = memory_alloc((size_t)count, sizeof *classes->name);
    for (; classes->count < count; classes->count++)
        classes->name[classes->count] =
            labels ? memory_copy_string(labels->texts[classes->count]) : memory_format("%" PRId64, classes->count);
}

static bool check_labels(const struct table_rows *rows, const struct labels *labels, struct status *status)
{
    if (labels->count == 0) return status_fail(status, STATUS_RUNTIME, "%s: no row of the training set", rows->path);
    if (labels->count == 1)
        return status_fail(status, STATUS_RUNTIME, "%s: every label is \"%.200s\", expected at least 2 classes",
                           rows->path, labels->texts[0]);
    if (labels->count <= DATASET_CLASSES_MAX) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: %" PRId64 " different labels, expected at most %d classes",
                       rows->path, labels->count, DATASET_CLASSES_MAX);
}

/* Numbers the rows; `names` are those of the config, if there are any. */
static bool settle(struct table_rows *rows, struct class_names *classes, const struct labels *labels,
                   const struct class_names *names, int64_t count, struct status *status)
{
    int64_t said = names->count > 0 ? names->count : count;
    if (!check_labels(rows, labels, status)) return false;
    bool below = labels->count > 0 && labels->whole && strtol(labels->texts[labels->count - 1], NULL, 10) < said;
    if (said > 0 && below) return make_names(classes, NULL, said), number_by_value(rows, said, status);
    if (names->count > 0 && has_any(labels, names)) {
        const struct labels of_names = {(const char **)names->name, names->count, false};
        return make_names(classes, &of_names, names->count), number_by_names(rows, names, status);
    }
    make_names(classes, labels, labels->count);
    return number_by_labels(rows, labels, status);
}

bool table_rows_settle(struct table_rows *rows, struct class_names *classes, const struct dataset_source *source,
                       struct status *status)
{
    struct class_names names;
    *classes = (struct class_names){0};
    if (!class_names_read(&names, source->class_names, status)) return false;
    struct labels labels = find_labels(rows);
    bool good = settle(rows, classes, &labels, &names, source->classes, status);
    free(labels.texts);
    class_names_free(&names);
    if (!good) class_names_free(classes);
    return good;
}
