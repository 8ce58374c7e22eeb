#include "io/safetensors_private.h"

#include <stdio.h>

struct safetensors_digest_state safetensors_digest_start(void)
{
    struct safetensors_digest_state state = {.context = EVP_MD_CTX_new()};
    state.failed = !state.context || !EVP_DigestInit_ex(state.context, EVP_sha256(), NULL);
    return state;
}

void safetensors_digest_add(struct safetensors_digest_state *state, const void *bytes, size_t size)
{
    if (!state->failed) state->failed = !EVP_DigestUpdate(state->context, bytes, size);
}

bool safetensors_digest_finish(struct safetensors_digest_state *state, char digits[SAFETENSORS_DIGEST_DIGITS + 1],
                               struct status *status)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    bool good =
        !state->failed && EVP_DigestFinal_ex(state->context, hash, &size) && 2 * size == SAFETENSORS_DIGEST_DIGITS;
    EVP_MD_CTX_free(state->context);
    *state = (struct safetensors_digest_state){.failed = true};
    if (!good) return status_fail(status, STATUS_RUNTIME, "libcrypto cannot compute a SHA-256");
    for (unsigned int i = 0; i < size; i++) snprintf(digits + 2 * i, 3, "%02x", hash[i]);
    return true;
}
