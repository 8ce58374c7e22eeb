/* Tables of text that name pictures and their labels: comma-separated values and their relatives, read record by
 * record. Fields may be in quotes as RFC 4180 has them, with line ends in them; lines end as those of any system. */
#ifndef DATA_TABLE_H
#define DATA_TABLE_H

#include "data_private.h"

/* A table in memory, and the record that was read last. */
struct table {
    const char *path; /* the caller's */
    char *text;       /* (size), and a zero */
    int64_t size, start, at;
    char separator;       /* ',', ';', '\t', or ' ': the field behind the line's last blanks is the second and last */
    int64_t columns;      /* of every record, once one was read */
    int64_t line, record; /* of the last record: its first line, and the byte of its beginning */
    int64_t next_line;
    char *scratch; /* holds the fields */
    int64_t scratch_size;
    char **fields; /* (columns) */
    int64_t fields_capacity;
};

/* Reads a file, plain or packed with gzip, and finds the separator: the most frequent one of the first line. Refuses
 * what is no text. Close with table_close; after an error there is nothing to close. */
bool table_open(struct table *table, const char *path, struct status *status);
void table_close(struct table *table);

/* Reads the next record, and passes over empty lines. *more is false at the end. All records have as many fields as the
 * first. */
bool table_next(struct table *table, bool *more, struct status *status);

/* Goes back before the first record. */
void table_rewind(struct table *table);

/* Calls status_fail (STATUS_RUNTIME) with "FILE:LINE:COLUMN: " before the words: the place of a field of the last
 * record. COLUMN counts bytes, from 1. Returns false. */
bool table_fail(const struct table *table, int64_t field, struct status *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
