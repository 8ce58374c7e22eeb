/* The parts that the readers of data sets share, for src/data only. */
#ifndef DATA_PRIVATE_H
#define DATA_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "data/dataset.h"

/* Returns folder/name in a new string; free with free(). An empty folder is the current one. */
char *data_path_join(const char *folder, const char *name);

/* Tells whether the path exists, readable or not. A file that cannot be read is an error of its own later. */
bool data_path_exists(const char *path);

/* Fails where data.path is no folder, with the reason. `expected` names the files that should be in the folder. */
bool data_folder_fail(const char *path, const char *expected, const char *way_out, struct status *status);

/* Returns in words the kind of file that begins with these bytes ("an HTML page"), or NULL: they show none. */
const char *file_kind(const uint8_t *bytes, size_t size);

/* Describes the four bytes that an IDX file begins with, in a new string. */
char *file_kind_idx(const uint8_t bytes[4]);

/* The largest size of a set's images in one file, in pixels of one channel: 4 GiB. */
#define DATA_PIXELS_MAX ((int64_t)1 << 32)
enum { DATA_COUNT_MAX = 10000000, DATA_SIDE_MAX = 65536 }; /* images of a set, and rows or columns of an image */

/* Hands memory over to the data set, which dataset_free gives back: from malloc, or `mapped` bytes of a mapped file. */
void dataset_keep(struct dataset *dataset, void *address, size_t mapped);

/* Frees the list of files that were left out; NULL and 0 are allowed. */
void skipped_files_free(struct skipped_file *skipped, int64_t count);

/* Allocates the labels alone, zeroed, as a description of the data needs them. */
void image_set_alloc_labels(struct dataset *dataset, struct image_set *set, int64_t count);

/* Allocates zeroed memory of the data set for `count` samples of one of its sets, `sample_size` pixels each. */
void image_set_alloc(struct dataset *dataset, struct image_set *set, int64_t count, int64_t sample_size);

/* --- formats --- */

/* A format of data sets. A row in the table of data_format.c makes one. */
struct data_format {
    const char *subject; /* for messages: "CIFAR-10" */
    /* Describes the data; NULL: `load` does, with source->labels_only. */
    bool (*describe)(struct dataset_description *description, const struct dataset_source *source,
                     struct status *status);
    /* Loads the data set. After an error it is empty and there is nothing to free. */
    bool (*load)(struct dataset *dataset, const struct dataset_source *source, struct status *status);
    /* What every data set in this format has; 0: it differs. */
    struct dataset_description fixed;
    int64_t coarse_classes; /* in place of fixed.classes with data.labels = coarse */
    /* The keys of [data] that this format reads beside those that every format does, ended by NULL. */
    const char *const *keys;
};

const struct data_format *data_format_of(enum dataset_kind kind);

bool synthetic_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);
bool synthetic_describe(struct dataset_description *description, const struct dataset_source *source,
                        struct status *status);

bool csv_describe(struct dataset_description *description, const struct dataset_source *source, struct status *status);

/* Class folders of PNG and JPEG files: picture_folder.c. */
bool picture_folder_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);
bool picture_folder_describe(struct dataset_description *description, const struct dataset_source *source,
                             struct status *status);

/* Packed files: pack_load.c. */
bool pack_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);
bool pack_describe(struct dataset_description *description, const struct dataset_source *source, struct status *status);

/* A file that is read from front to back, and unpacked on the way if it is packed with gzip. Offsets count unpacked
 * bytes. */
struct data_stream {
    const char *path; /* the caller's, valid as long as the stream */
    FILE *file;
    int64_t file_size; /* bytes on disk */
    int64_t offset;    /* offset of the next byte */
    bool packed;       /* the first bytes, not the name, show that gzip packed the file */
    bool member_ended; /* packed: the file may end here and nowhere else */
    z_stream inflater;
    uint8_t *buffer;
};

/* Opens a regular file. Refuses a folder, and a pipe or device, which may never end. With may_be_packed a file that
 * begins like a gzip file is unpacked. Close with data_stream_close; after a failure there is nothing to close. */
