/* Tests safetensors files. A written file can be read back. A damaged or hostile file is refused. A file survives a
 * disk that fails. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_support.h"
#include "io/safetensors.h"

TestSuite(safetensors, .init = enter_folder, .fini = leave_folder);

static const float floats[6] = {0, -0.0f, 1.5f, -3.25e-40f, 3.4e38f, 0.1f};
static const double doubles[1] = {1.0 / 3};
static const uint8_t bytes_of[3] = {0, 7, 255};
static const int64_t integers[2] = {-5, INT64_C(1) << 53};
static const struct safetensors_tensor tensors[] = {
    {"layers.0.weight", SAFETENSORS_F32, 2, {2, 3}, 0, floats},
    {"a \"name\" of \xc3\xa4", SAFETENSORS_F64, 0, {0}, 0, doubles},
    {"integers", SAFETENSORS_I64, 1, {2}, 0, integers},
    {"empty", SAFETENSORS_F32, 2, {0, 4}, 0, floats},
    {"bytes", SAFETENSORS_U8, 3, {1, 3, 1}, 0, bytes_of},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };
static const struct safetensors_metadata metadata[] = {{"config", "[train]\nmax_steps = 3\n"}, {"step", "3"}};

static void write_sample(const char *path)
{
    struct status status = {0};
    cr_assert(safetensors_write(path, tensors, TENSORS, metadata, 2, &status), "%s", status.message);
}

static struct safetensors_file read_good(const char *path, enum safetensors_digest digest)
{
    struct safetensors_file file;
    struct status status = {0};
    cr_assert(safetensors_read(&file, path, digest, &status), "%s", status.message);
    return file;
}

Test(safetensors, reads_what_it_wrote)
{
    write_sample("x.safetensors");
    struct safetensors_file file = read_good("x.safetensors", SAFETENSORS_DIGEST_REQUIRED);
    cr_expect(file.has_digest);
    cr_assert_eq(file.tensor_count, TENSORS);
    for (int i = 0; i < TENSORS; i++) {
        const struct safetensors_tensor *tensor = safetensors_find(&file, tensors[i].name);
        cr_assert(tensor && tensor->dtype == tensors[i].dtype && tensor->rank == tensors[i].rank, "%s",
                  tensors[i].name);
        int64_t size;
        cr_assert(safetensors_dtype_bytes(tensor->dtype, tensor->count, &size));
        cr_expect_eq(memcmp(tensor->shape, tensors[i].shape, sizeof tensor->shape), 0);
        cr_expect_eq(memcmp(tensor->data, tensors[i].data, (size_t)size), 0);
    }
    cr_expect_eq(safetensors_find(&file, "empty")->count, 0);
    cr_expect_null(safetensors_find(&file, "layers.0"));
    cr_assert_eq(file.metadata_count, 2);
    cr_expect_str_eq(safetensors_metadata_find(&file, "config"), metadata[0].value);
    cr_expect_str_eq(safetensors_metadata_find(&file, "step"), "3");
    cr_expect_null(safetensors_metadata_find(&file, "sha256"));
    safetensors_free(&file);
}

Test(safetensors, converts_every_dtype_to_doubles)
{
    const int32_t words[2] = {-7, INT32_MAX};
    const struct safetensors_tensor words_tensor = {"words", SAFETENSORS_I32, 1, {2}, 0, words};
    struct status status = {0};
    double values[6];
    write_sample("x.safetensors");
    struct safetensors_file file = read_good("x.safetensors", SAFETENSORS_DIGEST_REQUIRED);
    safetensors_values(safetensors_find(&file, "layers.0.weight"), values);
    for (int i = 0; i < 6; i++) cr_expect(values[i] == (double)floats[i] && !signbit(values[i]) == !signbit(floats[i]));
    safetensors_values(safetensors_find(&file, tensors[1].name), values);
    cr_expect_eq(values[0], doubles[0]);
    safetensors_values(safetensors_find(&file, "integers"), values);
    cr_expect(values[0] == -5 && values[1] == 0x1p53);
    safetensors_values(safetensors_find(&file, "bytes"), values);
    cr_expect(values[0] == 0 && values[1] == 7 && values[2] == 255);
    safetensors_free(&file);
    cr_assert(safetensors_write("y.safetensors", &words_tensor, 1, NULL, 0, &status), "%s", status.message);
    file = read_good("y.safetensors", SAFETENSORS_DIGEST_REQUIRED);
    safetensors_values(&file.tensors[0], values);
    cr_expect(values[0] == -7 && values[1] == INT32_MAX);
    safetensors_free(&file);
}

Test(safetensors, writes_the_same_bytes_again)
{
    size_t first_size, second_size;
    write_sample("x.safetensors"), write_sample("y.safetensors");
    char *first = support_file_read("x.safetensors", &first_size),
         *second = support_file_read("y.safetensors", &second_size);
    cr_assert(first_size == second_size && memcmp(first, second, first_size) == 0);
    uint64_t length;
    memcpy(&length, first, sizeof length);
    cr_expect_eq(length % 8, 0);
    free(first), free(second);
}

/* --- dtypes --- */

