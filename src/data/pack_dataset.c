/* Packs a data set into one file (data/pack_dataset.h). Row r of the file is the r-th sample of the training set, then of the
 * validation set, then of the test set. */
#include <stdlib.h>
#include <string.h>

#include "data/pack_dataset.h"
#include "pack.h"
#include "pack_settings.h"
#include "util/memory.h"
#include "util/sha256.h"
#include "util/workers.h"

enum { ROWS_AT_ONCE = 64 };

struct packing {
    const struct dataset *dataset;
    const struct image_set *sets[PACK_PARTS];
    struct pack_tables tables;
    struct pack_writer writer;
    uint8_t (*digests)[PACK_SHA256];
    struct workers_error error;
};

/* Returns the set that a row belongs to, and the sample's number in it. */
static const struct image_set *find_sample(const struct packing *packing, int64_t row, int64_t *sample)
{
    int part = 0;
    while (row >= packing->sets[part]->count) row -= packing->sets[part++]->count;
    *sample = row;
    return packing->sets[part];
}

/* --- pixels --- */

static bool write_row(struct packing *packing, int64_t row, struct status *status)
{
    int64_t sample, size = packing->writer.sample;
    const struct image_set *set = find_sample(packing, row, &sample);
    const uint8_t *pixels = image_set_pixels(set, sample, size);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, pixels, (size_t)size);
    return sha256_finish_bytes(&hash, packing->digests[row], status) &&
           pack_write_row(&packing->writer, row, pixels, status);
}

static void write_item(void *context, int64_t item)
{
    struct packing *packing = context;
    struct status problem;
    int64_t row = item * ROWS_AT_ONCE, rows = packing->tables.rows;
    if (workers_error_met(&packing->error)) return;
    for (int64_t i = 0; i < ROWS_AT_ONCE && row < rows; i++, row++)
        if (!write_row(packing, row, &problem)) {
            workers_error_note(&packing->error, &problem);
            return;
        }
}

