/* Functions that put together NPZ archives for tests and fuzz targets: ZIP files with .npy files in them, stored or
 * deflated, right or wrong. */
#ifndef TESTS_NPZ_SUPPORT_H
#define TESTS_NPZ_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util/check.h"
#include "util/memory.h"

/* A ZIP file that grows: its entries, and the directory that comes behind them. */
struct archive {
    uint8_t *bytes, *directory;
    size_t size, directory_size;
    int entries;
};

static inline void archive_put(uint8_t **bytes, size_t *size, const void *more, size_t count)
{
    *bytes = memory_resize(*bytes, *size + count + 1, 1);
    if (count > 0) memcpy(*bytes + *size, more, count);
    *size += count;
}

static inline void archive_number(uint8_t **bytes, size_t *size, uint32_t number, int count)
{
    uint8_t low_first[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
    archive_put(bytes, size, low_first, (size_t)count);
}

/* How an entry is described: what may be wrong about it. */
struct archive_entry {
    const char *name;
    uint32_t method, flags; /* method 0: stored; 8: deflated */
    uint32_t crc, packed, unpacked;
};

/* The fields that an entry and its line in the directory share. */
static inline void archive_fields(uint8_t **bytes, size_t *size, const struct archive_entry *entry)
{
    archive_number(bytes, size, 20, 2), archive_number(bytes, size, entry->flags, 2);
    archive_number(bytes, size, entry->method, 2), archive_number(bytes, size, 0x00210000, 4); /* 1980-01-01 */
    archive_number(bytes, size, entry->crc, 4), archive_number(bytes, size, entry->packed, 4);
    archive_number(bytes, size, entry->unpacked, 4), archive_number(bytes, size, (uint32_t)strlen(entry->name), 2);
    archive_number(bytes, size, 0, 2);
}

/* Adds an entry that is described so. */
static inline void archive_add_raw(struct archive *archive, const struct archive_entry *entry, const void *data,
                                   size_t size)
{
    uint32_t offset = (uint32_t)archive->size;
    archive_put(&archive->bytes, &archive->size, "PK\x03\x04", 4);
    archive_fields(&archive->bytes, &archive->size, entry);
    archive_put(&archive->bytes, &archive->size, entry->name, strlen(entry->name));
    archive_put(&archive->bytes, &archive->size, data, size);
    archive_put(&archive->directory, &archive->directory_size, "PK\x01\x02\x14\0", 6);
    archive_fields(&archive->directory, &archive->directory_size, entry);
    archive_number(&archive->directory, &archive->directory_size, 0, 2); /* comment */
    archive_number(&archive->directory, &archive->directory_size, 0, 2); /* disk */
    archive_number(&archive->directory, &archive->directory_size, 0, 2); /* attributes */
    archive_number(&archive->directory, &archive->directory_size, 0, 4);
    archive_number(&archive->directory, &archive->directory_size, offset, 4);
    archive_put(&archive->directory, &archive->directory_size, entry->name, strlen(entry->name));
    archive->entries++;
}

static inline void archive_add(struct archive *archive, const char *name, const void *data, size_t size)
{
    const struct archive_entry entry = {name,          0, 0, (uint32_t)crc32(0, data, (uInt)size), (uint32_t)size,
                                        (uint32_t)size};
    archive_add_raw(archive, &entry, data, size);
}

static inline void archive_add_deflated(struct archive *archive, const char *name, const void *data, size_t size)
{
    z_stream stream = {0};
    CHECK(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t bound = deflateBound(&stream, size);
    uint8_t *packed = memory_alloc(bound, 1), *from = memory_alloc(size + 1, 1);
    memcpy(from, data, size);
    stream.next_in = from, stream.avail_in = (uInt)size, stream.next_out = packed, stream.avail_out = (uInt)bound;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    const struct archive_entry entry = {
        name, 8, 0, (uint32_t)crc32(0, data, (uInt)size), (uint32_t)stream.total_out, (uint32_t)size};
    archive_add_raw(archive, &entry, packed, stream.total_out);
    CHECK(deflateEnd(&stream) == Z_OK);
    free(packed), free(from);
}

/* Puts the directory behind the entries: `bytes` and `size` are the file. Free with archive_free. */
static inline void archive_end(struct archive *archive)
{
    uint32_t start = (uint32_t)archive->size;
    archive_put(&archive->bytes, &archive->size, archive->directory, archive->directory_size);
    archive_put(&archive->bytes, &archive->size, "PK\x05\x06\0\0\0\0", 8);
    archive_number(&archive->bytes, &archive->size, (uint32_t)archive->entries, 2);
    archive_number(&archive->bytes, &archive->size, (uint32_t)archive->entries, 2);
    archive_number(&archive->bytes, &archive->size, (uint32_t)archive->directory_size, 4);
    archive_number(&archive->bytes, &archive->size, start, 4), archive_number(&archive->bytes, &archive->size, 0, 2);
}

static inline void archive_free(struct archive *archive)
{
    free(archive->bytes), free(archive->directory);
    *archive = (struct archive){0};
}

/* --- .npy --- */

/* Returns a new .npy file with any text as its header. */
static inline uint8_t *npy_make_raw(const char *header, const void *data, size_t bytes, size_t *size)
{
    uint8_t *file = NULL;
    *size = 0;
    archive_put(&file, size, "\x93NUMPY\x01", 8);
    archive_number(&file, size, (uint32_t)strlen(header), 2);
    archive_put(&file, size, header, strlen(header));
    archive_put(&file, size, data, bytes);
    return file;
}

/* Returns a new .npy file; `shape` is "(2, 3)". */
static inline uint8_t *npy_make(const char *dtype, bool fortran_order, const char *shape, const void *data,
                                size_t bytes, size_t *size)
{
    char *header = memory_format("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", dtype,
                                 fortran_order ? "True" : "False", shape);
    uint8_t *file = npy_make_raw(header, data, bytes, size);
    free(header);
    return file;
}

/* Adds an array in C order. */
static inline void archive_add_array(struct archive *archive, const char *name, const char *dtype, const char *shape,
                                     const void *data, size_t bytes)
{
    size_t size;
    uint8_t *file = npy_make(dtype, false, shape, data, bytes, &size);
    archive_add(archive, name, file, size);
    free(file);
}

#endif
