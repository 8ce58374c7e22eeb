/* A packed file: a whole data set in one file, whose pixels are mapped into memory. `trainer pack` writes it, and the
 * cache of decoded pictures (pack_cache.h) is one too. Letters: C channels, H height, W width, R rows.
 *
 * All numbers have the low byte first. The file is a header, the pixels and the tables, without gaps:
 *
 *   byte   type     header, PACK_HEADER bytes, zero behind the last field
 *      0   8 bytes  PACK_MAGIC
 *      8   u32      PACK_VERSION
 *     12   u32      enum pack_flag
 *     16   u64 x 5  C, H, W, classes, R
 *     56   u64      files that were left out
 *     64   u64 x 4  bytes of the texts: class names, names of files, files that were left out, settings
 *     96   32       the SHA-256 of the header, with zeros here, and of the tables
 *
 *   pixels          R*C*H*W bytes
 *
 *   tables          for each row: the SHA-256 of its pixels, 32 bytes; then i64 the size of its file; then i64 the time
 *                   of the file's last change in nanoseconds (0 and 0: not known); then u16 label; then u8 part, which is
 *                   enum pack_part with PACK_UNREAD where the picture could not be read (its pixels are zero).
 *                   Then the texts. In each a zero ends every string: a name for each class, or nothing; a name for each
 *                   row, or nothing; for each file that was left out "p" (its name is one of a picture) or "-" and its
 *                   path, and the reason; one string of lines "key = value" of [data].
 *
 * A reader trusts nothing: it compares sizes with the file's before it takes or maps memory, checks the digest of header
 * and tables, and then every number. */
#ifndef DATA_PACK_H
#define DATA_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "data_private.h"
#include "util/file_atomic.h"

#define PACK_MAGIC "\x89TPK\r\n\x1A\n"
enum {
    PACK_HEADER = 4096,
    PACK_VERSION = 1,
    PACK_DIGEST_PLACE = 96,
    PACK_SHA256 = 32,
    PACK_ROW_TABLES = PACK_SHA256 + 8 + 8 + 2 + 1, /* bytes in the tables for each row */
    PACK_SIDE_MAX = 65536,                         /* of C, H and W */
};
#define PACK_CHECKED_BYTES (INT64_C(1) << 30) /* of pixels: a file with at most so many is checked when it is loaded */

enum pack_flag {
    /* The data set is known by the digests of its rows (image_set.row_digests), not by the pixels. */
    PACK_ROWS_IDENTIFY = 1,
    PACK_FLAGS = 1, /* all of them */
};

enum pack_part { PACK_TRAIN, PACK_VALIDATION, PACK_TEST, PACK_PARTS, PACK_UNREAD = 0x80 };

enum pack_text { PACK_CLASS_NAMES, PACK_NAMES, PACK_SKIPPED, PACK_SETTINGS, PACK_TEXTS };

/* What a file holds beside the pixels. The memory is the writer's, or that of struct pack. */
struct pack_tables {
    int64_t channels, height, width, classes, rows;
    int64_t skipped_count;
    uint32_t flags;
    const uint8_t (*digests)[PACK_SHA256]; /* (R) */
    const int64_t *sizes, *changed;        /* (R); a writer's may be NULL: not known */
    const uint16_t *labels;                /* (R) */
    const uint8_t *parts;                  /* (R) */
    struct {
        const char *bytes;
        int64_t size;
    } texts[PACK_TEXTS];
};

/* Returns the bytes of all tables together. */
int64_t pack_tables_size(const struct pack_tables *tables);

/* --- writing: pack_write.c --- */

/* A file that is being written. It appears whole or not at all. */
struct pack_writer {
    struct file_atomic file;
    int64_t sample; /* C*H*W */
};

/* Begins a file; end with pack_write_finish or pack_write_discard. Errors (STATUS_RUNTIME) name path and cause. */
bool pack_write_open(struct pack_writer *writer, const char *path, int64_t sample, struct status *status);

/* Writes the pixels (C,H,W) of a row. Several threads may do that at once. After an error the file is still there to
 * discard. */
bool pack_write_row(const struct pack_writer *writer, int64_t row, const uint8_t *pixels, struct status *status);

/* Writes tables and header, and gives the file its name. After an error the file is discarded. */
bool pack_write_finish(struct pack_writer *writer, const struct pack_tables *tables, struct status *status);
void pack_write_discard(struct pack_writer *writer);

/* --- reading: pack_read.c --- */

/* A file that is open. */
struct pack {
    char *path;
    struct pack_tables tables;
    const uint8_t *file; /* the whole file, mapped; pixels begin at PACK_HEADER */
    int64_t size;        /* bytes of the file */
    uint8_t *memory;     /* the tables as they are in the file */
    int64_t *numbers;    /* sizes and times */
    uint16_t *labels;
};

/* Opens a file, and checks everything but the pixels. Close with pack_close; after an error it is closed. Errors are
 * STATUS_RUNTIME. */
bool pack_open(struct pack *pack, const char *path, struct status *status);
void pack_close(struct pack *pack);

/* Returns the pixels (R,C,H,W). */
const uint8_t *pack_pixels(const struct pack *pack);

/* Returns the name of a row's file for messages, or "image N" where the file has no names, in a new string. */
char *pack_row_name(const struct pack *pack, int64_t row);

/* Checks the pixels of all rows against their digests, with all cores; the error (STATUS_RUNTIME) names the first row. */
bool pack_check_pixels(const struct pack *pack, struct status *status);

/* Tells whether the file has so few pixels that they are checked whenever it is loaded. */
bool pack_is_checked(const struct pack *pack);

/* Moves the mapping and the tables that sets refer to into the data set, and closes the file. */
void pack_give(struct pack *pack, struct dataset *dataset);

/* Returns the places of the rows' names in the text, in a new array; NULL where there are none. */
int64_t *pack_name_places(const struct pack *pack);

#endif
