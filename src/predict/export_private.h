/* Functions that the exporters share. */
#ifndef PREDICT_EXPORT_PRIVATE_H
#define PREDICT_EXPORT_PRIVATE_H

#include "predict/export.h"

/* Returns the tensors of the network in the order of the file, in a new array (free with free()). They point into the
 * file. */
struct safetensors_tensor *export_tensors(const struct checkpoint *checkpoint, int *count);

/* Writes NPZ: a zip archive with a .npy file per tensor. */
bool npz_write(const char *path, const struct safetensors_tensor *tensors, int count, struct status *status);

#endif
