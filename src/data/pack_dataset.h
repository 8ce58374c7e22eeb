/* Packed files: a whole data set of any format in one file, which data.dataset = pack maps into memory. */
#ifndef PACK_DATASET_H
#define PACK_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "data/dataset.h"
#include "util/status.h"

/* Writes the sets of a data set as dataset_load_files gives them, with class names, names of files, and the list of what
 * was left out. The file appears whole or not at all; `bytes` becomes its size. A data set that is packed already is
 * refused (STATUS_USAGE, with the key in front); other errors (STATUS_RUNTIME) name path and cause. */
bool dataset_pack(const struct dataset *dataset, const struct dataset_spec *spec, const char *path, int64_t *bytes,
                  struct status *status);

/* The contents of a packed file, in numbers. */
struct pack_summary {
    int64_t channels, height, width, classes;
    int64_t train, validation, test; /* images */
    int64_t bytes;
};

/* Checks every byte of a packed file: the header and the tables by their digest, the pixels by those of the images. The
 * error (STATUS_RUNTIME) names the first image that is damaged. */
bool dataset_pack_check(struct pack_summary *summary, const char *path, struct status *status);

#endif
