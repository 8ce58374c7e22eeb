/* A trained network in the formats of others. */
#ifndef TRAINER_EXPORT_H
#define TRAINER_EXPORT_H

#include <stdbool.h>

#include "trainer/checkpoint.h"

/* What is exported: a checkpoint that was read, its experiment and its input. */
struct export_model {
    const struct checkpoint *checkpoint;
    const struct experiment *experiment;
    const struct checkpoint_input *input;
};

/* ONNX, operator set 17, IR version 8, weights as float32. One input "images", float32 (N,C,H,W), the pixels 0..255 as
 * they are: the normalization is in the graph. Two outputs (N,D): "logits", the scores before the softmax, and
 * "probabilities". Initializers have the names of the checkpoint's tensors. A network that ONNX has no operators for is
 * refused: batch normalization by the batch's own statistics (STATUS_USAGE), and a file of 2 GiB or more
 * (STATUS_RUNTIME). */
bool export_onnx(const struct export_model *model, const char *path, struct status *status);

/* The checkpoint's tensors input.* and layers.*, without the optimizer's: what load_state_dict of a PyTorch module
 * takes whose `layers` is an nn.Sequential of the same layers and whose `input` has the buffers offset and scale. */
bool export_safetensors(const struct export_model *model, const char *path, struct status *status);

/* The same tensors as NumPy's .npz, not compressed. */
bool export_npz(const struct export_model *model, const char *path, struct status *status);

#endif
