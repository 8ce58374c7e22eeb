/* Exports a trained network to the formats of other programs. */
#ifndef EXPORT_H
#define EXPORT_H

#include <stdbool.h>

#include "train/checkpoint.h"

/* A checkpoint to export, with its experiment and its input. */
struct export_model {
    const struct checkpoint *checkpoint;
    const struct experiment *experiment;
    const struct checkpoint_input *input;
    const struct network *network; /* with the layers of the checkpoint's; its values do not count */
};

/* Writes ONNX: operator set 17, IR version 8, weights as float32. The input "images" is float32 (N,C,H,W) and takes
 * pixels 0..255; the graph normalizes them. The outputs are "logits" (N,D), the scores before the softmax, and
 * "probabilities" (N,D). Initializers have the names of the checkpoint's tensors. Errors: STATUS_USAGE for batch
 * normalization by the batch's own statistics and for a convolution or pool of vectors, which ONNX lacks, and
 * STATUS_RUNTIME for a file of 2 GiB or more. */
bool export_onnx(const struct export_model *model, const char *path, struct status *status);

/* Writes the checkpoint's tensors input.* and layers.*, without the optimizer's. PyTorch's load_state_dict takes the
 * file for a module whose `layers` is an nn.Sequential of the same layers and whose `input` has the buffers offset and
 * scale. */
bool export_safetensors(const struct export_model *model, const char *path, struct status *status);

/* Writes the same tensors as NumPy's .npz, not compressed. */
bool export_npz(const struct export_model *model, const char *path, struct status *status);

#endif
