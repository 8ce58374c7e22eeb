/* The dtypes of the format: their names, their sizes, and the values of those that are plain numbers. */
#include <math.h>
#include <string.h>

#include "io/safetensors.h"
#include "io/safetensors_private.h"
#include "util/check.h"

static const struct {
    const char *name;
    int bits;
    bool has_values;
} dtypes[SAFETENSORS_DTYPE_COUNT] = {
    [SAFETENSORS_F32] = {"F32", 32, true},
    [SAFETENSORS_F64] = {"F64", 64, true},
    [SAFETENSORS_F16] = {"F16", 16, true},
    [SAFETENSORS_BF16] = {"BF16", 16, true},
    [SAFETENSORS_BOOL] = {"BOOL", 8, true},
    [SAFETENSORS_U8] = {"U8", 8, true},
    [SAFETENSORS_I8] = {"I8", 8, true},
    [SAFETENSORS_U16] = {"U16", 16, true},
    [SAFETENSORS_I16] = {"I16", 16, true},
    [SAFETENSORS_U32] = {"U32", 32, true},
    [SAFETENSORS_I32] = {"I32", 32, true},
    [SAFETENSORS_U64] = {"U64", 64, true},
    [SAFETENSORS_I64] = {"I64", 64, true},
    [SAFETENSORS_F4] = {"F4", 4, false},
    [SAFETENSORS_F6_E2M3] = {"F6_E2M3", 6, false},
    [SAFETENSORS_F6_E3M2] = {"F6_E3M2", 6, false},
    [SAFETENSORS_F8_E4M3] = {"F8_E4M3", 8, false},
    [SAFETENSORS_F8_E5M2] = {"F8_E5M2", 8, false},
    [SAFETENSORS_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8, false},
    [SAFETENSORS_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8, false},
    [SAFETENSORS_F8_E8M0] = {"F8_E8M0", 8, false},
    [SAFETENSORS_C64] = {"C64", 64, false},
};

const char *safetensors_dtype_name(enum safetensors_dtype dtype)
{
    CHECK(dtype < SAFETENSORS_DTYPE_COUNT);
    return dtypes[dtype].name;
}

bool safetensors_dtype_has_values(enum safetensors_dtype dtype)
{
    CHECK(dtype < SAFETENSORS_DTYPE_COUNT);
    return dtypes[dtype].has_values;
}

bool safetensors_dtype_is_real(enum safetensors_dtype dtype)
{
    return dtype == SAFETENSORS_F32 || dtype == SAFETENSORS_F64 || dtype == SAFETENSORS_F16 ||
           dtype == SAFETENSORS_BF16;
}

bool safetensors_dtype_is_whole(enum safetensors_dtype dtype)
{
    return safetensors_dtype_has_values(dtype) && !safetensors_dtype_is_real(dtype);
}

bool safetensors_dtype_find(const char *name, enum safetensors_dtype *dtype)
{
    for (int i = 0; i < SAFETENSORS_DTYPE_COUNT; i++)
        if (strcmp(dtypes[i].name, name) == 0) return *dtype = (enum safetensors_dtype)i, true;
    return false;
}

bool safetensors_dtype_bytes(enum safetensors_dtype dtype, int64_t count, int64_t *bytes)
{
    CHECK(dtype < SAFETENSORS_DTYPE_COUNT && count >= 0);
    int bits = dtypes[dtype].bits;
    if (bits % 8 == 0) return !__builtin_mul_overflow(count, (int64_t)(bits / 8), bytes);
    if (__builtin_mul_overflow(count, (int64_t)bits, bytes) || *bytes % 8 != 0) return false;
    *bytes /= 8;
    return true;
}

/* --- values --- */

/* Converts IEEE 754 binary16: a sign, five bits of exponent with a bias of 15, ten bits of fraction. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
    double value;
    if (exponent == 0x1F)
        value = fraction ? (double)NAN : (double)INFINITY;
    else
        value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -value : value;
}

/* Converts bfloat16, the upper half of a float. */
static double bfloat_value(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return (double)value;
}

/* Any byte but 0 is true. */
static double truth_value(uint8_t byte)
{
    return byte != 0;
}

#define CONVERT(type, convert)                                                                                         \
    for (int64_t i = 0; i < tensor->count; i++) {                                                                      \
        type value;                                                                                                    \
        memcpy(&value, (const char *)tensor->data + (size_t)i * sizeof value, sizeof value);                           \
        values[i] = convert(value);                                                                                    \
    }                                                                                                                  \
    return

void safetensors_values(const struct safetensors_tensor *tensor, double *values)
{
    CHECK(safetensors_dtype_has_values(tensor->dtype));
    /* clang-format off */
    switch ((int)tensor->dtype) {
    case SAFETENSORS_F32: CONVERT(float, (double));
    case SAFETENSORS_F64: CONVERT(double, (double));
    case SAFETENSORS_F16: CONVERT(uint16_t, half_value);
    case SAFETENSORS_BF16: CONVERT(uint16_t, bfloat_value);
    case SAFETENSORS_BOOL: CONVERT(uint8_t, truth_value);
    case SAFETENSORS_U8: CONVERT(uint8_t, (double));
    case SAFETENSORS_I8: CONVERT(int8_t, (double));
    case SAFETENSORS_U16: CONVERT(uint16_t, (double));
    case SAFETENSORS_I16: CONVERT(int16_t, (double));
    case SAFETENSORS_U32: CONVERT(uint32_t, (double));
    case SAFETENSORS_I32: CONVERT(int32_t, (double));
    case SAFETENSORS_U64: CONVERT(uint64_t, (double));
    case SAFETENSORS_I64: CONVERT(int64_t, (double));
    }
    /* clang-format on */
    CHECK(!"a dtype with values");
}
