/* Functions that put together, damage and pack IDX files for tests. Include after criterion. */
#ifndef TESTS_IDX_SUPPORT_H
#define TESTS_IDX_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/dataset.h"
#include "support.h"
#include "util/memory.h"

enum { IMAGES_HEADER = 16, LABELS_HEADER = 8, MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801 };

/* The bytes of a file that a test puts together. */
struct bytes {
    uint8_t *data;
    size_t size;
};

static inline void append(struct bytes *bytes, const void *data, size_t size)
{
    bytes->data = memory_resize(bytes->data, bytes->size + size + 1, 1);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void put_number(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(number >> (24 - 8 * i));
}

static inline void append_number(struct bytes *bytes, uint32_t number)
{
    uint8_t four[4];
    put_number(four, number);
    append(bytes, four, sizeof four);
}

static inline uint8_t pixel(uint32_t first, uint32_t i)
{
    return (uint8_t)(first + 37 * i);
}

static inline struct bytes make_images(uint32_t count, uint32_t height, uint32_t width, uint8_t first)
{
    struct bytes bytes = {memory_alloc(1, 1), 0};
    append_number(&bytes, MAGIC_IMAGES), append_number(&bytes, count);
    append_number(&bytes, height), append_number(&bytes, width);
    for (uint32_t i = 0; i < count * height * width; i++) append(&bytes, &(uint8_t){pixel(first, i)}, 1);
    return bytes;
}

static inline struct bytes make_labels(uint32_t count, const uint8_t *labels)
{
    struct bytes bytes = {memory_alloc(1, 1), 0};
    append_number(&bytes, MAGIC_LABELS), append_number(&bytes, count);
    append(&bytes, labels, count);
    return bytes;
}

static inline void write_and_free(const char *folder, const char *name, struct bytes bytes)
{
    char *path = support_path(folder, name);
    support_file_write(path, bytes.data, bytes.size);
    free(path), free(bytes.data);
}

static inline struct bytes take_file(const char *folder, const char *name)
{
    struct bytes bytes;
    char *path = support_path(folder, name);
    bytes.data = (uint8_t *)support_file_read(path, &bytes.size);
    cr_assert(bytes.data != NULL && unlink(path) == 0);
    free(path);
    return bytes;
}

/* Packs `plain` with gzip, and frees it. */
static inline struct bytes pack(struct bytes plain)
{
    z_stream stream = {0};
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    struct bytes packed = {memory_alloc(deflateBound(&stream, plain.size), 1), deflateBound(&stream, plain.size)};
    stream.next_in = plain.data, stream.avail_in = (uInt)plain.size;
    stream.next_out = packed.data, stream.avail_out = (uInt)packed.size;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.size = stream.total_out;
    cr_assert_eq(deflateEnd(&stream), Z_OK);
    free(plain.data);
    return packed;
}

#endif
