/* Writes packed files (pack.h). */
#include <stdlib.h>
#include <string.h>

#include "pack.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/sha256.h"

int64_t pack_tables_size(const struct pack_tables *tables)
{
    int64_t size = tables->rows * PACK_ROW_TABLES;
    for (int i = 0; i < PACK_TEXTS; i++) size += tables->texts[i].size;
    return size;
}

bool pack_write_open(struct pack_writer *writer, const char *path, int64_t sample, struct status *status)
{
    writer->sample = sample;
    return file_atomic_open(&writer->file, path, status);
}

bool pack_write_row(const struct pack_writer *writer, int64_t row, const uint8_t *pixels, struct status *status)
{
    return file_atomic_write_at(&writer->file, pixels, (size_t)writer->sample, PACK_HEADER + row * writer->sample,
                                status);
}

void pack_write_discard(struct pack_writer *writer)
{
    file_atomic_discard(&writer->file);
}

/* --- tables and header --- */

/* Writes the lowest `bytes` bytes of a number, the low one first. */
static uint8_t *put(uint8_t *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> (8 * i));
    return to + bytes;
}

static uint8_t *put_bytes(uint8_t *to, const void *bytes, int64_t size)
{
    if (size > 0) memcpy(to, bytes, (size_t)size);
    return to + size;
}

static uint8_t *put_numbers(uint8_t *to, const int64_t *numbers, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to = put(to, numbers ? (uint64_t)numbers[i] : 0, 8);
    return to;
}

static void fill_tables(uint8_t *to, const struct pack_tables *tables)
{
    to = put_bytes(to, tables->digests, tables->rows * PACK_SHA256);
    to = put_numbers(to, tables->sizes, tables->rows);
    to = put_numbers(to, tables->changed, tables->rows);
    for (int64_t i = 0; i < tables->rows; i++) to = put(to, tables->labels[i], 2);
    to = put_bytes(to, tables->parts, tables->rows);
    for (int i = 0; i < PACK_TEXTS; i++) to = put_bytes(to, tables->texts[i].bytes, tables->texts[i].size);
}

static void fill_header(uint8_t header[PACK_HEADER], const struct pack_tables *tables)
{
    memset(header, 0, PACK_HEADER);
    uint8_t *to = put_bytes(header, PACK_MAGIC, 8);
    to = put(to, PACK_VERSION, 4);
    to = put(to, tables->flags, 4);
    const int64_t numbers[] = {tables->channels, tables->height, tables->width,
                               tables->classes,  tables->rows,   tables->skipped_count};
    for (int i = 0; i < 6; i++) to = put(to, (uint64_t)numbers[i], 8);
    for (int i = 0; i < PACK_TEXTS; i++) to = put(to, (uint64_t)tables->texts[i].size, 8);
    CHECK(to == header + PACK_DIGEST_PLACE);
}

static bool write_tables(const struct pack_writer *writer, const struct pack_tables *tables, const uint8_t *bytes,
                         int64_t size, struct status *status)
{
    uint8_t header[PACK_HEADER];
    struct sha256 hash = sha256_start();
    fill_header(header, tables);
    sha256_add(&hash, header, PACK_HEADER);
    sha256_add(&hash, bytes, (size_t)size);
    return sha256_finish_bytes(&hash, header + PACK_DIGEST_PLACE, status) &&
           file_atomic_write_at(&writer->file, bytes, (size_t)size, PACK_HEADER + tables->rows * writer->sample,
                                status) &&
           file_atomic_write_at(&writer->file, header, PACK_HEADER, 0, status);
}

bool pack_write_finish(struct pack_writer *writer, const struct pack_tables *tables, struct status *status)
{
    int64_t size = pack_tables_size(tables);
    uint8_t *bytes = memory_alloc((size_t)size, 1);
    fill_tables(bytes, tables);
    bool good = write_tables(writer, tables, bytes, size, status);
    free(bytes);
    if (good) return file_atomic_commit(&writer->file, status);
    pack_write_discard(writer);
    return false;
}
