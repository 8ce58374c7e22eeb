/* SHA-256 of data that comes in pieces, by libcrypto. */
#ifndef UTIL_SHA256_H
#define UTIL_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/sha.h>

#include "util/status.h"

enum { SHA256_DIGITS = 64 };

struct sha256 {
    SHA256_CTX context;
    bool failed;
};

struct sha256 sha256_start(void);
void sha256_add(struct sha256 *hash, const void *bytes, size_t size);

/* Gives the digest. Fails (STATUS_RUNTIME) where libcrypto failed in this call or an earlier one. */
bool sha256_finish_bytes(struct sha256 *hash, unsigned char bytes[SHA256_DIGEST_LENGTH], struct status *status);

/* Writes the hexadecimal digits in lower case, with the same errors. */
bool sha256_finish(struct sha256 *hash, char digits[SHA256_DIGITS + 1], struct status *status);

#endif
