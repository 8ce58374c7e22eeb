/* Reads IDX, the format of MNIST and Fashion-MNIST. Its numbers are big-endian.
 *   images: magic 0x00000803, count, height, width (4 bytes each), then the pixels (count,H,W)
 *   labels: magic 0x00000801, count, then the labels (count) */
#include "data_private.h"

#include <stdlib.h>

#include "trainer/memory.h"

enum {
    MAGIC_IMAGES = 0x00000803,
    MAGIC_LABELS = 0x00000801,
    NUMBER_SIZE = 4,
    NUMBERS_MAX = 4,
    LABELS_HEADER_SIZE = 2 * NUMBER_SIZE,
    INFLATE_RATIO_MAX = 1032, /* deflate needs at least one bit for 129 bytes */
};

/* One of the four files, open behind its header. */
struct idx_file {
    char *path;
    struct data_stream stream;
    int64_t count, height, width; /* labels have height and width 1 */
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
static bool fail_magic(const struct idx_file *file, const uint8_t *bytes, size_t size, int64_t magic,
                       struct status *status)
{
    const char *wanted = magic == MAGIC_IMAGES ? "IDX of unsigned bytes with 3 dimensions (images)"
                                               : "IDX of unsigned bytes with 1 dimension (labels)";
    char *idx = file_kind_idx(bytes);
    const char *kind = idx ? idx : file_kind(bytes, size);
    if (kind)
        status_fail(status, STATUS_RUNTIME, "%s: this is %s, expected %s", file->path, kind, wanted);
    else
        status_fail(status, STATUS_RUNTIME, "%s: byte 0: magic number 0x%08llx, expected 0x%08llx: %s", file->path,
                    (unsigned long long)big_endian(bytes), (unsigned long long)magic, wanted);
    free(idx);
    return false;
}

/* Reads the magic and the numbers after it. The magic's last byte is their count. */
static bool read_numbers(struct idx_file *file, int64_t magic, int64_t *number, struct status *status)
{
    uint8_t bytes[NUMBERS_MAX * NUMBER_SIZE] = {0};
    int64_t header = (1 + (magic & 0xFF)) * NUMBER_SIZE, got;
    if (!data_stream_read(&file->stream, bytes, header, &got, status)) return false;
    if (got >= NUMBER_SIZE && big_endian(bytes) != magic) return fail_magic(file, bytes, (size_t)got, magic, status);
    if (got < header)
        return status_fail(status, STATUS_RUNTIME, "%s: the file ends at byte %lld, expected a header of %lld bytes",
                           file->path, (long long)got, (long long)header);
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

/* Checks that a file of this size can hold as much as its header says, before memory is taken for it. */
static bool check_size(const struct idx_file *file, struct status *status)
{
    int64_t bytes = file->count * file->height * file->width; /* at most 10^7 * 2^32 < 2^63 */
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
                       "%s: %lld bytes, expected %lld: a header of %lld bytes and %lld bytes of data", file->path,
                       (long long)size, (long long)(header + bytes), (long long)header, (long long)bytes);
}

static bool read_header(struct idx_file *file, int64_t magic, struct status *status)
{
    int64_t number[NUMBERS_MAX] = {0, 1, 1};
    if (!read_numbers(file, magic, number, status)) return false;
    file->count = number[0], file->height = number[1], file->width = number[2];
    return check_number(file, file->count, 4, "count", DATA_COUNT_MAX, status) &&
           check_number(file, file->height, 8, "height", DATA_SIDE_MAX, status) &&
           check_number(file, file->width, 12, "width", DATA_SIDE_MAX, status) && check_size(file, status);
}

static bool idx_open(struct idx_file *file, const char *stem, enum idx_part part, enum idx_content content,
                     struct status *status)
{
    file->path = idx_find_file(stem, part, content);
    if (!file->path) return idx_fail_not_found(stem, part, content, status);
    if (data_stream_open(&file->stream, file->path, true, status)) {
        if (read_header(file, content == IDX_IMAGES ? MAGIC_IMAGES : MAGIC_LABELS, status)) return true;
        data_stream_close(&file->stream);
    }
    free(file->path);
    return false;
}

/* Reads the data behind the header and checks that nothing follows it. */
static bool read_data(struct idx_file *file, uint8_t *to, struct status *status)
{
    uint8_t extra;
    int64_t bytes = file->count * file->height * file->width, got;
    if (!data_stream_read(&file->stream, to, bytes, &got, status)) return false;
    if (got < bytes)
        return status_fail(status, STATUS_RUNTIME, "%s: the data ends at byte %lld, expected %lld bytes more",
                           file->path, (long long)file->stream.offset, (long long)(bytes - got));
    int64_t end = file->stream.offset;
    if (!data_stream_read(&file->stream, &extra, 1, &got, status)) return false;
    if (got == 0) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: more data than the header says, expected the end",
                       file->path, (long long)end);
}

