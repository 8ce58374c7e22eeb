/* Reads the names of classes from a list in the config or from a file with a name per line. The names are printed
 * later, on terminals too, which obey control characters, so only text is taken. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"
#include "util/text.h"

enum { FILE_SIZE_MAX = 1 << 22 };

void class_names_free(struct class_names *names)
{
    for (int64_t i = 0; i < names->count; i++) free(names->name[i]);
    free(names->name);
    *names = (struct class_names){0};
}

/* Returns the place of the name with that number, for messages: "file:3" or "data.class_names: name 3". */
static char *place_of(const char *file, int64_t number)
{
    if (file) return memory_format("%s:%lld", file, (long long)number);
    return memory_format("data.class_names: name %lld", (long long)number);
}

static bool check_name(const struct class_names *names, const char *text, size_t length, const char *place,
                       enum status_code code, struct status *status)
{
    const char *problem;
    size_t bad = text_find_bad_name_byte(text, length, &problem);
    if (bad < length)
        return status_fail(status, code, "%s: %s (byte 0x%02x) in column %zu, expected a class name", place, problem,
                           (unsigned char)text[bad], bad + 1);
    if (length == 0) return status_fail(status, code, "%s: nothing, expected a class name", place);
    if (names->count < DATASET_CLASSES_MAX) return true;
    return status_fail(status, code, "%s: one name too many, expected at most %d", place, DATASET_CLASSES_MAX);
}

/* Appends the name without the blanks around it. `file` is NULL for a list. */
static bool add_name(struct class_names *names, const char *text, size_t length, const char *file,
                     struct status *status)
{
    enum status_code code = file ? STATUS_RUNTIME : STATUS_USAGE;
    while (length > 0 && text_is_blank(*text)) text++, length--;
    while (length > 0 && text_is_blank(text[length - 1])) length--;
    char *place = place_of(file, names->count + 1);
    bool good = check_name(names, text, length, place, code, status);
    free(place);
    if (!good) return false;
    if (!names->name) names->name = memory_alloc(DATASET_CLASSES_MAX, sizeof *names->name);
    names->name[names->count++] = memory_format("%.*s", (int)length, text);
    return true;
}

/* Cuts the text at each `separator`. */
static bool split(struct class_names *names, const char *text, size_t size, char separator, const char *file,
                  struct status *status)
{
    for (size_t start = 0; start <= size;) {
        const char *found = memchr(text + start, separator, size - start);
        size_t end = found ? (size_t)(found - text) : size, length = end - start;
        if (file && length > 0 && text[end - 1] == '\r') length--;
        if (!add_name(names, text + start, length, file, status)) return false;
        start = end + 1;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = *(const char *const *const *)a, *const *right = *(const char *const *const *)b;
    int difference = strcmp(*left, *right);
    return difference != 0 ? difference : (left > right) - (left < right);
}

/* Returns the number of the first name that another one before it equals, and puts that one's into `before`; or -1. */
static int64_t find_repeated(const struct class_names *names, int64_t *before)
{
    int64_t found = -1;
    char ***sorted = memory_alloc((size_t)names->count, sizeof *sorted);
    for (int64_t i = 0; i < names->count; i++) sorted[i] = &names->name[i];
    qsort(sorted, (size_t)names->count, sizeof *sorted, compare_names);
    for (int64_t i = 1; i < names->count; i++) {
        int64_t number = sorted[i] - names->name;
        if (strcmp(*sorted[i - 1], *sorted[i]) != 0 || (found >= 0 && number > found)) continue;
        found = number, *before = sorted[i - 1] - names->name;
    }
    free(sorted);
    return found;
}

/* Checks the names together. `file` is NULL for a list. */
static bool check_all(const struct class_names *names, const char *file, struct status *status)
{
    enum status_code code = file ? STATUS_RUNTIME : STATUS_USAGE;
    if (names->count < 2)
        return status_fail(status, code, "%s: %lld class names, expected 2 to %d", file ? file : "data.class_names",
                           (long long)names->count, DATASET_CLASSES_MAX);
    int64_t before, repeated = find_repeated(names, &before);
    if (repeated < 0) return true;
    char *place = place_of(file, repeated + 1);
    status_fail(status, code, "%s: \"%s\" is the name of class %lld already, expected another one", place,
                names->name[repeated], (long long)before);
    free(place);
    return false;
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r' || text_is_blank(c);
}

static bool split_file(struct class_names *names, const char *path, const char *text, size_t size,
                       struct status *status)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF"; /* some editors on Windows write it */
    if (size > FILE_SIZE_MAX)
        return status_fail(status, STATUS_RUNTIME, "%s: more than %d bytes, expected a class name per line", path,
                           FILE_SIZE_MAX);
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0) text += 3, size -= 3;
    while (size > 0 && is_line_end(text[size - 1])) size--;
    return (size == 0 || split(names, text, size, '\n', path, status)) && check_all(names, path, status);
}

bool class_names_read_file(struct class_names *names, const char *path, struct status *status)
{
    int64_t size = 0;
    struct data_stream stream;
    *names = (struct class_names){0};
    if (!data_stream_open(&stream, path, false, status)) return false;
    char *text = memory_alloc(FILE_SIZE_MAX + 1, 1); /* the extra byte shows a file that is too long */
    bool good = data_stream_read(&stream, (uint8_t *)text, FILE_SIZE_MAX + 1, &size, status);
    data_stream_close(&stream);
    good = good && split_file(names, path, text, (size_t)size, status);
    free(text);
    if (!good) class_names_free(names);
    return good;
}

bool class_names_read(struct class_names *names, const char *value, struct status *status)
{
    *names = (struct class_names){0};
    if (!value || !*value || strcmp(value, "auto") == 0) return true;
    if (strchr(value, ',')) {
        bool good = split(names, value, strlen(value), ',', NULL, status) && check_all(names, NULL, status);
        if (!good) class_names_free(names);
        return good;
    }
    struct status problem;
    if (class_names_read_file(names, value, &problem)) return true;
    return status_fail(status, STATUS_USAGE,
                       "data.class_names: %s; a value without a comma is the path of a file with a name per line",
                       problem.message);
}
