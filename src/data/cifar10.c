/* CIFAR-10, binary version. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "config/text.h"
#include "trainer/memory.h"

enum {
    TRAIN_FILES = 5,
    FILES = 6,
    CLASSES = 10,
    CHANNELS = 3,
    SIZE = 32,
    PIXELS = CHANNELS * SIZE * SIZE,
    RECORD_SIZE = 1 + PIXELS,
    RECORDS_MAX = 10000, /* per file, as in the original */
    META_SIZE_MAX = 1024,
};

static const char *const file_names[FILES] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
static const char subfolder[] = "cifar-10-batches-bin";
static const char python_subfolder[] = "cifar-10-batches-py";

static bool folder_holds(const char *folder, const char *name)
{
    char *path = data_path_join(folder, name);
    bool exists = data_path_exists(path);
    free(path);
    return exists;
}

/* One of the files is enough: which others are missing is then worth a message of its own. */
static bool folder_holds_batches(const char *folder)
{
    for (int i = 0; i < FILES; i++)
        if (folder_holds(folder, file_names[i])) return true;
    return false;
}

static bool fail_nothing_found(const char *folder, struct status *status)
{
    static const char way_out[] =
        "run scripts/fetch-cifar10 to download it, or point data.path (--set data.path=...) at an "
        "existing copy of cifar-10-batches-bin";
    bool python_named = strstr(folder, python_subfolder) != NULL || folder_holds(folder, python_subfolder);
    if (python_named || folder_holds(folder, "data_batch_1"))
        return status_fail(status, STATUS_RUNTIME,
                           "%s: this is the Python version of CIFAR-10, expected the binary version: %s", folder,
                           way_out);
    if (!data_path_exists(folder))
        return status_fail(status, STATUS_RUNTIME, "%s: no such folder, expected CIFAR-10 there: %s", folder, way_out);
    return status_fail(status, STATUS_RUNTIME,
                       "%s: no CIFAR-10 found, expected data_batch_1.bin to data_batch_5.bin and test_batch.bin: %s",
                       folder, way_out);
}

/* The folder that holds the files, in a new string; NULL where there is none. */
static char *find_batches(const char *folder, struct status *status)
{
    if (folder_holds_batches(folder)) return memory_copy_string(folder);
    char *below = data_path_join(folder, subfolder);
    if (folder_holds_batches(below)) return below;
    free(below);
    (void)fail_nothing_found(folder, status);
    return NULL;
}

/* How many records the file has, by its size alone. */
static bool count_records(const struct data_stream *stream, int64_t *count, struct status *status)
{
    const char *path = stream->path;
    int64_t size = stream->file_size, rest = size % RECORD_SIZE;
    *count = size / RECORD_SIZE;
    if (size == 0)
        return status_fail(status, STATUS_RUNTIME, "%s: empty file, expected 1 to %d records of %d bytes", path,
                           RECORDS_MAX, RECORD_SIZE);
    if (size > (int64_t)RECORDS_MAX * RECORD_SIZE)
        return status_fail(status, STATUS_RUNTIME, "%s: %lld bytes, expected at most %lld: %d records of %d bytes",
                           path, (long long)size, (long long)RECORDS_MAX * RECORD_SIZE, RECORDS_MAX, RECORD_SIZE);
    if (rest != 0)
        return status_fail(
            status, STATUS_RUNTIME,
            "%s: byte %lld: the last record has %lld bytes, expected a whole number of records of %d bytes", path,
            (long long)(size - rest), (long long)rest, RECORD_SIZE);
    return true;
}

static bool read_record(struct data_stream *stream, uint8_t *label, uint8_t *pixels, struct status *status)
{
    int64_t offset = stream->offset, got_label = 0, got_pixels = 0;
    if (!data_stream_read(stream, label, 1, &got_label, status)) return false;
    if (!data_stream_read(stream, pixels, PIXELS, &got_pixels, status)) return false;
    if (got_label + got_pixels != RECORD_SIZE) /* its size was checked before */
        return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: the file became shorter while it was read",
                           stream->path, (long long)stream->offset);
    if (*label >= CLASSES)
        return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: label %d, expected 0 to %d", stream->path,
                           (long long)offset, *label, CLASSES - 1);
    return true;
}

/* Appends the records to a set whose memory is large enough. */
static bool read_records(struct data_stream *stream, int64_t count, struct image_set *set, struct status *status)
{
    for (int64_t i = 0; i < count; i++) {
        if (!read_record(stream, &set->labels[set->count], &set->pixels[set->count * PIXELS], status)) return false;
        set->count++;
    }
    return true;
}

