/* Signs the safetensors files and checkpoints that the fuzzer makes. */
#ifndef TESTS_FUZZ_SIGN_H
#define TESTS_FUZZ_SIGN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "io/safetensors_private.h"
#include "util/check.h"
#include "util/sha256.h"

/* Puts the right digest in its place, where the file has such a place. */
static inline void fuzz_sign(uint8_t *bytes, size_t size)
{
    const size_t place = SAFETENSORS_LENGTH_SIZE + strlen(SAFETENSORS_DIGEST_PREFIX);
    char digits[SHA256_DIGITS + 1];
    struct status status;
    if (size < place + SHA256_DIGITS ||
        memcmp(bytes + SAFETENSORS_LENGTH_SIZE, SAFETENSORS_DIGEST_PREFIX, place - SAFETENSORS_LENGTH_SIZE) != 0)
        return;
    memset(bytes + place, '0', SHA256_DIGITS);
    struct sha256 hash = sha256_start();
    sha256_add(&hash, bytes, size);
    CHECK(sha256_finish(&hash, digits, &status));
    memcpy(bytes + place, digits, SHA256_DIGITS);
}

#endif
