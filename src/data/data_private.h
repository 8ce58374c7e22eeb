/* What the readers of data sets share. Everything here is for src/data only. */
#ifndef DATA_PRIVATE_H
#define DATA_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "trainer/dataset.h"

enum { DATA_CLASSES_MAX = 256 }; /* labels are bytes */

/* folder/name in a new string; free with free(). An empty folder is the current one. */
char *data_path_join(const char *folder, const char *name);

/* Whether something is there, readable or not: what exists and cannot be read is an error of its own later. */
bool data_path_exists(const char *path);

/* Zeroed memory for `count` samples of `sample_size` pixels each. */
void image_set_alloc(struct image_set *set, int64_t count, int64_t sample_size);

/* A file read from front to back, plain or unpacked with gzip on the way. Offsets count unpacked bytes. */
struct data_stream {
    const char *path; /* the caller's, valid as long as the stream */
    FILE *file;
    int64_t file_size; /* bytes on disk */
    int64_t offset;    /* of the next byte */
    bool packed;
    bool member_ended; /* packed: the file may end here and nowhere else */
    z_stream inflater;
    uint8_t *buffer;
};

/* Refuses what is not a regular file: a folder cannot be read, and a pipe or device need not ever end. A stream that
 * was opened is closed with data_stream_close; after a failure there is nothing to close. */
bool data_stream_open(struct data_stream *stream, const char *path, bool packed, struct status *status);
void data_stream_close(struct data_stream *stream);

/* Reads `bytes` bytes, or fewer where the data ends before; `got` says how many. At most `bytes` are ever unpacked. */
bool data_stream_read(struct data_stream *stream, uint8_t *to, int64_t bytes, int64_t *got, struct status *status);

/* Sets offset and scale of the dataset from its train set. */
void dataset_normalize(struct dataset *dataset, enum normalization normalization);

#endif