static bool check_image_size(struct dataset *dataset, const struct idx_file *images, struct status *status)
{
    bool first = dataset->height == 0;
    if (first) dataset->height = images->height, dataset->width = images->width;
    if (images->height == dataset->height && images->width == dataset->width) return true;
    return status_fail(
        status, STATUS_RUNTIME, "%s: byte 8: images of %lldx%lld, expected %lldx%lld as in the train set", images->path,
        (long long)images->height, (long long)images->width, (long long)dataset->height, (long long)dataset->width);
}

static bool read_labels(struct idx_file *file, uint16_t *labels, struct status *status)
{
    uint8_t *bytes = memory_alloc((size_t)file->count, 1);
    bool good = read_data(file, bytes, status);
    for (int64_t i = 0; good && i < file->count; i++) labels[i] = bytes[i];
    free(bytes);
    return good;
}

static bool read_pair(struct dataset *dataset, struct image_set *set, struct idx_file *images, struct idx_file *labels,
                      struct status *status)
{
    if (!check_image_size(dataset, images, status)) return false;
    if (labels->count != images->count)
        return status_fail(status, STATUS_RUNTIME, "%s: byte 4: %lld labels, expected %lld as in %s", labels->path,
                           (long long)labels->count, (long long)images->count, images->path);
    image_set_alloc(dataset, set, images->count, images->height * images->width);
    return read_data(images, set->pixels, status) && read_labels(labels, set->labels, status);
}

/* Reads the images and labels of one set. `place` becomes the place of its labels; the caller frees its path. */
static bool read_set(struct dataset *dataset, struct image_set *set, const char *stem, enum idx_part part,
                     struct label_file *place, struct status *status)
{
    struct idx_file images, labels;
    if (!idx_open(&images, stem, part, IDX_IMAGES, status)) return false;
    bool ok = idx_open(&labels, stem, part, IDX_LABELS, status);
    if (ok) {
        ok = read_pair(dataset, set, &images, &labels, status);
        *place = (struct label_file){memory_copy_string(labels.path), set, 0, set->count, LABELS_HEADER_SIZE, 1};
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

static bool read_sets(struct dataset *dataset, const struct dataset_source *source, const char *stem,
                      struct status *status)
{
    struct label_file places[2] = {{0}};
    int count = has_file(stem, IDX_TEST, IDX_IMAGES) || has_file(stem, IDX_TEST, IDX_LABELS) ? 2 : 1;
    bool ok = read_set(dataset, &dataset->train, stem, IDX_TRAIN, &places[0], status);
    ok = ok && (count == 1 || read_set(dataset, &dataset->test, stem, IDX_TEST, &places[1], status));
    ok = ok && classes_settle(dataset, source, places, count, status);
    for (int i = 0; i < 2; i++) free((char *)places[i].path);
    return ok;
}

bool idx_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    *dataset = (struct dataset){.channels = 1};
    char *stem = idx_find_stem(source->path, status);
    bool ok = stem && read_sets(dataset, source, stem, status);
    free(stem);
    if (!ok) dataset_free(dataset);
    return ok;
}
