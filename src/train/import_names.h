/* Matches the names of tensors in files of other programs with the tensors of a network. */
#ifndef TRAIN_IMPORT_NAMES_H
#define TRAIN_IMPORT_NAMES_H

#include <stdbool.h>

#include "io/safetensors.h"
#include "nn/network.h"

/* Gives the tensors of `file` the names that checkpoint.h describes, as far as the network needs them.
 *
 * - It removes the words that all names begin with ("module.", "_orig_mod.", "model.", ...), then those that all names
 *   of layers begin with ("layers.", "net.", ...). The rest is the place of a module and its tensor: "0.weight".
 * - Where the file has every tensor of the network under its own number, the numbers count. Otherwise, where the file
 *   has as many modules with tensors as the network has layers with tensors, their order counts. An nn.Flatten or
 *   nn.Identity more or less then does no harm, and a note says so. Shapes never decide which tensor is which.
 * - Where modules have other names than numbers, an order of modules (module_order.h) numbers them: that of the file
 *   `order`, or, if it is NULL, the first of the program's own orders that knows all of them. A note says so.
 * - It passes over num_batches_tracked and the rest of a checkpoint of the trainer's own (optimizer.*,
 *   training.layers.*). It passes over a superfluous tensor of whole numbers or truth values too, with a note.
 *
 * Errors are STATUS_RUNTIME and name the file and the tensor. They are: a tensor that the network needs is missing (the
 * message names the nearest one of the file); the network has no place for a tensor; a shape differs, unless it is that
 * of `other_head` (NULL: none), a layer whose tensors may have other shapes in the file. A file `order` that does not
 * follow its rules is an error of module_order_read. Free with import_names_free, in any case, after the last use of the
 * file. */
struct import_names {
    char **text;  /* the new names; [count], NULL where a tensor keeps its own name */
    int count;    /* the file's tensors */
    char **notes; /* messages for the user, a line each; [note_count] */
    int note_count;
};

bool import_names_match(struct import_names *names, struct safetensors_file *file, const struct network *network,
                        const struct layer *other_head, const char *order, struct status *status);
void import_names_free(struct import_names *names);

#endif
