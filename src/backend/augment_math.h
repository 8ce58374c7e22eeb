/* Functions of real numbers in whole numbers, for the draws of augmentation. Every compiler and device computes the
 * same bits from them: there is no float that could be rounded or contracted in another way. "Q30" is a number in units
 * of 2^-30, and so on. Products stay below 2^63. */
#ifndef AUGMENT_MATH_H
#define AUGMENT_MATH_H

#include "util/philox.h"

#define AUGMENT_ONE (INT64_C(1) << 30) /* 1 in Q30 */

/* A number in 0..bound-1. The probability of each is off by less than bound / 2^32. */
PHILOX_FUNCTION int augment_below(uint32_t word, int bound)
{
    return (int)(((uint64_t)word * (uint64_t)bound) >> 32);
}

/* A number in low..high, for high - low <= 2^32. */
PHILOX_FUNCTION int64_t augment_between(uint32_t word, int64_t low, int64_t high)
{
    return low + (int64_t)((word * (uint64_t)(high - low + 1)) >> 32);
}

/* The product of a Q30 with a number of any unit, in that unit, rounded towards 0. */
PHILOX_FUNCTION int64_t augment_times(int64_t a, int64_t b)
{
    return a * b / AUGMENT_ONE;
}

/* The largest whole number whose square is at most `value`. */
PHILOX_FUNCTION uint32_t augment_root(uint64_t value)
{
    uint64_t root = 0;
    for (int bit = 31; bit >= 0; bit--) {
        uint64_t larger = root | (UINT64_C(1) << bit);
        if (larger * larger <= value) root = larger;
    }
    return (uint32_t)root;
}

/* 2^exponent in Q30, for a Q30 from -1 to 1; off by a few units. The series of exp(exponent * ln 2), by Horner. */
PHILOX_FUNCTION int64_t augment_power(int64_t exponent)
{
    enum { LN_2 = 744261118, TERMS = 14 };
    int64_t x = augment_times(exponent, LN_2), power = AUGMENT_ONE;
    for (int k = TERMS; k >= 1; k--) power = AUGMENT_ONE + augment_times(x, power) / k;
    return power;
}

/* Sine and cosine in Q30; off by a few units, and exact for multiples of a quarter turn. */
struct augment_turn {
    int64_t sine, cosine;
};

/* The angle is in 2^-32 of a turn, and wraps. The nearest quarter turn is taken off, which leaves an x between -pi/4
 * and pi/4 for the series sin x = x (1 - x^2/(2*3) (1 - x^2/(4*5) ...)), cos x = 1 - x^2/(1*2) (1 - x^2/(3*4) ...). */
PHILOX_FUNCTION struct augment_turn augment_turn_by(uint32_t angle)
{
    enum { HALF_PI = 1686629713, TERMS = 6 };
    uint32_t quarter = (angle + (UINT32_C(1) << 29)) >> 30;
    int64_t x = augment_times((int64_t)(int32_t)(angle - (quarter << 30)), HALF_PI), square = augment_times(x, x);
    int64_t sine = AUGMENT_ONE, cosine = AUGMENT_ONE;
    for (int k = TERMS; k >= 1; k--) {
        sine = AUGMENT_ONE - augment_times(square, sine) / (2 * k * (2 * k + 1));
        cosine = AUGMENT_ONE - augment_times(square, cosine) / ((2 * k - 1) * 2 * k);
    }
    sine = augment_times(x, sine);
    struct augment_turn turn = {sine, cosine};
    for (; quarter % 4 > 0; quarter--) { /* a quarter turn more: sin <- cos, cos <- -sin */
        int64_t before = turn.sine;
        turn.sine = turn.cosine, turn.cosine = -before;
    }
    return turn;
}

#endif
