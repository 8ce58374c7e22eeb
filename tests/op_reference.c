/* Compares the outputs of a case with those of PyTorch (op_reference.h). */
#include "op_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/rng.h"

/* The tolerance in roundings of the largest sum of absolute terms, for every precision alike. A sum of n terms with
 * random signs in order is off by about 0.2 roundings of the sum of the absolute terms, whatever n is; the largest of
 * thousands of elements is four such standard deviations; the operations on either side, and vectorised exp and log
 * with 1-2 ulp, are a few more. A wrong term is off by 1/n of that sum: some thousand times as much in fp32. */
enum { OP_ROUNDINGS = 8 };

/* The numbers are those of make_reference.py. */
enum { SAMPLES = 128, SEGMENTS = 32, SAMPLE_STREAM = 1000, SIGN_STREAM = 1001 };

struct op_reference {
    char *bytes;
    size_t size;
};

/* A position in the file. Every read stays inside the file: a reference cut short stops the test. */
struct cursor {
    const char *at, *end;
};

static const char *take(struct cursor *cursor, size_t size)
{
    CHECK((size_t)(cursor->end - cursor->at) >= size);
    const char *taken = cursor->at;
    cursor->at += size;
    return taken;
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t value;
    memcpy(&value, take(cursor, sizeof value), sizeof value);
    return value;
}

static bool take_string_equals(struct cursor *cursor, const char *text)
{
    uint32_t length = take_u32(cursor);
    const char *stored = take(cursor, length);
    return length == strlen(text) && memcmp(stored, text, length) == 0;
}

/* An array of the file. */
struct stored_array {
    char name[32];
    int64_t count;
    double magnitude;
    uint32_t stored;
    const char *values; /* `stored` doubles, not aligned */
};

static struct stored_array take_array(struct cursor *cursor)
{
    struct stored_array array = {0};
    uint32_t length = take_u32(cursor);
    CHECK(length < sizeof array.name);
    memcpy(array.name, take(cursor, length), length);
    memcpy(&array.count, take(cursor, sizeof array.count), sizeof array.count);
    memcpy(&array.magnitude, take(cursor, sizeof array.magnitude), sizeof array.magnitude);
    array.stored = take_u32(cursor);
    array.values = take(cursor, array.stored * sizeof(double));
    return array;
}

struct op_reference *op_reference_load(void)
{
    struct op_reference *reference = memory_alloc(1, sizeof *reference);
    char *path = support_path(TEST_FOLDER, "ref/ops.bin");
    reference->bytes = support_file_read(path, &reference->size);
    free(path);
    CHECK(reference->bytes && reference->size >= 8 && memcmp(reference->bytes, "OPSREF01", 8) == 0);
    return reference;
}

void op_reference_free(struct op_reference *reference)
{
    free(reference->bytes), free(reference);
}

/* Leaves the cursor at the arrays of a case and returns their number, or -1 where the case is not there. */
static int find_case(const struct op_reference *reference, const char *name, struct cursor *cursor)
{
    *cursor = (struct cursor){reference->bytes + 8, reference->bytes + reference->size};
    for (uint32_t left = take_u32(cursor); left > 0; left--) {
        bool found = take_string_equals(cursor, name);
        int arrays = (int)take_u32(cursor);
        if (found) return arrays;
        for (int i = 0; i < arrays; i++) take_array(cursor);
    }
    return -1;
}

static uint32_t word_at(uint64_t seed, uint32_t stream, uint64_t index)
{
    return philox_draw(seed, stream, 0, index / 4).word[index % 4];
}

/* The elements and signed sums that the file holds of a long array. */
static void sample(const double *values, int64_t count, uint64_t seed, double *sampled)
{
    for (int k = 0; k < SAMPLES; k++) sampled[k] = values[word_at(seed, SAMPLE_STREAM, (uint64_t)k) % count];
    for (int64_t part = 0; part < SEGMENTS; part++) {
        double sum = 0;
        for (int64_t i = part * count / SEGMENTS; i < (part + 1) * count / SEGMENTS; i++) {
            sum += word_at(seed, SIGN_STREAM, (uint64_t)i) & 1 ? -values[i] : values[i];
        }
        sampled[SAMPLES + part] = sum;
    }
}

