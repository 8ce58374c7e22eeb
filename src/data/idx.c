/* Reads IDX, the format of MNIST and Fashion-MNIST. Its numbers are big-endian.
 *   images: magic 0x00000803, count, height, width (4 bytes each), then the pixels (count,H,W)
 *   colour: magic 0x00000804, count and three sides, then the pixels (count,C,H,W) or (count,H,W,C)
 *   labels: magic 0x00000801, count, then the labels (count); 0x00000B01 and 0x00000C01: signed, of 2 and 4 bytes
 * The magic's third byte is the type of the elements, its last one the number of dimensions. */
#include "data_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "util/memory.h"

enum {
    TYPE_BYTES = 0x08,
    TYPE_SHORTS = 0x0B,
    TYPE_INTS = 0x0C,
    NUMBER_SIZE = 4,
    NUMBERS_MAX = 4,
    HEADER_MAX = (1 + NUMBERS_MAX) * NUMBER_SIZE,
    LABELS_HEADER_SIZE = 2 * NUMBER_SIZE,
    INFLATE_RATIO_MAX = 1032, /* deflate needs at least one bit for 129 bytes */
};

/* One of the four files, open behind its header. */
struct idx_file {
    char *path;
    enum idx_content content;
    struct data_stream stream;
    int dimensions;
    bool channels_last;
    int64_t count, channels, height, width; /* labels have height and width 1 */
    int64_t label_size;                     /* bytes of an element; 1 for images */
};

static void idx_close(struct idx_file *file)
{
    data_stream_close(&file->stream);
    free(file->path);
}

static int64_t big_endian(const uint8_t *bytes)
{
    return ((int64_t)bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3];
}

/* Fails for a file with another magic; the message names the file's kind where its first bytes show it. */
static bool fail_magic(const struct idx_file *file, const uint8_t *bytes, size_t size, struct status *status)
{
    bool images = file->content == IDX_IMAGES;
    const char *wanted = images ? "IDX of unsigned bytes with 3 or 4 dimensions (images)"
                                : "IDX of bytes or of 16-bit or 32-bit integers with 1 dimension (labels)";
    char *idx = file_kind_idx(bytes);
    const char *kind = idx ? idx : file_kind(bytes, size);
    if (kind)
        status_fail(status, STATUS_RUNTIME, "%s: this is %s, expected %s", file->path, kind, wanted);
    else
        status_fail(status, STATUS_RUNTIME, "%s: byte 0: magic number 0x%08llx, expected 0x%08x: %s", file->path,
                    (unsigned long long)big_endian(bytes), images ? 0x803 : 0x801, wanted);
    free(idx);
    return false;
}

/* Finds the type and the number of dimensions in the magic. */
static bool parse_magic(struct idx_file *file, const uint8_t *bytes)
{
    bool images = file->content == IDX_IMAGES, wide = !images && (bytes[2] == TYPE_SHORTS || bytes[2] == TYPE_INTS);
    file->dimensions = bytes[3];
    file->label_size = bytes[2] == TYPE_SHORTS ? 2 : bytes[2] == TYPE_INTS ? 4 : 1;
    if (bytes[0] != 0 || bytes[1] != 0 || (bytes[2] != TYPE_BYTES && !wide)) return false;
    return images ? bytes[3] == 3 || bytes[3] == 4 : bytes[3] == 1;
}

/* Reads the magic and the numbers after it. */
static bool read_numbers(struct idx_file *file, int64_t *number, struct status *status)
{
    uint8_t bytes[HEADER_MAX] = {0};
    int64_t got, more = 0;
    if (!data_stream_read(&file->stream, bytes, NUMBER_SIZE, &got, status)) return false;
    bool known = parse_magic(file, bytes);
    int64_t header = known                         ? (1 + file->dimensions) * NUMBER_SIZE
                     : file->content == IDX_LABELS ? LABELS_HEADER_SIZE
                                                   : HEADER_MAX - NUMBER_SIZE;
    if (!data_stream_read(&file->stream, bytes + NUMBER_SIZE, header - NUMBER_SIZE, &more, status)) return false;
    if (got == NUMBER_SIZE && !known) return fail_magic(file, bytes, (size_t)(got + more), status);
    if (got + more < header)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: the file ends at byte %" PRId64 ", expected a header of %" PRId64 " bytes", file->path,
                           got + more, header);
    for (int64_t at = NUMBER_SIZE; at < header; at += NUMBER_SIZE) *number++ = big_endian(bytes + at);
    return true;
}

static bool check_number(const struct idx_file *file, int64_t number, int offset, const char *what, int64_t maximum,
                         struct status *status)
{
    if (number >= 1 && number <= maximum) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: byte %d: %s %lld, expected 1 to %lld", file->path, offset, what,
                       (long long)number, (long long)maximum);
}