/* Makes a file with one tensor, `w`, of `shape` elements in `size` bytes. */
static struct safetensors_file one_tensor(const char *dtype, int shape, const void *data, size_t size)
{
    char header[128], bytes[256] = "";
    uint64_t length =
        (uint64_t)snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%zu]}}",
                           dtype, shape, size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, size);
    support_file_write("w", bytes, 8 + length + size);
    return read_good("w", SAFETENSORS_DIGEST_OPTIONAL);
}

static void expect_values(const char *dtype, const void *data, size_t size, int count, const double *expected)
{
    double values[8];
    struct safetensors_file file = one_tensor(dtype, count, data, size);
    cr_assert(safetensors_dtype_has_values(file.tensors[0].dtype));
    cr_expect_str_eq(safetensors_dtype_name(file.tensors[0].dtype), dtype);
    safetensors_values(&file.tensors[0], values);
    for (int i = 0; i < count; i++)
        cr_expect(values[i] == expected[i] && !signbit(values[i]) == !signbit(expected[i]), "%s %d: %g, not %g", dtype,
                  i, values[i], expected[i]);
    safetensors_free(&file);
}

Test(safetensors, converts_halves)
{
    /* The values are 1, -2, the largest, the smallest normal one, the smallest, -0 and infinity. */
    const uint16_t half[7] = {0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x8000, 0x7C00};
    const double half_values[7] = {1, -2, 65504, 0x1p-14, 0x1p-24, -0.0, (double)INFINITY};
    expect_values("F16", half, sizeof half, 7, half_values);
    const uint16_t brain[6] = {0x3F80, 0xC000, 0x3E20, 0x0001, 0x8000, 0xFF80};
    const double brain_values[6] = {1, -2, 0.15625, 0x1p-133, -0.0, (double)-INFINITY};
    expect_values("BF16", brain, sizeof brain, 6, brain_values);
    const uint16_t nan[2] = {0x7E00, 0x7C01};
    const char *const dtypes[] = {"F16", "BF16"};
    for (int i = 0; i < 2; i++) {
        double values[1];
        struct safetensors_file file = one_tensor(dtypes[i], 1, i == 0 ? &nan[1] : (const uint16_t[]){0x7FC0}, 2);
        safetensors_values(&file.tensors[0], values);
        cr_expect(isnan(values[0]), "%s", dtypes[i]);
        safetensors_free(&file);
    }
}

Test(safetensors, converts_whole_numbers)
{
    const uint8_t bytes[8] = {0xFF, 0x80, 0, 0, 0, 0, 0, 0};
    expect_values("BOOL", bytes, 3, 3, (const double[]){1, 1, 0});
    expect_values("I8", bytes, 2, 2, (const double[]){-1, -128});
    expect_values("I16", bytes, 2, 1, (const double[]){-32513});
    expect_values("U16", bytes, 2, 1, (const double[]){33023});
    expect_values("U32", bytes, 4, 1, (const double[]){33023});
    expect_values("U64", bytes, 8, 1, (const double[]){33023});
}

