/* Reads the headers of .npy files (npy.h). The dictionary is text that anybody can write, so only the three keys and
 * the few kinds of values that NumPy writes are taken. */
#include "io/npy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/check.h"
#include "util/memory.h"

enum { DESCRIPTION_SIZE = 16 };

static const char *const dtype_names[SAFETENSORS_DTYPE_COUNT] = {
    [SAFETENSORS_F32] = "<f4", [SAFETENSORS_F64] = "<f8", [SAFETENSORS_F16] = "<f2", [SAFETENSORS_BOOL] = "|b1",
    [SAFETENSORS_U8] = "|u1",  [SAFETENSORS_I8] = "|i1",  [SAFETENSORS_U16] = "<u2", [SAFETENSORS_I16] = "<i2",
    [SAFETENSORS_U32] = "<u4", [SAFETENSORS_I32] = "<i4", [SAFETENSORS_U64] = "<u8", [SAFETENSORS_I64] = "<i8",
    [SAFETENSORS_C64] = "<c8"};

const char *npy_dtype_name(enum safetensors_dtype dtype)
{
    return dtype_names[dtype];
}

bool npy_prefix_parse(const uint8_t bytes[NPY_PREFIX_SIZE + 2], int64_t *before, int64_t *text_size, const char *place,
                      struct status *status)
{
    if (memcmp(bytes, "\x93NUMPY", 6) != 0)
        return status_fail(status, STATUS_RUNTIME, "%s: no .npy file: expected one that begins with \\x93NUMPY", place);
    if (bytes[6] < 1 || bytes[6] > 3)
        return status_fail(status, STATUS_RUNTIME, "%s: version %d of .npy, expected 1 to 3", place, bytes[6]);
    *before = bytes[6] == 1 ? NPY_PREFIX_SIZE : NPY_PREFIX_SIZE + 2;
    *text_size = bytes[8] | bytes[9] << 8;
    if (bytes[6] > 1) *text_size |= (int64_t)bytes[10] << 16 | (int64_t)bytes[11] << 24;
    if (*text_size <= NPY_TEXT_SIZE_MAX) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: a header of %" PRId64 " bytes, expected at most %d", place,
                       *text_size, NPY_TEXT_SIZE_MAX);
}

/* --- the dictionary --- */

struct parser {
    const char *at, *end;
    const char *place;
    struct npy_header *header;
    bool has_dtype, has_order, has_shape;
    struct status *status;
};

static bool fail(const struct parser *parser, const char *expected)
{
    return status_fail(parser->status, STATUS_RUNTIME, "%s: a damaged .npy header: expected %s", parser->place,
                       expected);
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && *parser->at && strchr(" \t\r\n", *parser->at)) parser->at++;
}

/* Tells whether the text goes on with `word` behind blanks, and then passes over it. */
static bool take(struct parser *parser, const char *word)
{
    size_t length = strlen(word);
    skip_blanks(parser);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0) return false;
    parser->at += length;
    return true;
}

/* Reads a text in quotes of either kind; a longer one than fits has no meaning here. */
static bool take_text(struct parser *parser, char text[DESCRIPTION_SIZE])
{
    size_t length = 0;
    skip_blanks(parser);
    if (parser->at == parser->end || (*parser->at != '\'' && *parser->at != '"')) return false;
    char quote = *parser->at++;
    for (; parser->at < parser->end && *parser->at != quote; parser->at++) {
        if (*parser->at < ' ' || *parser->at > '~' || length + 1 == DESCRIPTION_SIZE) return false;
        text[length++] = *parser->at;
    }
    text[length] = '\0';
    return parser->at++ < parser->end;
}

/* Says of a dtype that is not taken what it is. */
static const char *kind_of(const char *text)
{
    switch (*text) {
    case 'O':
        return "pickled Python objects, which are programs and are never run";
    case 'S':
    case 'U':
    case 'a':
        return "texts";
    case 'M':
    case 'm':
        return "dates";
    case 'c':
        return "complex numbers";
    default:
        return "elements of an unknown dtype";
    }
}

/* Finds the dtype of a description such as "<f4". Its first character is the order of bytes: '=' and none stand for
 * this machine's, which is '<'. */
static bool find_dtype(struct npy_header *header, const char *text)
{
    header->big_endian = *text == '>';
    text += *text && strchr("<>|=", *text);
    for (int i = 0; i < SAFETENSORS_DTYPE_COUNT; i++) {
        header->dtype = (enum safetensors_dtype)i;
        if (dtype_names[i] && strcmp(dtype_names[i] + 1, text) == 0) return safetensors_dtype_has_values(header->dtype);
    }
    return false;
}

