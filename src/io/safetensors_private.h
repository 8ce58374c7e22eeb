/* What reading and writing share: how the file begins, and its digest. */
#ifndef IO_SAFETENSORS_PRIVATE_H
#define IO_SAFETENSORS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/evp.h>

#include "trainer/status.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

enum {
    SAFETENSORS_LENGTH_SIZE = 8, /* bytes before the header */
    SAFETENSORS_DIGEST_DIGITS = 64,
};

/* A header with a digest begins with this, and then with the digits. Elsewhere a "sha256" is only somebody's metadata.
 */
#define SAFETENSORS_DIGEST_PREFIX "{\"__metadata__\":{\"sha256\":\""

/* A SHA-256 of pieces, one after the other. Only the end tells whether libcrypto failed on the way. */
struct safetensors_digest_state {
    EVP_MD_CTX *context;
    bool failed;
};

struct safetensors_digest_state safetensors_digest_start(void);
void safetensors_digest_add(struct safetensors_digest_state *state, const void *bytes, size_t size);
bool safetensors_digest_finish(struct safetensors_digest_state *state, char digits[SAFETENSORS_DIGEST_DIGITS + 1],
                               struct status *status);

#endif