static int64_t data_size(const struct idx_file *file)
{
    return file->count * file->channels * file->height * file->width * file->label_size; /* < 10^7 * 2^35 < 2^63 */
}

/* Checks that a file of this size can hold as much as its header says, before memory is taken for it. */
static bool check_size(const struct idx_file *file, struct status *status)
{
    int64_t bytes = data_size(file);
    int64_t size = file->stream.file_size, header = file->stream.offset;
    if (bytes > DATA_PIXELS_MAX)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: byte 4: %lld images of %lldx%lld are %lld bytes, expected at most %lld", file->path,
                           (long long)file->count, (long long)file->height, (long long)file->width, (long long)bytes,
                           (long long)DATA_PIXELS_MAX);
    if (file->stream.packed) {
        if (size >= (header + bytes) / INFLATE_RATIO_MAX) return true;
        return status_fail(
            status, STATUS_RUNTIME,
            "%s: byte 4: the header announces %lld bytes of data, more than a gzip file of %lld bytes can hold",
            file->path, (long long)bytes, (long long)size);
    }
    if (size == header + bytes) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: %" PRId64 " bytes, expected %" PRId64 ": a header of %" PRId64 " bytes and %" PRId64
                       " bytes of data",
                       file->path, size, header + bytes, header, bytes);
}

/* Finds the channels among the three sides of an image: the first (C,H,W) or the last (H,W,C) is 1 or 3. */
static bool read_sides(struct idx_file *file, const int64_t *side, struct status *status)
{
    bool first = side[0] == 1 || side[0] == 3, last = side[2] == 1 || side[2] == 3;
    if (first == last)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: byte 8: images of %lldx%lldx%lld, expected 1 or 3 channels as either the first or the "
                           "last of these",
                           file->path, (long long)side[0], (long long)side[1], (long long)side[2]);
    file->channels_last = last;
    file->channels = last ? side[2] : side[0];
    file->height = last ? side[0] : side[1], file->width = last ? side[1] : side[2];
    return true;
}

static bool read_header(struct idx_file *file, struct status *status)
{
    int64_t number[NUMBERS_MAX] = {0, 1, 1};
    if (!read_numbers(file, number, status)) return false;
    file->count = number[0], file->channels = 1, file->height = number[1], file->width = number[2];
    if (file->dimensions == 4 && !read_sides(file, &number[1], status)) return false;
    int first_side = file->dimensions == 4 && !file->channels_last ? 12 : 8;
    return check_number(file, file->count, 4, "count", DATA_COUNT_MAX, status) &&
           check_number(file, file->height, first_side, "height", DATA_SIDE_MAX, status) &&
           check_number(file, file->width, first_side + 4, "width", DATA_SIDE_MAX, status) && check_size(file, status);
}

static bool idx_open(struct idx_file *file, const char *stem, enum idx_part part, enum idx_content content,
                     struct status *status)
{
    *file = (struct idx_file){.path = idx_find_file(stem, part, content), .content = content};
    if (!file->path) return idx_fail_not_found(stem, part, content, status);
    if (data_stream_open(&file->stream, file->path, true, status)) {
        if (read_header(file, status)) return true;
        data_stream_close(&file->stream);
    }
    free(file->path);
    return false;
}

/* --- data --- */

static bool read_bytes(struct idx_file *file, uint8_t *to, int64_t bytes, struct status *status)
{
    int64_t got;
    if (!data_stream_read(&file->stream, to, bytes, &got, status)) return false;
    if (got == bytes) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: the data ends at byte %lld, expected %lld bytes more", file->path,
                       (long long)file->stream.offset, (long long)(bytes - got));
}

static bool check_end(struct idx_file *file, struct status *status)
{
    uint8_t extra;
    int64_t end = file->stream.offset, got;
    if (!data_stream_read(&file->stream, &extra, 1, &got, status)) return false;
    if (got == 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: more data than the header says, expected the end",
                       file->path, (long long)end);
}

/* Reads an image of (H,W,C) to (C,H,W). */
static bool read_interleaved(struct idx_file *file, uint8_t *scratch, uint8_t *pixels, struct status *status)
{
    int64_t plane = file->height * file->width, channels = file->channels;
    if (!read_bytes(file, scratch, channels * plane, status)) return false;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < plane; i++) pixels[c * plane + i] = scratch[i * channels + c];
    return true;
}

/* Reads the images behind the header and checks that nothing follows them. */
static bool read_images(struct idx_file *file, uint8_t *pixels, struct status *status)
{
    int64_t size = file->channels * file->height * file->width;
    if (!file->channels_last || file->channels == 1)
        return read_bytes(file, pixels, file->count * size, status) && check_end(file, status);
    uint8_t *scratch = memory_alloc((size_t)size, 1);
    bool good = true;
    for (int64_t n = 0; good && n < file->count; n++) good = read_interleaved(file, scratch, pixels + n * size, status);
    free(scratch);
    return good && check_end(file, status);
}

