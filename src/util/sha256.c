#include "util/sha256.h"

#include <stdio.h>

struct sha256 sha256_start(void)
{
    struct sha256 hash = {.context = EVP_MD_CTX_new()};
    hash.failed = !hash.context || !EVP_DigestInit_ex(hash.context, EVP_sha256(), NULL);
    return hash;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t size)
{
    if (!hash->failed) hash->failed = !EVP_DigestUpdate(hash->context, bytes, size);
}

bool sha256_finish(struct sha256 *hash, char digits[SHA256_DIGITS + 1], struct status *status)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    bool good = !hash->failed && EVP_DigestFinal_ex(hash->context, bytes, &size) && 2 * size == SHA256_DIGITS;
    EVP_MD_CTX_free(hash->context);
    *hash = (struct sha256){.failed = true};
    if (!good) return status_fail(status, STATUS_RUNTIME, "libcrypto cannot compute a SHA-256");
    for (unsigned int i = 0; i < size; i++) snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    return true;
}
