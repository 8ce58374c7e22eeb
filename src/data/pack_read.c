/* Opens packed files (pack.h), and checks all that they say. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack.h"
#include "util/check.h"
#include "util/file_regular.h"
#include "util/mapped_file.h"
#include "util/memory.h"
#include "util/sha256.h"
#include "util/text.h"
#include "util/workers.h"

enum { SIZE_PLACE = 16, MAGIC_SIZE = 8 };

/* A file while its header and tables are read. */
struct opening {
    struct pack *pack;
    int descriptor;
    uint8_t header[PACK_HEADER];
    int64_t pixels; /* bytes of all pixels */
    struct status *status;
};

#define FAIL(opening, ...) fail((opening)->pack->path, (opening)->status, __VA_ARGS__)

static bool fail(const char *path, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(const char *path, struct status *status, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return status_fail(status, STATUS_RUNTIME, "%s: not a good packed data set: %s", path, what);
}

/* --- the header --- */

static uint64_t get(const uint8_t *from, int bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) number |= (uint64_t)from[i] << (8 * i);
    return number;
}

/* Reads bytes at a place; the file's size says that they are there. */
static bool read_at(const struct opening *opening, uint8_t *to, int64_t size, int64_t place)
{
    while (size > 0) {
        ssize_t got = pread(opening->descriptor, to, (size_t)size, place);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return status_fail(opening->status, STATUS_RUNTIME, "%s: cannot read: %s", opening->pack->path,
                               strerror(errno));
        if (got == 0) return FAIL(opening, "it was cut off while it was read");
        to += got, place += got, size -= got;
    }
    return true;
}

static bool read_header(struct opening *opening)
{
    int64_t size = opening->pack->size, present = size < PACK_HEADER ? size : PACK_HEADER;
    if (!read_at(opening, opening->header, present, 0)) return false;
    if (present < MAGIC_SIZE || memcmp(opening->header, PACK_MAGIC, MAGIC_SIZE) != 0) {
        const char *kind = file_kind(opening->header, (size_t)present);
        return status_fail(opening->status, STATUS_RUNTIME,
                           "%s: expected a packed data set (trainer pack makes it), found %s", opening->pack->path,
                           kind           ? kind
                           : present == 0 ? "an empty file"
                                          : "other bytes");
    }
    if (present < PACK_HEADER)
        return FAIL(opening, "truncated: %lld bytes, expected at least %d", (long long)size, PACK_HEADER);
    unsigned version = (unsigned)get(opening->header + MAGIC_SIZE, 4);
    return version == PACK_VERSION ||
           FAIL(opening, "version %u, expected %d: another version of trainer made it", version, PACK_VERSION);
}

/* Takes a number of the header, from `low` to `high`. */
static bool take(const struct opening *opening, int place, const char *what, int64_t low, int64_t high, int64_t *number)
{
    uint64_t value = get(opening->header + place, 8);
    *number = (int64_t)value;
    if (value <= INT64_MAX && *number >= low && *number <= high) return true;
    return FAIL(opening, "byte %d: %llu %s, expected %lld to %lld", place, (unsigned long long)value, what,
                (long long)low, (long long)high);
}

static bool take_counts(const struct opening *opening)
{
    struct pack_tables *tables = &opening->pack->tables;
    tables->flags = (uint32_t)get(opening->header + 12, 4);
    if (tables->flags & ~(uint32_t)PACK_FLAGS)
        return FAIL(opening, "byte 12: flags 0x%x, expected at most 0x%x", tables->flags, PACK_FLAGS);
    return take(opening, SIZE_PLACE, "channels", 1, PACK_SIDE_MAX, &tables->channels) &&
           take(opening, SIZE_PLACE + 8, "rows of pixels", 1, PACK_SIDE_MAX, &tables->height) &&
           take(opening, SIZE_PLACE + 16, "columns of pixels", 1, PACK_SIDE_MAX, &tables->width) &&
           take(opening, SIZE_PLACE + 24, "classes", 1, DATASET_CLASSES_MAX, &tables->classes) &&
           take(opening, SIZE_PLACE + 32, "images", 1, INT32_MAX, &tables->rows) &&
           take(opening, SIZE_PLACE + 40, "files left out", 0, INT32_MAX, &tables->skipped_count);
}