static bool parse_dtype(struct parser *parser)
{
    char text[DESCRIPTION_SIZE];
    parser->has_dtype = true;
    if (take(parser, "["))
        return status_fail(parser->status, STATUS_RUNTIME, "%s: holds records of several fields, expected numbers",
                           parser->place);
    if (!take_text(parser, text)) return fail(parser, "a dtype such as '|u1'");
    if (find_dtype(parser->header, text)) return true;
    const char *kind = kind_of(text + (*text && strchr("<>|=", *text)));
    return status_fail(parser->status, STATUS_RUNTIME, "%s: holds %s ('%s'), expected numbers", parser->place, kind,
                       text);
}

static bool parse_order(struct parser *parser)
{
    parser->has_order = true;
    parser->header->fortran_order = take(parser, "True");
    if (parser->header->fortran_order || take(parser, "False")) return true;
    return fail(parser, "True or False as fortran_order");
}

/* Reads a number of up to 18 digits, so that it fits. Python 2 put an L behind large ones. */
static bool take_side(struct parser *parser, int64_t *side)
{
    int digits = 0;
    skip_blanks(parser);
    for (*side = 0; parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9'; digits++) {
        if (digits == 18) return false;
        *side = 10 * *side + (*parser->at++ - '0');
    }
    if (digits > 0) (void)take(parser, "L");
    return digits > 0;
}

static bool parse_shape(struct parser *parser)
{
    struct npy_header *header = parser->header;
    parser->has_shape = true;
    if (!take(parser, "(")) return fail(parser, "a shape such as (2, 3)");
    for (header->rank = 0; !take(parser, ")"); header->rank++) {
        if (header->rank == NPY_RANK_MAX) return fail(parser, "a shape of at most 8 numbers");
        if (!take_side(parser, &header->shape[header->rank])) return fail(parser, "a shape such as (2, 3)");
        if (!take(parser, ",") && (parser->at == parser->end || *parser->at != ')'))
            return fail(parser, "a comma between the numbers of the shape");
    }
    return true;
}

static bool parse_entry(struct parser *parser)
{
    char key[DESCRIPTION_SIZE];
    if (!take_text(parser, key) || !take(parser, ":")) return fail(parser, "a key in quotes, and a colon");
    if (strcmp(key, "descr") == 0 && !parser->has_dtype) return parse_dtype(parser);
    if (strcmp(key, "fortran_order") == 0 && !parser->has_order) return parse_order(parser);
    if (strcmp(key, "shape") == 0 && !parser->has_shape) return parse_shape(parser);
    return fail(parser, "the keys descr, fortran_order and shape, each once");
}

static bool count_elements(struct parser *parser)
{
    struct npy_header *header = parser->header;
    header->count = 1;
    for (int i = 0; i < header->rank; i++)
        if (__builtin_mul_overflow(header->count, header->shape[i], &header->count))
            return fail(parser, "a shape whose product fits 63 bits");
    if (safetensors_dtype_bytes(header->dtype, header->count, &header->bytes)) return true;
    return fail(parser, "elements whose bytes fit 63 bits");
}

bool npy_header_parse(struct npy_header *header, const char *text, size_t size, const char *place,
                      struct status *status)
{
    struct parser parser = {text, text + size, place, header, .status = status};
    *header = (struct npy_header){0};
    if (!take(&parser, "{")) return fail(&parser, "a dictionary");
    while (!take(&parser, "}")) {
        if (!parse_entry(&parser)) return false;
        if (!take(&parser, ",") && (parser.at == parser.end || *parser.at != '}'))
            return fail(&parser, "a comma between the entries of the dictionary");
    }
    skip_blanks(&parser);
    if (parser.at < parser.end) return fail(&parser, "nothing behind the dictionary");
    if (!parser.has_dtype || !parser.has_order || !parser.has_shape)
        return fail(&parser, "the keys descr, fortran_order and shape");
    return count_elements(&parser);
}

char *npy_shape_text(const struct npy_header *header)
{
    char *text;
    size_t size;
    FILE *out = memory_stream(&text, &size);
    fputc('(', out);
    for (int i = 0; i < header->rank; i++) fprintf(out, "%s%" PRId64, i > 0 ? ", " : "", header->shape[i]);
    fputs(header->rank == 1 ? ",)" : ")", out);
    memory_stream_close(out, &text);
    return text;
}

/* --- elements --- */

static void reverse(uint8_t *bytes, int64_t count, int64_t size)
{
    for (int64_t i = 0; i < count; i++, bytes += size)
        for (int64_t low = 0, high = size - 1; low < high; low++, high--) {
            uint8_t byte = bytes[low];
            bytes[low] = bytes[high], bytes[high] = byte;
        }
}

void npy_values(const struct npy_header *header, uint8_t *bytes, int64_t count, double *values)
{
    int64_t size;
    CHECK(safetensors_dtype_bytes(header->dtype, 1, &size));
    if (header->big_endian) reverse(bytes, count, size);
    safetensors_values(&(struct safetensors_tensor){.dtype = header->dtype, .count = count, .data = bytes}, values);
}