/* Reads files into one set, which stays the caller's to free even after a failure. All sizes are checked before the
 * memory is taken. */
static bool read_files(const char *folder, const char *const *names, int files, struct image_set *set,
                       struct status *status)
{
    struct data_stream streams[FILES];
    char *paths[FILES];
    int64_t counts[FILES], total = 0;
    int opened = 0;
    bool ok = true;
    for (int i = 0; i < files; i++) paths[i] = data_path_join(folder, names[i]);
    for (int i = 0; i < files && ok; i++) {
        ok = data_stream_open(&streams[i], paths[i], false, status);
        if (!ok) break;
        opened++;
        ok = count_records(&streams[i], &counts[i], status);
        total += counts[i];
    }
    if (ok) image_set_alloc(set, total, PIXELS);
    set->count = 0;
    for (int i = 0; i < files && ok; i++) ok = read_records(&streams[i], counts[i], set, status);
    for (int i = 0; i < opened; i++) data_stream_close(&streams[i]);
    for (int i = 0; i < files; i++) free(paths[i]);
    return ok;
}

/* Splits the lines of `text` into class names; blank lines do not count. Returns how many there are. */
static int64_t split_names(char *text, char **names)
{
    int64_t count = 0;
    char *rest = NULL;
    for (char *name = strtok_r(text, "\r\n", &rest); name != NULL; name = strtok_r(NULL, "\r\n", &rest)) {
        if (count < CLASSES) names[count] = memory_copy_string(name);
        count++;
    }
    return count;
}

static bool check_line(const char *path, int line, const char *text, size_t size, struct status *status)
{
    const char *problem;
    size_t bad = text_find_bad_name_byte(text, size, &problem);
    if (bad == size) return true;
    return status_fail(status, STATUS_RUNTIME, "%s:%d: %s (byte 0x%02x) in column %zu, expected a class name", path,
                       line, problem, (unsigned char)text[bad], bad + 1);
}

/* The names are printed later, on terminals too, which obey what is no text. */
static bool check_meta_text(const char *path, const char *text, size_t size, struct status *status)
{
    if (size > META_SIZE_MAX)
        return status_fail(status, STATUS_RUNTIME, "%s: more than %d bytes, expected %d class names", path,
                           META_SIZE_MAX, CLASSES);
    for (size_t start = 0, line = 1; start < size; line++) {
        const char *newline = memchr(text + start, '\n', size - start);
        size_t end = newline ? (size_t)(newline - text) : size, length = end - start;
        if (length > 0 && text[end - 1] == '\r') length--;
        if (!check_line(path, (int)line, text + start, length, status)) return false;
        start = end + 1;
    }
    return true;
}

static bool read_class_names(struct dataset *dataset, const char *path, struct status *status)
{
    char text[META_SIZE_MAX + 2] = {0}; /* one byte too many tells a long file, one ends the string */
    int64_t size = 0;
    struct data_stream stream;
    if (!data_stream_open(&stream, path, false, status)) return false;
    bool ok = data_stream_read(&stream, (uint8_t *)text, META_SIZE_MAX + 1, &size, status);
    data_stream_close(&stream);
    if (!ok || !check_meta_text(path, text, (size_t)size, status)) return false;
    dataset->class_names = memory_alloc(CLASSES, sizeof *dataset->class_names);
    int64_t count = split_names(text, dataset->class_names);
    if (count == CLASSES) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: %lld class names, expected %d", path, (long long)count, CLASSES);
}

static bool load_from(struct dataset *dataset, const char *folder, struct status *status)
{
    const char *const *test = file_names + TRAIN_FILES;
    if (!read_files(folder, file_names, TRAIN_FILES, &dataset->train, status)) return false;
    if (folder_holds(folder, *test) && !read_files(folder, test, 1, &dataset->test, status)) return false;
    char *meta = data_path_join(folder, "batches.meta.txt");
    bool ok = !data_path_exists(meta) || read_class_names(dataset, meta, status);
    free(meta);
    return ok;
}

bool cifar10_load(struct dataset *dataset, const char *folder, struct status *status)
{
    *dataset = (struct dataset){.channels = CHANNELS, .height = SIZE, .width = SIZE, .classes = CLASSES};
    char *found = find_batches(folder, status);
    bool ok = found != NULL && load_from(dataset, found, status);
    free(found);
    if (!ok) dataset_free(dataset);
    return ok;
}
