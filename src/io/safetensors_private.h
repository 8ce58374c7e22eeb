/* The parts of the format that reading and writing share. */
#ifndef IO_SAFETENSORS_PRIVATE_H
#define IO_SAFETENSORS_PRIVATE_H

#include "io/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

enum { SAFETENSORS_LENGTH_SIZE = 8 }; /* bytes before the header */

/* A header with a digest begins with these characters; the digits follow. A "sha256" elsewhere is ordinary metadata. */
#define SAFETENSORS_DIGEST_PREFIX "{\"__metadata__\":{\"sha256\":\""

/* Finds the dtype of that name; false: the format has no such dtype. */
bool safetensors_dtype_find(const char *name, enum safetensors_dtype *dtype);

#endif
