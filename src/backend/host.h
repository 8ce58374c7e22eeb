/* Defaults for a backend that computes in the memory of the host, on doubles in the boundary's order (N,C,H,W and
 * O,I,K,K), without padding: memory, the boundary, data sets. Such a backend has only to say how it computes its kinds of
 * operation. */
#ifndef HOST_H
#define HOST_H

#include "backend/backend.h"

/* Memory, the boundary and data sets. An operation runs when it is called, and reads the step's state from its call. */
extern const struct backend_table host_table;

/* A backend with that table and these functions of all kinds (OP_KINDS). The caller fills in `description`. Destroy with
 * backend_destroy. */
struct backend *host_backend_create(const struct op_function *functions);

/* The images and labels of a data set, in the memory of the code that uploaded them. */
const struct dataset_view *host_dataset_view(const struct device_dataset *dataset);

/* The number in the data set of the image at a place of the order: of the last one that was set, or of the files. */
int64_t host_dataset_sample(const struct device_dataset *dataset, int64_t place);

/* The pixels (C,H,W) of that image. */
const uint8_t *host_dataset_pixels(const struct device_dataset *dataset, int64_t sample);

#endif
