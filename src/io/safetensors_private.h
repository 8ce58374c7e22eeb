/* What reading and writing share: how the file begins. */
#ifndef IO_SAFETENSORS_PRIVATE_H
#define IO_SAFETENSORS_PRIVATE_H

#include "trainer/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

enum { SAFETENSORS_LENGTH_SIZE = 8 }; /* bytes before the header */

/* A header with a digest begins with these characters, and the digits follow. A "sha256" elsewhere is metadata like any
 * other. */
#define SAFETENSORS_DIGEST_PREFIX "{\"__metadata__\":{\"sha256\":\""

/* The dtype of that name; false where the format has none. */
bool safetensors_dtype_find(const char *name, enum safetensors_dtype *dtype);

#endif
