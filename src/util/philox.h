/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011). The same key and counter give the same four words on every backend and at any number of threads, and
 * there is no state to save: a draw is named by (seed, stream, step, index).
 *
 * This is a header only, because the CPU kernels inline it and the CUDA kernels compile it for the device. */
#ifndef PHILOX_H
#define PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define PHILOX_FUNCTION static __host__ __device__ inline
#else
#define PHILOX_FUNCTION static inline
#endif

/* The purposes of draws. Streams never share a counter; `RNG_STREAM_LAYER + i` belongs to layer i of the network. */
enum rng_stream {
    RNG_STREAM_SHUFFLE = 1,
    RNG_STREAM_SYNTHETIC = 2,
    RNG_STREAM_AUGMENT = 3,
    RNG_STREAM_SEARCH = 4,
    RNG_STREAM_GRADCHECK = 5,
    RNG_STREAM_NOISE = 6,
    RNG_STREAM_SPLIT = 7,
    RNG_STREAM_EVALUATION = 8,
    RNG_STREAM_AUGMENT_PICTURE = 9,
    RNG_STREAM_AUGMENT_ERASE = 10,
    RNG_STREAM_AUGMENT_MIX = 11,
    RNG_STREAM_SHARDS = 12,
    RNG_STREAM_INIT = 0x10000,  /* + index of the parameter */
    RNG_STREAM_LAYER = 0x20000, /* + index of the layer: dropout masks */
};

#define PHILOX_ROUNDS 10
#define PHILOX_FACTOR_0 0xD2511F53u
#define PHILOX_FACTOR_1 0xCD9E8D57u
#define PHILOX_KEY_0 0x9E3779B9u
#define PHILOX_KEY_1 0xBB67AE85u

struct philox_words {
    uint32_t word[4];
};

PHILOX_FUNCTION struct philox_words philox_draw(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = step, c3 = stream;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_FACTOR_0 * c0, p1 = (uint64_t)PHILOX_FACTOR_1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += PHILOX_KEY_0, k1 += PHILOX_KEY_1;
    }
    struct philox_words result = {{c0, c1, c2, c3}};
    return result;
}

/* A word as a float in [0, 1), from its upper 24 bits: exact in fp32. */
PHILOX_FUNCTION float philox_uniform(uint32_t word)
{
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}

#endif
