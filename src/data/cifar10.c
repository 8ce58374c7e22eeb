/* Reads the binary version of CIFAR-10, and other data sets of 2 to 256 classes in its layout. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "trainer/memory.h"

enum {
    TRAIN_FILES = 5,
    FILES = 6,
    CHANNELS = 3,
    SIZE = 32,
    PIXELS = CHANNELS * SIZE * SIZE,
    RECORD_SIZE = 1 + PIXELS,
    RECORDS_MAX = 10000, /* per file, as in the original */
    KIND_SIZE = 512,     /* first bytes of a file, which show its kind */
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

/* Tells whether the folder holds at least one of the files. The message on an incomplete folder names the missing
 * ones. */
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
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
        return data_folder_fail(folder, "CIFAR-10", way_out, status);
    return status_fail(status, STATUS_RUNTIME,
                       "%s: no CIFAR-10 found, expected data_batch_1.bin to data_batch_5.bin and test_batch.bin: %s",
                       folder, way_out);
}

/* Returns the folder that holds the files, in a new string, or NULL: there is none. */
static char *find_batches(const char *folder, struct status *status)
{
    if (folder_holds_batches(folder)) return memory_copy_string(folder);
    char *below = data_path_join(folder, subfolder);
    if (folder_holds_batches(below)) return below;
    free(below);
    (void)fail_nothing_found(folder, status);
    return NULL;
}

/* Fails for a file of the wrong size; the message names its kind where the first bytes show it. */
static bool fail_size(struct data_stream *stream, struct status *status)
{
    uint8_t bytes[KIND_SIZE];
    const char *path = stream->path;
    int64_t size = stream->file_size, rest = size % RECORD_SIZE, got;
    if (!data_stream_read(stream, bytes, KIND_SIZE, &got, status)) return false;
    const char *kind = file_kind(bytes, (size_t)got);
    if (kind)
        return status_fail(status, STATUS_RUNTIME, "%s: this is %s, expected 1 to %d records of %d bytes", path, kind,
                           RECORDS_MAX, RECORD_SIZE);
    if (size == 0)
        return status_fail(status, STATUS_RUNTIME, "%s: empty file, expected 1 to %d records of %d bytes", path,
                           RECORDS_MAX, RECORD_SIZE);
    if (size > (int64_t)RECORDS_MAX * RECORD_SIZE)
        return status_fail(status, STATUS_RUNTIME, "%s: %lld bytes, expected at most %lld: %d records of %d bytes",
                           path, (long long)size, (long long)RECORDS_MAX * RECORD_SIZE, RECORDS_MAX, RECORD_SIZE);
    return status_fail(status, STATUS_RUNTIME,
                       "%s: byte %lld: the last record has %lld bytes, expected a whole number of records of %d bytes",
                       path, (long long)(size - rest), (long long)rest, RECORD_SIZE);
}

/* Computes the number of records in the file from its size. */
static bool count_records(struct data_stream *stream, int64_t *count, struct status *status)
{
    int64_t size = stream->file_size;
    *count = size / RECORD_SIZE;
    bool good = size > 0 && size <= (int64_t)RECORDS_MAX * RECORD_SIZE && size % RECORD_SIZE == 0;
    return good || fail_size(stream, status);
}

static bool read_record(struct data_stream *stream, uint16_t *label, uint8_t *pixels, struct status *status)
{
    uint8_t byte = 0;
    int64_t got_label = 0, got_pixels = 0;
    if (!data_stream_read(stream, &byte, 1, &got_label, status)) return false;
    if (!data_stream_read(stream, pixels, PIXELS, &got_pixels, status)) return false;
    if (got_label + got_pixels != RECORD_SIZE) /* count_records checked the size before */
        return status_fail(status, STATUS_RUNTIME, "%s: byte %lld: the file became shorter while it was read",
                           stream->path, (long long)stream->offset);
    *label = byte;
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

/* Files whose records become one set. */
struct batches {
    struct data_stream streams[FILES];
    char *paths[FILES];
    int64_t counts[FILES]; /* records */
    int files, opened;
};

/* Opens all files and checks their sizes before the caller takes memory for the set. */
static bool open_batches(struct batches *batches, const char *folder, const char *const *names, int64_t *total,
                         struct status *status)
{
    *total = 0;
    for (int i = 0; i < batches->files; i++) batches->paths[i] = data_path_join(folder, names[i]);
    for (int i = 0; i < batches->files; i++) {
        if (!data_stream_open(&batches->streams[i], batches->paths[i], false, status)) return false;
        batches->opened++;
        if (!count_records(&batches->streams[i], &batches->counts[i], status)) return false;
        *total += batches->counts[i];
    }
    return true;
}

/* Reads files into one set, which the caller frees even after a failure. Fills `places` with the places of the files'
 * labels; the caller frees their paths. */
static bool read_files(struct dataset *dataset, struct image_set *set, const char *folder, const char *const *names,
                       int files, struct label_file *places, struct status *status)
{
    struct batches batches = {.files = files};
    int64_t total;
    bool ok = open_batches(&batches, folder, names, &total, status);
    if (ok) image_set_alloc(dataset, set, total, PIXELS);
    set->count = 0;
    for (int i = 0; i < files && ok; i++) {
        places[i] = (struct label_file){
            memory_copy_string(batches.paths[i]), set, set->count, batches.counts[i], 0, RECORD_SIZE};
        ok = read_records(&batches.streams[i], batches.counts[i], set, status);
    }
    for (int i = 0; i < batches.opened; i++) data_stream_close(&batches.streams[i]);
    for (int i = 0; i < files; i++) free(batches.paths[i]);
    return ok;
}

static bool read_class_names(struct dataset *dataset, const char *folder, struct status *status)
{
    char *path = data_path_join(folder, "batches.meta.txt");
    struct class_names names = {0};
    bool ok = !data_path_exists(path) || class_names_read_file(&names, path, status);
    free(path);
    if (names.count > 0) dataset_take_names(dataset, names);
    return ok;
}

static bool load_from(struct dataset *dataset, const char *folder, const struct dataset_source *source,
                      struct status *status)
{
    const char *const *test = file_names + TRAIN_FILES;
    struct label_file places[FILES] = {{0}};
    int files = folder_holds(folder, *test) ? FILES : TRAIN_FILES;
    bool ok =
        read_class_names(dataset, folder, status) &&
        read_files(dataset, &dataset->train, folder, file_names, TRAIN_FILES, places, status) &&
        (files == TRAIN_FILES || read_files(dataset, &dataset->test, folder, test, 1, places + TRAIN_FILES, status)) &&
        classes_settle(dataset, source, places, files, status);
    for (int i = 0; i < FILES; i++) free((char *)places[i].path);
    return ok;
}

bool cifar10_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    *dataset = (struct dataset){.channels = CHANNELS, .height = SIZE, .width = SIZE};
    char *found = find_batches(source->path, status);
    bool ok = found != NULL && load_from(dataset, found, source, status);
    free(found);
    if (!ok) dataset_free(dataset);
    return ok;
}