static bool take_texts(const struct opening *opening)
{
    for (int i = 0; i < PACK_TEXTS; i++)
        if (!take(opening, 64 + 8 * i, "bytes of text", 0, opening->pack->size, &opening->pack->tables.texts[i].size))
            return false;
    return true;
}

/* Checks that the file has the size that its counts give. Each text has at most the file's size, and a file at most
 * 2^63 - 1 bytes, so that the sum is done with care. */
static bool check_size(struct opening *opening)
{
    const struct pack_tables *tables = &opening->pack->tables;
    int64_t sample = tables->channels * tables->height * tables->width, expected = PACK_HEADER;
    bool fits = !__builtin_mul_overflow(sample, tables->rows, &opening->pixels) &&
                !__builtin_add_overflow(expected, opening->pixels, &expected) &&
                !__builtin_add_overflow(expected, tables->rows * PACK_ROW_TABLES, &expected);
    for (int i = 0; fits && i < PACK_TEXTS; i++)
        fits = !__builtin_add_overflow(expected, tables->texts[i].size, &expected);
    if (!fits) return FAIL(opening, "byte %d: its images would have more than 2^63 bytes", SIZE_PLACE);
    int64_t size = opening->pack->size;
    return size == expected || FAIL(opening, "%s: %lld bytes, expected %lld",
                                    size < expected ? "truncated" : "too long", (long long)size, (long long)expected);
}

/* --- the tables --- */

static bool check_digest(struct opening *opening, int64_t size)
{
    uint8_t expected[PACK_SHA256], found[PACK_SHA256], *place = opening->header + PACK_DIGEST_PLACE;
    struct sha256 hash = sha256_start();
    memcpy(expected, place, PACK_SHA256);
    memset(place, 0, PACK_SHA256);
    sha256_add(&hash, opening->header, PACK_HEADER);
    sha256_add(&hash, opening->pack->memory, (size_t)size);
    if (!sha256_finish_bytes(&hash, found, opening->status)) return false;
    return memcmp(expected, found, PACK_SHA256) == 0 ||
           FAIL(opening, "damaged: the SHA-256 of its header and tables differs from the one in the header");
}

/* Puts the tables' numbers into memory of this machine's byte order, and the texts in their places. */
static void place_tables(struct pack *pack)
{
    struct pack_tables *tables = &pack->tables;
    int64_t rows = tables->rows;
    const uint8_t *from = pack->memory;
    pack->numbers = memory_alloc((size_t)(2 * rows), sizeof *pack->numbers);
    pack->labels = memory_alloc((size_t)rows, sizeof *pack->labels);
    tables->digests = (const uint8_t(*)[PACK_SHA256])from, from += rows * PACK_SHA256;
    for (int64_t i = 0; i < 2 * rows; i++, from += 8) pack->numbers[i] = (int64_t)get(from, 8);
    for (int64_t i = 0; i < rows; i++, from += 2) pack->labels[i] = (uint16_t)get(from, 2);
    tables->sizes = pack->numbers, tables->changed = pack->numbers + rows, tables->labels = pack->labels;
    tables->parts = from, from += rows;
    for (int i = 0; i < PACK_TEXTS; i++) tables->texts[i].bytes = (const char *)from, from += tables->texts[i].size;
}

