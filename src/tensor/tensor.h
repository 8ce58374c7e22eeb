/* A tensor: a shape and an address in the memory of a backend. The scalar type and the order of the elements in memory
 * are the backend's own (see backend.h); only backend_table.tensor_read and tensor_write translate them. */
#ifndef TENSOR_H
#define TENSOR_H

#include "tensor/shape.h"

enum tensor_kind {
    TENSOR_ACTIVATION, /* (N,C,H,W): a batch of images, or of vectors as (N,D,1,1) */
    TENSOR_FILTER,     /* (O,I,K,K): weights of a convolution; of a linear layer as (O,I,1,1) */
    TENSOR_VECTOR,     /* (1,C,1,1): one value per channel: bias, gamma, running mean, ... */
    TENSOR_PIXELS,     /* (N,D,1,1): a batch of vectors as the data set's own pixels, with offset and scale */
    TENSOR_LABELS,     /* (N,1,1,1): the label of each sample, int32_t */
    TENSOR_SAVED,   /* bytes that an operation of a backend keeps for its backward pass; no order but the backend's */
    TENSOR_FLAT,    /* (1,count,1,1): a range of an arena, padding included */
    TENSOR_SCALAR,  /* (1,1,1,1): a double */
    TENSOR_ROUNDED, /* a filter or a vector whose elements have the type of an activation's */
    TENSOR_METRICS, /* (1,3,1,1): struct metrics: the loss, the correct samples and all samples */
};

struct tensor {
    void *data; /* owned by the code that allocated it; tensors are passed around as views */
    struct shape shape;
    enum tensor_kind kind;
};

#endif