bool data_stream_open(struct data_stream *stream, const char *path, bool may_be_packed, struct status *status);
void data_stream_close(struct data_stream *stream);

/* Reads `bytes` bytes at an offset of a file that is not packed, and leaves the stream where it is. Returns false where
 * they are not all there. */
bool data_stream_read_at(const struct data_stream *stream, int64_t offset, uint8_t *to, size_t bytes);

/* Reads `bytes` bytes, or fewer where the data ends before, and puts their number into `got`. Unpacks no byte beyond
 * them. */
bool data_stream_read(struct data_stream *stream, uint8_t *to, int64_t bytes, int64_t *got, struct status *status);

/* --- classes --- */

struct class_names {
    int64_t count;
    char **name; /* (count); owned */
};

/* Reads the names from the value of data.class_names: a list with commas, or the path of a file with a name per line.
 * "auto", an empty value and NULL give no names. An error is STATUS_USAGE, and its message begins with the key.
 * Free with class_names_free; after an error there is nothing to free. */
bool class_names_read(struct class_names *names, const char *value, struct status *status);

/* Reads the names in a file: 2 to DATASET_CLASSES_MAX different ones, one per line. Errors are STATUS_RUNTIME. */
bool class_names_read_file(struct class_names *names, const char *path, struct status *status);
void class_names_free(struct class_names *names); /* leaves it empty */

/* Counts the labels of a set, in a new array of `classes` numbers; every label is below that. */
int64_t *image_set_count_labels(const struct image_set *set, int64_t classes);

/* Replaces the data set's names and its number of classes, and takes over the names. */
void dataset_take_names(struct dataset *dataset, struct class_names names);

/* The place in a file of the labels of samples first to first + count - 1 of a set. */
struct label_file {
    const char *path;
    struct image_set *set; /* one of the dataset's sets */
    int64_t first, count;
    int64_t byte, stride; /* label i is at byte + i * stride; stride 0: it is element i of the array `path` */
};

/* Sets the number of classes and the names from their sources (struct dataset_source), makes the first label 0, and
 * checks every label. An error in a label (STATUS_RUNTIME) names its file and byte. */
bool classes_settle(struct dataset *dataset, const struct dataset_source *source, const struct label_file *files,
                    int file_count, struct status *status);

/* --- IDX --- */

enum idx_part { IDX_TRAIN, IDX_TEST };
enum idx_content { IDX_IMAGES, IDX_LABELS };

/* Returns the beginning that the paths of a data set's files share, in a new string. `path` is a folder, or that
 * beginning without its last dash. Fails with NULL where there is no data set, or more than one. */
char *idx_find_stem(const char *path, struct status *status);

/* Returns the path of one of the data set's files in a new string, or NULL: there is none. */
char *idx_find_file(const char *stem, enum idx_part part, enum idx_content content);
bool idx_fail_not_found(const char *stem, enum idx_part part, enum idx_content content, struct status *status);

/* Computes dataset->border from the train set. */
void dataset_measure_border(struct dataset *dataset);

/* Computes dataset->digest from the three sets. */
bool dataset_digest_compute(struct dataset *dataset, struct status *status);

/* Moves `size` training samples, less than all, to another set, which is empty: see dataset_load. The two then share
 * their rows. */
enum split_part { SPLIT_VALIDATION, SPLIT_TEST }; /* names the draw */
void dataset_split(struct dataset *dataset, struct image_set *to, enum split_part part, int64_t size, uint64_t seed);

/* Images of a set that have the pixels of an image of another set. */
struct image_duplicates {
    int64_t count;         /* images of the set; 0: `sample` and `other` mean nothing */
    int64_t sample, other; /* the first of them, and the first image of the other set that it equals */
};

/* Finds them by the digests of the rows; a set without digests has none. */
struct image_duplicates image_set_find_duplicates(const struct image_set *set, const struct image_set *other);

/* Mirrors every image at its main diagonal: rows become columns. The sets have no rows in common yet. */
void dataset_transpose(struct dataset *dataset);

/* Sets offset and scale of the dataset from its train set. */
void dataset_normalize(struct dataset *dataset, enum normalization normalization);

#endif
