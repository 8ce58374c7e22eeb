/* Files of weights, of this program or another: opened, matched with a network, loaded. */
#ifndef TRAIN_WEIGHTS_FILE_H
#define TRAIN_WEIGHTS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/safetensors.h"
#include "nn/network.h"
#include "train/import_names.h"

struct weights_file {
    struct safetensors_file file; /* its tensors have the names of a checkpoint */
    struct import_names names;
};

/* Opens a safetensors file whose tensors fit the network (import_names.h). The shapes of `other_head`, a layer or NULL,
 * may be others. `order` is that of import_names.h, or "none". Close with weights_file_close, also after an error. */
bool weights_file_open(struct weights_file *weights, const char *path, const struct network *network,
                       const struct layer *other_head, const char *order, struct status *status);
void weights_file_close(struct weights_file *weights);

/* Loads its weights into the network, but for those of `kept` (NULL: all), and prints the notes on names. Errors:
 * STATUS_RUNTIME, and STATUS_DIVERGED for a value that is not finite; part of the network may then be overwritten. */
bool weights_file_load(const struct weights_file *weights, struct network *network, const struct layer *kept,
                       struct status *status);

/* Returns true where the file has no tensor of that name, or one of `count` values that are those expected to within the
 * rounding of its dtype. */
bool weights_file_agrees(const struct weights_file *weights, const char *name, const float *expected, int64_t count);

#endif
