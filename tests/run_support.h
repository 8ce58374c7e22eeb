/* Makes whole runs in folders of the current one, and compares two of them. Include after criterion. */
#ifndef TESTS_RUN_SUPPORT_H
#define TESTS_RUN_SUPPORT_H

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_support.h"
#include "train/checkpoint.h"
#include "train/train.h"

/* Hides gnuplot by a wrong PATH, since a picture takes longer than all steps of a test. The warnings on that go into a
 * file. */
static inline void enter_without_gnuplot(void)
{
    enter_folder();
    setenv("PATH", "/nowhere", 1);
    cr_assert(freopen("stderr.txt", "w", stderr));
}

static inline bool run_experiment(const char *text, const char *override, const char *folder, enum train_start start,
                                  struct status *status)
{
    struct experiment experiment;
    support_file_write("x.ini", text, strlen(text));
    cr_assert(load_with(&experiment, "x.ini", &override, override != NULL, status), "%s", status->message);
    bool done = train_run(&experiment, folder, start, NULL, NULL, NULL, status);
    experiment_free(&experiment);
    return done;
}

static inline void run_good(const char *text, const char *folder, enum train_start start)
{
    struct status status = {0};
    cr_assert(run_experiment(text, NULL, folder, start, &status), "%s", status.message);
}

/* A `message` of NULL allows any message. */
static inline void expect_run_error(const char *text, const char *override, const char *folder, enum train_start start,
                                    enum status_code code, const char *message)
{
    struct status status = {0};
    cr_assert_not(run_experiment(text, override, folder, start, &status), "%s", folder);
    cr_expect_eq(status.code, code);
    if (message) cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

static inline bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static inline void file_copy(const char *from, const char *to)
{
    size_t size;
    char *bytes = support_file_read(from, &size);
    cr_assert(bytes, "%s", from);
    support_file_write(to, bytes, size);
    free(bytes);
}

static inline bool same_files(const char *a, const char *b)
{
    size_t a_size, b_size;
    char *a_bytes = support_file_read(a, &a_size), *b_bytes = support_file_read(b, &b_size);
    cr_assert(a_bytes && b_bytes, "%s, %s", a, b);
    bool same = a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0;
    free(a_bytes), free(b_bytes);
    return same;
}

/* Returns the text of metrics.csv without its last column, elapsed_seconds. */
static inline char *read_metrics(const char *folder)
{
    char *path = support_path(folder, "metrics.csv"), *text = support_file_read(path, NULL), *to = text;
    cr_assert(text, "%s", path);
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        cr_assert(end, "%s: %s", path, line);
        const char *comma = end;
        while (comma > line && *comma != ',') comma--;
        memmove(to, line, (size_t)(comma - line));
        to += comma - line;
        *to++ = '\n';
        line = end + 1;
    }
    *to = '\0';
    free(path);
    return text;
}

static inline bool same_metrics(const char *a, const char *b)
{
    char *a_text = read_metrics(a), *b_text = read_metrics(b);
    bool same = strcmp(a_text, b_text) == 0;
    free(a_text), free(b_text);
    return same;
}

/* Tells whether a file in checkpoints/ has the same bytes in both folders. */
static inline bool same_checkpoints(const char *a, const char *b, const char *name)
{
    char *a_path = memory_format("%s/checkpoints/%s", a, name), *b_path = memory_format("%s/checkpoints/%s", b, name);
    bool same = same_files(a_path, b_path);
    free(a_path), free(b_path);
    return same;
}

#endif