static bool write_pixels(struct packing *packing, struct status *status)
{
    int64_t items = (packing->tables.rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    workers_run(&(struct workers_job){items, write_item, NULL, packing});
    if (packing->error.met) *status = packing->error.status;
    return !packing->error.met;
}

/* --- tables --- */

static void take_rows(struct packing *packing, uint16_t *labels, uint8_t *parts)
{
    int64_t row = 0;
    for (int part = 0; part < PACK_PARTS; part++)
        for (int64_t i = 0; i < packing->sets[part]->count; i++, row++) {
            labels[row] = packing->sets[part]->labels[i];
            parts[row] = (uint8_t)part;
        }
    packing->tables.labels = labels, packing->tables.parts = parts;
    packing->tables.digests = (const uint8_t(*)[PACK_SHA256])packing->digests;
}

static void take_text(struct packing *packing, enum pack_text text, char *bytes, size_t size)
{
    packing->tables.texts[text].bytes = bytes;
    packing->tables.texts[text].size = (int64_t)size;
}

/* Prints a string with the zero at its end. */
static void print_string(FILE *out, const char *string)
{
    fwrite(string, 1, strlen(string) + 1, out);
}

static void print_class_names(const struct packing *packing, FILE *out)
{
    for (int64_t c = 0; packing->dataset->class_names && c < packing->dataset->classes; c++)
        print_string(out, packing->dataset->class_names[c]);
}

static void print_names(const struct packing *packing, FILE *out)
{
    int64_t sample;
    if (!packing->dataset->train.names) return;
    for (int64_t row = 0; row < packing->tables.rows; row++) {
        const struct image_set *set = find_sample(packing, row, &sample);
        print_string(out, image_set_name(set, sample));
    }
}

static void print_skipped(const struct packing *packing, FILE *out)
{
    for (int64_t i = 0; i < packing->dataset->skipped_count; i++) {
        fputc(packing->dataset->skipped[i].picture ? 'p' : '-', out);
        print_string(out, packing->dataset->skipped[i].path);
        print_string(out, packing->dataset->skipped[i].reason);
    }
}

static void print_text(struct packing *packing, enum pack_text text,
                       void (*print)(const struct packing *packing, FILE *out))
{
    char *bytes;
    size_t size;
    FILE *out = memory_stream(&bytes, &size);
    print(packing, out);
    memory_stream_close(out, &bytes);
    take_text(packing, text, bytes, size);
}

static void take_texts(struct packing *packing, const struct dataset_spec *spec)
{
    print_text(packing, PACK_CLASS_NAMES, print_class_names);
    print_text(packing, PACK_NAMES, print_names);
    print_text(packing, PACK_SKIPPED, print_skipped);
    packing->tables.skipped_count = packing->dataset->skipped_count;
    if (!dataset_kind_reads(spec->kind, "resize")) return;
    char *settings = pack_settings_text(&spec->source);
    take_text(packing, PACK_SETTINGS, settings, strlen(settings) + 1);
}

/* --- the file --- */

static bool check(const struct packing *packing, const struct dataset_spec *spec, const char *path,
                  struct status *status)
{
    const struct pack_tables *tables = &packing->tables;
    if (spec->kind == DATASET_PACK)
        return status_fail(status, STATUS_USAGE, "data.dataset: expected another format, as %s is packed already",
                           spec->source.path);
    if (tables->rows > INT32_MAX)
        return status_fail(status, STATUS_RUNTIME, "%s: %lld images, expected at most %d", path,
                           (long long)tables->rows, INT32_MAX);
    if (tables->channels <= PACK_SIDE_MAX && tables->height <= PACK_SIDE_MAX && tables->width <= PACK_SIDE_MAX)
        return true;
    return status_fail(status, STATUS_RUNTIME, "%s: images of %lldx%lldx%lld, expected at most %d of each", path,
                       (long long)tables->channels, (long long)tables->height, (long long)tables->width, PACK_SIDE_MAX);
}

static bool write_file(struct packing *packing, const char *path, struct status *status)
{
    const struct dataset *dataset = packing->dataset;
    if (!pack_write_open(&packing->writer, path, dataset->channels * dataset->height * dataset->width, status))
        return false;
    if (write_pixels(packing, status)) return pack_write_finish(&packing->writer, &packing->tables, status);
    pack_write_discard(&packing->writer);
    return false;
}

static bool pack(struct packing *packing, const struct dataset_spec *spec, const char *path, struct status *status)
{
    size_t rows = (size_t)packing->tables.rows;
    uint16_t *labels = memory_alloc(rows, sizeof *labels);
    uint8_t *parts = memory_alloc(rows, sizeof *parts);
    packing->digests = memory_alloc(rows, sizeof *packing->digests);
    take_rows(packing, labels, parts);
    take_texts(packing, spec);
    bool good = write_file(packing, path, status);
    for (int i = 0; i < PACK_TEXTS; i++) free((void *)(uintptr_t)packing->tables.texts[i].bytes);
    free(packing->digests);
    free(labels);
    free(parts);
    return good;
}

bool dataset_pack(const struct dataset *dataset, const struct dataset_spec *spec, const char *path, int64_t *bytes,
                  struct status *status)
{
    struct packing packing = {
        .dataset = dataset, .sets = {&dataset->train, &dataset->validation, &dataset->test}, .error = WORKERS_NO_ERROR};
    struct pack_tables *tables = &packing.tables;
    tables->channels = dataset->channels, tables->height = dataset->height, tables->width = dataset->width;
    tables->classes = dataset->classes;
    for (int part = 0; part < PACK_PARTS; part++) tables->rows += packing.sets[part]->count;
    if (dataset->train.row_digests) tables->flags |= PACK_ROWS_IDENTIFY;
    if (!check(&packing, spec, path, status) || !pack(&packing, spec, path, status)) return false;
    *bytes = PACK_HEADER + tables->rows * packing.writer.sample + pack_tables_size(tables);
    return true;
}