/* Takes the label at `bytes`, a signed number where it has more than one byte. */
static bool take_label(const struct idx_file *file, const uint8_t *bytes, int64_t number, uint16_t *label,
                       struct status *status)
{
    int64_t value = bytes[0];
    if (file->label_size == 2) value = (int16_t)(bytes[0] << 8 | bytes[1]);
    if (file->label_size == 4) value = (int32_t)big_endian(bytes);
    *label = (uint16_t)value;
    if (value >= 0 && value < DATASET_CLASSES_MAX) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: byte %" PRId64 ": label %" PRId64 ", expected 0 to %d", file->path,
                       LABELS_HEADER_SIZE + number * file->label_size, value, DATASET_CLASSES_MAX - 1);
}

static bool read_labels(struct idx_file *file, uint16_t *labels, struct status *status)
{
    uint8_t *bytes = memory_alloc((size_t)(file->count * file->label_size), 1);
    bool good = read_bytes(file, bytes, file->count * file->label_size, status) && check_end(file, status);
    for (int64_t i = 0; good && i < file->count; i++)
        good = take_label(file, bytes + i * file->label_size, i, &labels[i], status);
    free(bytes);
    return good;
}

/* --- sets --- */

static bool check_image_size(struct dataset *dataset, const struct idx_file *images, struct status *status)
{
    if (dataset->height == 0)
        dataset->channels = images->channels, dataset->height = images->height, dataset->width = images->width;
    if (images->channels != dataset->channels)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: byte 8: images of %lld channel(s), expected %lld as in the train set", images->path,
                           (long long)images->channels, (long long)dataset->channels);
    if (images->height == dataset->height && images->width == dataset->width) return true;
    return status_fail(
        status, STATUS_RUNTIME, "%s: byte 8: images of %lldx%lld, expected %lldx%lld as in the train set", images->path,
        (long long)images->height, (long long)images->width, (long long)dataset->height, (long long)dataset->width);
}

/* A data set that is read. */
struct loading {
    struct dataset *dataset;
    const char *stem;
    bool with_pixels;
    struct label_file places[2]; /* of the labels; owns the paths */
    struct status *status;
};

static bool read_pair(const struct loading *loading, struct image_set *set, struct idx_file *images,
                      struct idx_file *labels)
{
    if (!check_image_size(loading->dataset, images, loading->status)) return false;
    if (labels->count != images->count)
        return status_fail(loading->status, STATUS_RUNTIME, "%s: byte 4: %lld labels, expected %lld as in %s",
                           labels->path, (long long)labels->count, (long long)images->count, images->path);
    if (loading->with_pixels)
        image_set_alloc(loading->dataset, set, images->count, images->channels * images->height * images->width);
    else
        image_set_alloc_labels(loading->dataset, set, images->count);
    return (!loading->with_pixels || read_images(images, set->pixels, loading->status)) &&
           read_labels(labels, set->labels, loading->status);
}

/* Reads the images and labels of one set. */
static bool read_set(struct loading *loading, struct image_set *set, enum idx_part part)
{
    struct idx_file images, labels;
    if (!idx_open(&images, loading->stem, part, IDX_IMAGES, loading->status)) return false;
    bool ok = idx_open(&labels, loading->stem, part, IDX_LABELS, loading->status);
    if (ok) {
        ok = read_pair(loading, set, &images, &labels);
        loading->places[part] = (struct label_file){
            memory_copy_string(labels.path), set, 0, set->count, LABELS_HEADER_SIZE, labels.label_size};
        idx_close(&labels);
    }
    idx_close(&images);
    return ok;
}

static bool has_file(const char *stem, enum idx_part part, enum idx_content content)
{
    char *path = idx_find_file(stem, part, content);
    if (!path) return false;
    free(path);
    return true;
}

static bool read_sets(struct loading *loading, const struct dataset_source *source)
{
    struct dataset *dataset = loading->dataset;
    bool has_test = has_file(loading->stem, IDX_TEST, IDX_IMAGES) || has_file(loading->stem, IDX_TEST, IDX_LABELS);
    bool ok =
        read_set(loading, &dataset->train, IDX_TRAIN) && (!has_test || read_set(loading, &dataset->test, IDX_TEST));
    ok = ok && classes_settle(dataset, source, loading->places, has_test ? 2 : 1, loading->status);
    for (int i = 0; i < 2; i++) free((char *)loading->places[i].path);
    return ok;
}

bool idx_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    *dataset = (struct dataset){0};
    char *stem = idx_find_stem(source->path, status);
    struct loading loading = {dataset, stem, !source->labels_only, .status = status};
    bool ok = stem && read_sets(&loading, source);
    free(stem);
    if (!ok) dataset_free(dataset);
    return ok;
}