/* A tensor that is not needed may have any dtype: the file can be read, and the size of the tensor is known. */
Test(safetensors, knows_the_size_of_every_dtype)
{
    const struct {
        const char *name;
        int count;
        size_t bytes;
    } cases[] = {{"F4", 6, 3},      {"F6_E2M3", 4, 3},     {"F6_E3M2", 8, 6},     {"F8_E4M3", 3, 3}, {"F8_E5M2", 3, 3},
                 {"F8_E8M0", 3, 3}, {"F8_E4M3FNUZ", 3, 3}, {"F8_E5M2FNUZ", 3, 3}, {"C64", 2, 16},    {"F4", 0, 0}};
    const char zeros[16] = "";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct safetensors_file file = one_tensor(cases[i].name, cases[i].count, zeros, cases[i].bytes);
        cr_expect_str_eq(safetensors_dtype_name(file.tensors[0].dtype), cases[i].name);
        cr_expect_not(safetensors_dtype_has_values(file.tensors[0].dtype), "%s", cases[i].name);
        safetensors_free(&file);
    }
}

/* --- damage --- */

static bool is_refused(const char *bytes, size_t size, enum safetensors_digest digest)
{
    struct safetensors_file file;
    struct status status = {0};
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    if (!safetensors_parse(&file, "x", copy, size, digest, &status))
        return status.code == STATUS_RUNTIME && status.message[0] != '\0';
    safetensors_free(&file);
    return false;
}

Test(safetensors, refuses_every_change_of_a_byte)
{
    size_t size;
    write_sample("x.safetensors");
    char *bytes = support_file_read("x.safetensors", &size);
    cr_assert_not(is_refused(bytes, size, SAFETENSORS_DIGEST_REQUIRED));
    for (size_t i = 0; i < size; i++) {
        for (int change = 1; change < 256; change++) {
            bytes[i] = (char)(bytes[i] ^ change);
            cr_assert(is_refused(bytes, size, SAFETENSORS_DIGEST_REQUIRED), "byte %zu of %zu, xor %d", i, size, change);
            bytes[i] = (char)(bytes[i] ^ change);
        }
    }
    free(bytes);
}

Test(safetensors, refuses_every_truncation_and_what_is_appended)
{
    size_t size;
    write_sample("x.safetensors");
    char *bytes = support_file_read("x.safetensors", &size), longer[4096] = "";
    for (size_t i = 0; i < size; i++) {
        cr_assert(is_refused(bytes, i, SAFETENSORS_DIGEST_REQUIRED), "%zu of %zu bytes", i, size);
        cr_assert(is_refused(bytes, i, SAFETENSORS_DIGEST_OPTIONAL), "%zu of %zu bytes", i, size);
    }
    memcpy(longer, bytes, size);
    cr_expect(is_refused(longer, size + 1, SAFETENSORS_DIGEST_REQUIRED));
    free(bytes);
}

/* --- files of others, and of enemies --- */

/* Writes a file with this header and `data` zeros. */
static void write_file(const char *path, const char *header, size_t data)
{
    uint64_t length = strlen(header);
    char *bytes = memory_alloc(8 + length + data, 1);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    support_file_write(path, bytes, 8 + length + data);
    free(bytes);
}

static void expect_refusal(const char *header, size_t data, const char *message)
{
    struct safetensors_file file;
    struct status status = {0};
    write_file("x", header, data);
    cr_assert_not(safetensors_read(&file, "x", SAFETENSORS_DIGEST_OPTIONAL, &status), "%s", header);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    char *expected = memory_format("x: not a good safetensors file: %s", message);
    cr_expect_str_eq(status.message, expected, "\"%s\", not \"%s\"", status.message, expected);
    free(expected);
}

Test(safetensors, takes_a_file_without_a_digest_where_it_may)
{
    struct safetensors_file file;
    struct status status = {0};
    write_file(
        "x",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[3,11]},"
        " \"b\":{\"data_offsets\":[0,3],\"shape\":[3],\"dtype\":\"U8\"},\"__metadata__\":{\"sha256\":\"mine\"}} ",
        11);
    file = read_good("x", SAFETENSORS_DIGEST_OPTIONAL);
    cr_expect(!file.has_digest && file.tensor_count == 2);
    cr_expect_str_eq(file.tensors[0].name, "b");
    cr_expect_str_eq(safetensors_metadata_find(&file, "sha256"), "mine");
    safetensors_free(&file);
    cr_expect_not(safetensors_read(&file, "x", SAFETENSORS_DIGEST_REQUIRED, &status));
    cr_expect_str_eq(status.message, "x: not a good safetensors file: no digest where one was written");
}

