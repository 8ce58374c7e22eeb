/* What reading and writing share: how the file begins. */
#ifndef IO_SAFETENSORS_PRIVATE_H
#define IO_SAFETENSORS_PRIVATE_H

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

enum { SAFETENSORS_LENGTH_SIZE = 8 }; /* bytes before the header */

/* A header with a digest begins with this, and then with the digits. Elsewhere a "sha256" is only somebody's metadata.
 */
#define SAFETENSORS_DIGEST_PREFIX "{\"__metadata__\":{\"sha256\":\""

#endif
