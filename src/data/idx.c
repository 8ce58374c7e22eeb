/* IDX, the format of MNIST and Fashion-MNIST: numbers in big-endian order.
 *   images: magic 0x00000803, count, height, width (4 bytes each), then the pixels (count,H,W)
 *   labels: magic 0x00000801, count, then the labels (count) */
#include "data_private.h"

#include <stdlib.h>

#include "trainer/memory.h"

#define PIXELS_MAX ((int64_t)1 << 32) /* 4 GiB */

enum {
    MAGIC_IMAGES = 0x00000803,
    MAGIC_LABELS = 0x00000801,
    COUNT_MAX = 10000000,
    SIDE_MAX = 65536,
    NUMBER_SIZE = 4,
    NUMBERS_MAX = 4,
    LABELS_HEADER_SIZE = 2 * NUMBER_SIZE,
    INFLATE_RATIO_MAX = 1032, /* deflate needs at least one bit for 129 bytes */
};

/* One of the four files, open behind its header. */
struct idx_file {
    char *path;
    struct data_stream stream;
    int64_t count, height, width; /* of labels: 1x1 */
};

static bool fail_not_found(const char *folder, const char *name, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME,
                       "%s: neither %s nor %s.gz found, expected the IDX files of MNIST or Fashion-MNIST there: point "
                       "data.path (--set data.path=...) at them; Debian's package dataset-fashion-mnist has them in "
                       "/usr/share/datasets/fashion-mnist",
                       folder, name, name);
}

/* Opens folder/name, or else folder/name.gz. */
static bool open_plain_or_packed(struct idx_file *file, const char *folder, const char *name, struct status *status)
{
    bool packed = false;
    file->path = data_path_join(folder, name);
    if (!data_path_exists(file->path)) {
        char *packed_path = memory_format("%s.gz", file->path);
        free(file->path);
        file->path = packed_path;
        packed = true;
    }
    bool ok = data_path_exists(file->path) ? data_stream_open(&file->stream, file->path, packed, status)
                                           : fail_not_found(folder, name, status);
    if (!ok) free(file->path);
    return ok;
}

static void idx_close(struct idx_file *file)
{
    data_stream_close(&file->stream);
    free(file->path);
}

static int64_t big_endian(const uint8_t *bytes)
{
    return ((int64_t)bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3];
}

/* Reads the magic and the numbers after it; the magic says how many there are. */
static bool read_numbers(struct idx_file *file, int64_t magic, int64_t *number, struct status *status)
{
    uint8_t bytes[NUMBERS_MAX * NUMBER_SIZE];
    int64_t header = (1 + (magic & 0xFF)) * NUMBER_SIZE, got;
    if (!data_stream_read(&file->stream, bytes, header, &got, status)) return false;
    if (got < header)
        return status_fail(status, STATUS_RUNTIME, "%s: the file ends at byte %lld, expected a header of %lld bytes",
                           file->path, (long long)got, (long long)header);
    if (big_endian(bytes) != magic)
        return status_fail(status, STATUS_RUNTIME, "%s: byte 0: magic number 0x%08llx, expected 0x%08llx (%s)",
                           file->path, (unsigned long long)big_endian(bytes), (unsigned long long)magic,
                           magic == MAGIC_IMAGES ? "images" : "labels");
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

/* Whether a file of this size can hold what its header says: no memory is taken on the word of a header alone. */
static bool check_size(const struct idx_file *file, struct status *status)
{
    int64_t bytes = file->count * file->height * file->width; /* at most 10^7 * 2^32 < 2^63 */
    int64_t size = file->stream.file_size, header = file->stream.offset;
    if (bytes > PIXELS_MAX)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: byte 4: %lld images of %lldx%lld are %lld bytes, expected at most %lld", file->path,
                           (long long)file->count, (long long)file->height, (long long)file->width, (long long)bytes,
                           (long long)PIXELS_MAX);
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
    return check_number(file, file->count, 4, "count", COUNT_MAX, status) &&
           check_number(file, file->height, 8, "height", SIDE_MAX, status) &&
           check_number(file, file->width, 12, "width", SIDE_MAX, status) && check_size(file, status);
}

static bool idx_open(struct idx_file *file, const char *folder, const char *name, int64_t magic, struct status *status)
{
    if (!open_plain_or_packed(file, folder, name, status)) return false;
    if (read_header(file, magic, status)) return true;
    idx_close(file);
    return false;
}

/* Reads the data behind the header, and makes sure that nothing follows it. */
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

/* The format does not say how many classes there are: the train set, which is read first, decides, and the test set
 * must keep to it. */
static bool check_labels(struct dataset *dataset, const struct image_set *set, const struct idx_file *labels,
                         struct status *status)
{
    bool first = dataset->classes == 0;
    for (int64_t i = 0; i < set->count; i++) {
        if (set->labels[i] < dataset->classes) continue;
        if (!first)
            return status_fail(status, STATUS_RUNTIME,
                               "%s: byte %lld: label %d, expected 0 to %lld as in the train set", labels->path,
                               (long long)(LABELS_HEADER_SIZE + i), set->labels[i], (long long)dataset->classes - 1);
        dataset->classes = set->labels[i] + 1;
    }
    return true;
}

static bool read_pair(struct dataset *dataset, struct image_set *set, struct idx_file *images, struct idx_file *labels,
                      struct status *status)
{
    if (!check_image_size(dataset, images, status)) return false;
    if (labels->count != images->count)
        return status_fail(status, STATUS_RUNTIME, "%s: byte 4: %lld labels, expected %lld as in %s", labels->path,
                           (long long)labels->count, (long long)images->count, images->path);
    image_set_alloc(set, images->count, images->height * images->width);
    return read_data(images, set->pixels, status) && read_data(labels, set->labels, status) &&
           check_labels(dataset, set, labels, status);
}

static bool read_set(struct dataset *dataset, struct image_set *set, const char *folder, const char *const *names,
                     struct status *status)
{
    struct idx_file images, labels;
    if (!idx_open(&images, folder, names[0], MAGIC_IMAGES, status)) return false;
    bool ok = idx_open(&labels, folder, names[1], MAGIC_LABELS, status);
    if (ok) {
        ok = read_pair(dataset, set, &images, &labels, status);
        idx_close(&labels);
    }
    idx_close(&images);
    return ok;
}

/* Whether folder/name is there, plain or packed. */
static bool folder_holds(const char *folder, const char *name)
{
    char *path = data_path_join(folder, name), *packed = memory_format("%s.gz", path);
    bool holds = data_path_exists(path) || data_path_exists(packed);
    free(path), free(packed);
    return holds;
}

bool idx_load(struct dataset *dataset, const char *folder, struct status *status)
{
    static const char *const train[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    static const char *const test[] = {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
    *dataset = (struct dataset){.channels = 1};
    bool ok = read_set(dataset, &dataset->train, folder, train, status);
    if (ok && (folder_holds(folder, test[0]) || folder_holds(folder, test[1])))
        ok = read_set(dataset, &dataset->test, folder, test, status);
    if (!ok) dataset_free(dataset);
    return ok;
}
