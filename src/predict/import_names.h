/* The names of tensors in files of other programs, and the tensors of a network that they stand for. */
#ifndef PREDICT_IMPORT_NAMES_H
#define PREDICT_IMPORT_NAMES_H

#include <stdbool.h>

#include "trainer/network.h"
#include "trainer/safetensors.h"

/* Gives the tensors of `file` the names that checkpoint.h describes, as far as the network needs them.
 *
 * - The words that all names begin with ("module.", "_orig_mod.", "model.", ...) are left out; then those that all names of
 *   layers begin with ("layers.", "net.", ...). What is left is the place of a module and its tensor: "0.weight".
 * - Where every tensor of the network is there under its own number, the numbers count. Else, where the file has as many
 *   modules with tensors as the network has layers with tensors, the first is the first: an nn.Flatten or nn.Identity more
 *   or less does no harm, and a note says so. Shapes never decide what a tensor is.
 * - num_batches_tracked and the rest of a checkpoint of the trainer's own (optimizer.*, training.layers.*) are passed over.
 *   A tensor of whole numbers or truth values that the network has no place for is passed over with a note.
 *
 * Errors are STATUS_RUNTIME and name the file and the tensor: one that the network needs and that is missing, with the
 * nearest that the file has; those that the network has no place for; one whose shape is another one. Free with
 * import_names_free, in any case, after the file was used for the last time. */
struct import_names {
    char **text;  /* the new names; [count], NULL where a tensor keeps its own */
    int count;    /* the file's tensors */
    char **notes; /* what the user should know, a line each; [note_count] */
    int note_count;
};

bool import_names_match(struct import_names *names, struct safetensors_file *file, const struct network *network,
                        struct status *status);
void import_names_free(struct import_names *names);

#endif