static bool check_rows(const struct opening *opening)
{
    const struct pack_tables *tables = &opening->pack->tables;
    bool any = false;
    for (int64_t i = 0; i < tables->rows; i++) {
        if ((tables->parts[i] & ~PACK_UNREAD) >= PACK_PARTS)
            return FAIL(opening, "image %lld: part %d, expected 0 to %d", (long long)i, tables->parts[i],
                        PACK_PARTS - 1);
        if (tables->labels[i] >= tables->classes)
            return FAIL(opening, "image %lld: label %d, expected 0 to %lld", (long long)i, tables->labels[i],
                        (long long)tables->classes - 1);
        any = any || tables->parts[i] == PACK_TRAIN;
    }
    return any || FAIL(opening, "no training image, expected at least one");
}

/* Checks that a text has `count` strings, or nothing where that is allowed. */
static bool check_text(const struct opening *opening, enum pack_text text, const char *what, int64_t count,
                       bool may_lack)
{
    const char *bytes = opening->pack->tables.texts[text].bytes;
    int64_t size = opening->pack->tables.texts[text].size, found = 0;
    if (size == 0 && may_lack) return true;
    for (int64_t i = 0; i < size; i++) found += bytes[i] == '\0';
    if (found == count && (size == 0 || bytes[size - 1] == '\0')) return true;
    return FAIL(opening, "%lld %s, expected %lld", (long long)found, what, (long long)count);
}

static bool check_class_names(const struct opening *opening)
{
    const char *name = opening->pack->tables.texts[PACK_CLASS_NAMES].bytes, *problem;
    const char *end = name + opening->pack->tables.texts[PACK_CLASS_NAMES].size;
    for (int64_t c = 0; name < end; c++, name += strlen(name) + 1) {
        size_t size = strlen(name), bad = text_find_bad_name_byte(name, size, &problem);
        if (size == 0) return FAIL(opening, "class %lld: nothing, expected a name", (long long)c);
        if (bad < size)
            return FAIL(opening, "class %lld: %s (byte 0x%02x) in its name", (long long)c, problem,
                        (unsigned char)name[bad]);
    }
    return true;
}

static bool check_skipped(const struct opening *opening)
{
    const char *path = opening->pack->tables.texts[PACK_SKIPPED].bytes;
    for (int64_t i = 0; i < opening->pack->tables.skipped_count; i++) {
        if (*path != 'p' && *path != '-') return FAIL(opening, "file %lld that was left out: no path", (long long)i);
        path += strlen(path) + 1;
        path += strlen(path) + 1;
    }
    return true;
}

static bool check_texts(const struct opening *opening)
{
    const struct pack_tables *tables = &opening->pack->tables;
    return check_text(opening, PACK_CLASS_NAMES, "class names", tables->classes, true) && check_class_names(opening) &&
           check_text(opening, PACK_NAMES, "names of files", tables->rows, true) &&
           check_text(opening, PACK_SKIPPED, "words on files that were left out", 2 * tables->skipped_count, false) &&
           check_skipped(opening) && check_text(opening, PACK_SETTINGS, "settings", 1, true);
}

static bool read_tables(struct opening *opening)
{
    int64_t size = pack_tables_size(&opening->pack->tables);
    opening->pack->memory = memory_alloc((size_t)size, 1);
    if (!read_at(opening, opening->pack->memory, size, PACK_HEADER + opening->pixels) || !check_digest(opening, size))
        return false;
    place_tables(opening->pack);
    return check_rows(opening) && check_texts(opening);
}

/* --- opening and closing --- */

static bool open_pack(struct opening *opening)
{
    struct pack *pack = opening->pack;
    return read_header(opening) && take_counts(opening) && take_texts(opening) && check_size(opening) &&
           read_tables(opening) &&
           mapped_file_open(&pack->file, opening->descriptor, (size_t)pack->size, pack->path, opening->status);
}

bool pack_open(struct pack *pack, const char *path, struct status *status)
{
    struct opening opening = {.pack = pack, .status = status};
    *pack = (struct pack){0};
    if (!file_regular_open(&opening.descriptor, &pack->size, path, status)) return false;
    pack->path = memory_copy_string(path);
    bool good = open_pack(&opening);
    close(opening.descriptor);
    if (!good) pack_close(pack);
    return good;
}

