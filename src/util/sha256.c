/* SHA-256 by libcrypto's functions from before its version 3, which ask for no memory. Those that replaced them make
 * thousands of requests for memory when they are first called, and crash where one is refused. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "util/sha256.h"

#include <stdio.h>

struct sha256 sha256_start(void)
{
    struct sha256 hash;
    hash.failed = !SHA256_Init(&hash.context);
    return hash;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t size)
{
    if (!hash->failed) hash->failed = !SHA256_Update(&hash->context, bytes, size);
}

bool sha256_finish_bytes(struct sha256 *hash, unsigned char bytes[SHA256_DIGEST_LENGTH], struct status *status)
{
    bool good = !hash->failed && SHA256_Final(bytes, &hash->context);
    hash->failed = true;
    return good || status_fail(status, STATUS_RUNTIME, "libcrypto cannot compute a SHA-256");
}

bool sha256_finish(struct sha256 *hash, char digits[SHA256_DIGITS + 1], struct status *status)
{
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    if (!sha256_finish_bytes(hash, bytes, status)) return false;
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    return true;
}