/* A digest is not needed here, but this file has one. */
Test(safetensors, checks_a_digest_wherever_there_is_one)
{
    size_t size;
    write_sample("x.safetensors");
    char *bytes = support_file_read("x.safetensors", &size);
    bytes[size - 1] ^= 1;
    cr_expect(is_refused(bytes, size, SAFETENSORS_DIGEST_OPTIONAL));
    free(bytes);
}

#define W(dtype, shape, offsets) "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second)                                                                                             \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" first                                                   \
    "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" second "}}"

Test(safetensors, refuses_tensors_that_do_not_fit)
{
    const char *apart = "tensor w: expected data_offsets that are as far apart as dtype and shape say, found %s";
    const struct {
        const char *header, *found;
    } places[] = {
        {W("F32", "[2]", "[0,4]"), "0 and 4"},
        {W("F32", "[2]", "[8,0]"), "8 and 0"},
        {W("F32", "[2]", "[-4,4]"), "-4 and 4"},
        {W("F4", "[3]", "[0,2]"), "0 and 2"}, /* half a byte */
        {W("F16", "[2]", "[0,8]"), "0 and 8"},
        {W("F64", "[2305843009213693952]", "[0,0]"), "0 and 0"}, /* 2^61 * 8 overflows */
        {W("U8", "[0]", "[-9223372036854775808,9223372036854775807]"), "-9223372036854775808 and 9223372036854775807"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char message[256];
        snprintf(message, sizeof message, apart, places[i].found);
        expect_refusal(places[i].header, 8, message);
    }
    expect_refusal(W("F32", "[2]", "[4,12]"), 12,
                   "tensor w: expected its data at 0, right after the one before, found 4");
    expect_refusal(W("F32", "[2]", "[0,8]"), 7, "tensor w: its data ends at 8, the file has only 7 bytes of data");
    expect_refusal(W("F32", "[2]", "[0,8]"), 9, "1 bytes at its end belong to no tensor");
    expect_refusal(TWO("[0,4]", "[0,4]"), 8, "tensor b: expected its data at 4, right after the one before, found 0");
    expect_refusal(TWO("[0,4]", "[5,9]"), 9, "tensor b: expected its data at 4, right after the one before, found 5");
    expect_refusal(W("U8", "[4294967296,4294967296]", "[0,0]"), 0,
                   "tensor w: expected a shape of numbers whose product fits 63 bits");
    expect_refusal("{}", 1, "1 bytes at its end belong to no tensor");
}

Test(safetensors, refuses_headers_of_another_form)
{
    expect_refusal("[]", 0, "expected a header that begins with \"{\"");
    expect_refusal("{\"w\":1}", 0, "tensor w: expected an object");
    expect_refusal("{\"w\":{}}", 0, "tensor w: no dtype");
    expect_refusal("{\"w\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, "tensor w: no data_offsets");
    expect_refusal("{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":0}}", 1,
                   "tensor w: expected dtype, shape and data_offsets, found 4 keys");
    expect_refusal(W("F33", "[1]", "[0,2]"), 2,
                   "tensor w: expected a dtype of the format (F32, F16, BF16, I64, ...), found \"F33\"");
    expect_refusal(W("U8", "[1.0]", "[0,1]"), 1, "tensor w: expected a shape of numbers whose product fits 63 bits");
    expect_refusal(W("U8", "[-1,-1]", "[0,1]"), 1, "tensor w: expected a shape of numbers whose product fits 63 bits");
    expect_refusal(W("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "tensor w: expected a shape of up to 8 numbers");
    expect_refusal(W("U8", "[1]", "[0,1,2]"), 1, "tensor w: expected two data_offsets");
    expect_refusal("{\"__metadata__\":{\"a\":1}}", 0, "metadata a: expected a text");
    expect_refusal("{\"__metadata__\":[]}", 0, "expected __metadata__ to hold texts");
}

static bool message_of(const char *header, const char *part)
{
    struct safetensors_file file;
    struct status status = {0};
    write_file("x", header, 1);
    return !safetensors_read(&file, "x", SAFETENSORS_DIGEST_OPTIONAL, &status) && strstr(status.message, part);
}

Test(safetensors, refuses_what_is_no_strict_json)
{
    cr_expect(message_of("{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                         "\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                         "duplicate"));
    cr_expect(message_of("{\"\\u0000\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "\\u0000"));
    cr_expect(message_of("{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}} {}", "end of file expected"));
    cr_expect(
        message_of("{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", "too big"));
    cr_expect(message_of("{\"\xff\":1}", "unable to decode byte 0xff"));
    char *deep = memory_alloc(100000, 1);
    memcpy(deep, "{\"w\":", 5);
    memset(deep + 5, '[', 90000);
    cr_expect(message_of(deep, "maximum parsing depth"));
    free(deep);
}

Test(safetensors, refuses_lengths_and_files_that_cannot_be)
{
    const struct {
        uint64_t length;
        size_t size;
        const char *message;
    } cases[] = {{UINT64_MAX, 100,
                  "x: not a good safetensors file: a header of 18446744073709551615 bytes, expected at most 8388608"},
                 {93, 100, "x: not a good safetensors file: cut off: a header of 93 bytes in a file of 100"},
                 {1, 9, "x: not a good safetensors file: 9 bytes, expected at least 10"},
                 {0, 0, "x: not a good safetensors file: 0 bytes, expected at least 10"}};
    struct safetensors_file file;
    struct status status = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[100] = "";
        memcpy(bytes, &cases[i].length, 8);
        support_file_write("x", bytes, cases[i].size);
        cr_expect_not(safetensors_read(&file, "x", SAFETENSORS_DIGEST_OPTIONAL, &status));
        cr_expect_str_eq(status.message, cases[i].message, "%s", status.message);
    }
    cr_expect_not(safetensors_read(&file, "nowhere", SAFETENSORS_DIGEST_OPTIONAL, &status));
    cr_expect_str_eq(status.message, "nowhere: cannot open: No such file or directory");
    cr_expect_not(safetensors_read(&file, ".", SAFETENSORS_DIGEST_OPTIONAL, &status));
    cr_expect_str_eq(status.message, ".: is a folder, expected a file");
    cr_assert_eq(mkfifo("pipe", 0666), 0);
    cr_expect_not(safetensors_read(&file, "pipe", SAFETENSORS_DIGEST_OPTIONAL, &status));
    cr_expect_str_eq(status.message, "pipe: not a regular file, expected a file");
}

/* --- disks that fail --- */

static int count_files(void)
{
    struct dirent **names;
    int count = scandir(".", &names, NULL, NULL);
    for (int i = 0; i < count; i++) free(names[i]);
    free(names);
    return count - 2;
}

/* A limit to the size of a file stands for a full disk: the write that passes it is cut short, the next one fails. */
Test(safetensors, keeps_the_old_file_where_the_new_one_does_not_fit)
{
    const struct safetensors_tensor other = {"other", SAFETENSORS_F32, 1, {6}, 0, floats};
    struct status status = {0};
    write_sample("x.safetensors");
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 184; limit += 7) {
        struct rlimit low = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
        bool written = safetensors_write("x.safetensors", &other, 1, NULL, 0, &status);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        cr_assert(!written && status.code == STATUS_RUNTIME, "limit %d", (int)limit);
        cr_expect_str_eq(status.message, "x.safetensors: cannot write: File too large");
        cr_assert_eq(count_files(), 1);
    }
    struct safetensors_file file = read_good("x.safetensors", SAFETENSORS_DIGEST_REQUIRED);
    cr_expect_eq(file.tensor_count, TENSORS);
    safetensors_free(&file);
}

Test(safetensors, says_where_it_cannot_write)
{
    struct status status = {0};
    cr_expect_not(safetensors_write("no/x", tensors, TENSORS, NULL, 0, &status));
    cr_expect_str_eq(status.message, "no/x: cannot write: No such file or directory");
    cr_assert_eq(mkdir("x", 0777), 0);
    cr_expect_not(safetensors_write("x", tensors, TENSORS, NULL, 0, &status));
    cr_expect_str_eq(status.message, "x: cannot rename the finished file: Is a directory");
    cr_expect_eq(count_files(), 1);
    const struct safetensors_metadata wrong = {"a", "\xff"};
    cr_expect_not(safetensors_write("y", tensors, TENSORS, &wrong, 1, &status));
    cr_expect_not_null(strstr(status.message, "y: cannot write: a name or a text is not UTF-8"));
    cr_expect_eq(count_files(), 1);
}
