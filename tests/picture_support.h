/* Folders of pictures for tests, below the current folder. Include after criterion. */
#ifndef TESTS_PICTURE_SUPPORT_H
#define TESTS_PICTURE_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "build/build.h"
#include "config_support.h"
#include "data/dataset.h"
#include "io/image.h"

/* Makes the folders of a path: all of it, or all but what follows the last slash. */
static inline void make_folders(const char *path, bool all)
{
    char *part = memory_copy_string(path);
    for (size_t i = 1; part[i]; i++) {
        if (part[i] != '/') continue;
        part[i] = '\0';
        mkdir(part, 0755);
        part[i] = '/';
    }
    if (all) mkdir(part, 0755);
    free(part);
}

/* Writes a PNG file of one colour, and the folders above it. */
static inline void write_colour(const char *path, int64_t width, int64_t height, uint8_t red, uint8_t green,
                                uint8_t blue)
{
    struct status status = {0};
    const uint8_t colour[3] = {red, green, blue};
    bool grey = red == green && green == blue;
    struct image image = {.channels = grey ? 1 : 3, .height = height, .width = width};
    image.pixels = malloc((size_t)(3 * height * width));
    for (int c = 0; c < image.channels; c++)
        memset(image.pixels + c * height * width, colour[c], (size_t)(height * width));
    make_folders(path, false);
    cr_assert(image_write_png(&image, path, &status), "%s", status.message);
    free(image.pixels);
}

/* Writes a grey PNG file of 4x4 pixels with that value. */
static inline void write_grey(const char *path, int value)
{
    write_colour(path, 4, 4, (uint8_t)value, (uint8_t)value, (uint8_t)value);
}

static inline void write_text(const char *path, const char *text)
{
    make_folders(path, false);
    support_file_write(path, text, strlen(text));
}

/* Returns an experiment whose data is the folder "set" with more lines in its [data] section. */
static inline struct experiment set_experiment(const char *lines)
{
    struct status status = {0};
    struct experiment experiment;
    char *text = memory_format("[data]\ndataset = folder\npath = set\nnormalization = unit\n%s", lines);
    cr_assert(load_text(&experiment, text, &status), "%s", status.message);
    free(text);
    return experiment;
}

static inline bool load_set(struct dataset *dataset, const char *lines, struct status *status)
{
    struct experiment experiment = set_experiment(lines);
    bool good = dataset_from_experiment(dataset, &experiment, NULL, status);
    experiment_free(&experiment);
    return good;
}

static inline void load_good(struct dataset *dataset, const char *lines)
{
    struct status status = {0};
    cr_assert(load_set(dataset, lines, &status), "%s", status.message);
}

/* Checks that the set is refused with exactly this message, by its loading and by its description. */
static inline void expect_refused(const char *lines, enum status_code code, const char *message)
{
    struct dataset dataset;
    struct status status = {0};
    cr_assert_not(load_set(&dataset, lines, &status), "%s", message);
    cr_expect_eq(status.code, code);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

/* Checks the names of a set's samples with their labels: "cat/a.png 0, dog/b.png 1". */
static inline void expect_samples(const struct image_set *set, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int64_t i = 0; i < set->count; i++)
        fprintf(out, "%s%s %d", i > 0 ? ", " : "", image_set_name(set, i), set->labels[i]);
    fclose(out);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    free(text);
}

/* Checks the files that were left out: lines of a path, a colon and the reason; '*' before those that are pictures. */
static inline void expect_skipped(const struct dataset *dataset, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int64_t i = 0; i < dataset->skipped_count; i++)
        fprintf(out, "%s%s: %s\n", dataset->skipped[i].picture ? "*" : "", dataset->skipped[i].path,
                dataset->skipped[i].reason);
    fclose(out);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    free(text);
}

#endif