void pack_close(struct pack *pack)
{
    if (pack->file) mapped_file_close(pack->file, (size_t)pack->size);
    free(pack->memory);
    free(pack->numbers);
    free(pack->labels);
    free(pack->path);
    *pack = (struct pack){0};
}

void pack_give(struct pack *pack, struct dataset *dataset)
{
    dataset_keep(dataset, (void *)(uintptr_t)pack->file, (size_t)pack->size);
    dataset_keep(dataset, pack->memory, 0);
    pack->file = NULL, pack->memory = NULL;
    pack_close(pack);
}

/* --- rows --- */

const uint8_t *pack_pixels(const struct pack *pack)
{
    return pack->file + PACK_HEADER;
}

int64_t *pack_name_places(const struct pack *pack)
{
    const char *names = pack->tables.texts[PACK_NAMES].bytes;
    if (pack->tables.texts[PACK_NAMES].size == 0) return NULL;
    int64_t *places = memory_alloc((size_t)pack->tables.rows, sizeof *places), place = 0;
    for (int64_t i = 0; i < pack->tables.rows; i++, place += (int64_t)strlen(names + place) + 1) places[i] = place;
    return places;
}

char *pack_row_name(const struct pack *pack, int64_t row)
{
    int64_t *places = pack_name_places(pack);
    char *name = places ? text_escape(pack->tables.texts[PACK_NAMES].bytes + places[row])
                        : memory_format("image %lld", (long long)row);
    free(places);
    return name;
}

/* --- pixels --- */

enum { ROWS_AT_ONCE = 256 };

bool pack_is_checked(const struct pack *pack)
{
    const struct pack_tables *tables = &pack->tables;
    return tables->rows * tables->channels * tables->height * tables->width <= PACK_CHECKED_BYTES;
}

struct checking {
    const struct pack *pack;
    int64_t sample;
    int64_t *bad; /* per item: the first row that differs, or -1 */
};

static bool is_row_good(const struct checking *checking, int64_t row)
{
    uint8_t digest[PACK_SHA256];
    struct status problem;
    struct sha256 hash = sha256_start();
    sha256_add(&hash, pack_pixels(checking->pack) + row * checking->sample, (size_t)checking->sample);
    return sha256_finish_bytes(&hash, digest, &problem) &&
           memcmp(digest, checking->pack->tables.digests[row], PACK_SHA256) == 0;
}

static void check_item(void *context, int64_t item)
{
    const struct checking *checking = context;
    const struct pack_tables *tables = &checking->pack->tables;
    int64_t row = item * ROWS_AT_ONCE, end = row + ROWS_AT_ONCE < tables->rows ? row + ROWS_AT_ONCE : tables->rows;
    while (row < end && ((tables->parts[row] & PACK_UNREAD) || is_row_good(checking, row))) row++;
    checking->bad[item] = row < end ? row : -1;
}

static bool fail_row(const struct pack *pack, int64_t row, struct status *status)
{
    char *name = pack_row_name(pack, row);
    fail(pack->path, status, "damaged: the pixels of %s differ from their SHA-256", name);
    free(name);
    return false;
}

bool pack_check_pixels(const struct pack *pack, struct status *status)
{
    const struct pack_tables *tables = &pack->tables;
    int64_t items = (tables->rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, bad = -1;
    struct checking checking = {pack, tables->channels * tables->height * tables->width, NULL};
    checking.bad = memory_alloc((size_t)items, sizeof *checking.bad);
    workers_run(&(struct workers_job){items, check_item, NULL, &checking});
    for (int64_t i = 0; i < items && bad < 0; i++) bad = checking.bad[i];
    free(checking.bad);
    return bad < 0 || fail_row(pack, bad, status);
}