static bool array_agrees(const struct stored_array *stored, const struct op_array *output, uint64_t seed,
                         double roundoff, char *message, size_t size)
{
    double absolute = OP_ROUNDINGS * roundoff * stored->magnitude, relative = OP_ROUNDINGS * roundoff;
    double *expected = memory_alloc(stored->stored, sizeof(double));
    memcpy(expected, stored->values, stored->stored * sizeof(double));
    bool agrees;
    if (stored->stored == stored->count) {
        agrees = support_close(output->values, expected, stored->count, absolute, relative, message, size);
    } else {
        CHECK(stored->stored == SAMPLES + SEGMENTS);
        /* Errors of random sign add up like the root of their number; `relative` then has no meaning of its own, and
         * the largest element stands for all. */
        double largest = 0, sampled[SAMPLES + SEGMENTS];
        for (int k = 0; k < SAMPLES; k++) largest = fmax(largest, fabs(expected[k]));
        double of_sum = (absolute + relative * largest) * sqrt((double)(stored->count / SEGMENTS + 1));
        sample(output->values, stored->count, seed, sampled);
        agrees = support_close(sampled, expected, SAMPLES, absolute, relative, message, size) &&
                 support_close(sampled + SAMPLES, expected + SAMPLES, SEGMENTS, of_sum, 0, message, size);
    }
    free(expected);
    return agrees;
}

bool op_reference_agrees(const struct op_reference *reference, const struct op_case *op_case,
                         const struct op_arrays *outputs, double roundoff, char *message, size_t size)
{
    struct cursor cursor;
    int arrays = find_case(reference, op_case->name, &cursor);
    if (op_case->kind == OP_GATHER) return true; /* make_reference.py makes none */
    if (arrays != outputs->count) {
        snprintf(message, size, "%d arrays in ref/ops.bin, %d computed; run make_reference.py", arrays, outputs->count);
        return false;
    }
    uint64_t seed = support_seed(op_case->name);
    for (int i = 0; i < arrays; i++) {
        struct stored_array stored = take_array(&cursor);
        int used = snprintf(message, size, "%s: ", stored.name);
        const struct op_array *output = op_arrays_find(outputs, stored.name);
        if (!output || shape_count(output->shape) != stored.count) {
            snprintf(message, size, "%s: not computed, or not of the size in ref/ops.bin", stored.name);
            return false;
        }
        if (!array_agrees(&stored, output, seed, roundoff, message + used, size - (size_t)used)) return false;
    }
    return true;
}

/* The magnitude of an output's terms; -1 where the file does not have it. */
static double find_magnitude(const struct op_reference *reference, const struct op_case *op_case, const char *output)
{
    struct cursor cursor;
    for (int left = find_case(reference, op_case->name, &cursor); left > 0; left--) {
        struct stored_array stored = take_array(&cursor);
        if (strcmp(stored.name, output) == 0) return stored.magnitude;
    }
    return -1;
}

bool op_reference_same(const struct op_reference *reference, const struct op_case *op_case,
                       const struct op_arrays *outputs, const struct op_arrays *expected, double roundoff,
                       char *message, size_t size)
{
    for (int i = 0; i < expected->count; i++) {
        const struct op_array *b = &expected->array[i], *a = op_arrays_find(outputs, b->name);
        double magnitude = fmax(find_magnitude(reference, op_case, b->name), 0);
        int used = snprintf(message, size, "%s: ", b->name);
        CHECK(a && shape_equal(a->shape, b->shape));
        if (!support_close(a->values, b->values, shape_count(b->shape), OP_ROUNDINGS * roundoff * magnitude,
                           OP_ROUNDINGS * roundoff, message + used, size - (size_t)used)) {
            return false;
        }
    }
    return expected->count > 0;
}

double op_reference_magnitude(const struct op_reference *reference, const struct op_case *op_case, const char *output)
{
    double magnitude = find_magnitude(reference, op_case, output);
    CHECK(magnitude >= 0);
    return magnitude;
}
