/* Reads the binary versions of CIFAR-10 and CIFAR-100, and other data sets of 2 to 256 classes in their layouts. */
#include "data_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/memory.h"

enum {
    FILES_MAX = 6, /* the last one is the test set's */
    CHANNELS = 3,
    SIZE = 32,
    PIXELS = CHANNELS * SIZE * SIZE,
    KIND_SIZE = 512, /* first bytes of a file, which show its kind */
};

/* A record is one or two labels and the pixels. */
struct layout {
    const char *subject; /* for messages: "CIFAR-10" */
    int files;
    const char *file_names[FILES_MAX], *expected; /* all of them in words */
    int records_max;                              /* per file */
    int labels, label;                            /* bytes before the pixels, and which of them counts */
    const char *class_names;                      /* the file's name */
    const char *folder, *python_folder;           /* where the archives of the two versions are unpacked */
    const char *python_file;                      /* a file of the Python version that the binary one lacks */
    const char *way_out;
};

static const struct layout cifar10 = {
    .subject = "CIFAR-10",
    .files = 6,
    .file_names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
                   "test_batch.bin"},
    .expected = "data_batch_1.bin to data_batch_5.bin and test_batch.bin",
    .records_max = 10000, /* as in the original */
    .labels = 1,
    .class_names = "batches.meta.txt",
    .folder = "cifar-10-batches-bin",
    .python_folder = "cifar-10-batches-py",
    .python_file = "data_batch_1",
    .way_out = "run scripts/fetch-cifar10 to download it, or point data.path (--set data.path=...) at an existing copy "
               "of cifar-10-batches-bin",
};

static const struct layout cifar100 = {
    .subject = "CIFAR-100",
    .files = 2,
    .file_names = {"train.bin", "test.bin"},
    .expected = "train.bin and test.bin",
    .records_max = 100000, /* twice the original's */
    .labels = 2,
    .label = 1,
    .class_names = "fine_label_names.txt",
    .folder = "cifar-100-binary",
    .python_folder = "cifar-100-python",
    .python_file = "meta",
    .way_out = "point data.path (--set data.path=...) at an unpacked cifar-100-binary.tar.gz of "
               "https://www.cs.toronto.edu/~kriz/cifar.html",
};

static int record_size(const struct layout *layout)
{
    return layout->labels + PIXELS;
}

/* --- where the files are --- */

static bool folder_holds(const char *folder, const char *name)
{
    char *path = data_path_join(folder, name);
    bool exists = data_path_exists(path);
    free(path);
    return exists;
}

/* Tells whether the folder holds at least one of the files. The message on an incomplete folder names the missing
 * ones. */
static bool folder_holds_files(const struct layout *layout, const char *folder)
{
    for (int i = 0; i < layout->files; i++)
        if (folder_holds(folder, layout->file_names[i])) return true;
    return false;
}

static bool fail_nothing_found(const struct layout *layout, const char *folder, struct status *status)
{
    bool python_named = strstr(folder, layout->python_folder) != NULL || folder_holds(folder, layout->python_folder);
    if (python_named || folder_holds(folder, layout->python_file))
        return status_fail(status, STATUS_RUNTIME,
                           "%s: this is the Python version of %s, expected the binary version: "
                           "scripts/from-torchvision makes an NPZ archive of it; or %s",
                           folder, layout->subject, layout->way_out);
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
        return data_folder_fail(folder, layout->subject, layout->way_out, status);
    return status_fail(status, STATUS_RUNTIME, "%s: no %s found, expected %s: %s", folder, layout->subject,
                       layout->expected, layout->way_out);
}

/* Returns the folder that holds the files, in a new string, or NULL: there is none. */
static char *find_files(const struct layout *layout, const char *folder, struct status *status)
{
    if (folder_holds_files(layout, folder)) return memory_copy_string(folder);
    char *below = data_path_join(folder, layout->folder);
    if (folder_holds_files(layout, below)) return below;
    free(below);
    (void)fail_nothing_found(layout, folder, status);
    return NULL;
}

/* --- records --- */

/* Fails for a file of the wrong size; the message names its kind where the first bytes show it. */
static bool fail_size(const struct layout *layout, struct data_stream *stream, struct status *status)
{
    uint8_t bytes[KIND_SIZE];
    const char *path = stream->path;
    int record = record_size(layout), most = layout->records_max;
    int64_t size = stream->file_size, rest = size % record, got;
    if (!data_stream_read(stream, bytes, KIND_SIZE, &got, status)) return false;
    const char *kind = file_kind(bytes, (size_t)got);
    if (kind)
        return status_fail(status, STATUS_RUNTIME, "%s: this is %s, expected 1 to %d records of %d bytes", path, kind,
                           most, record);
    if (size == 0)
        return status_fail(status, STATUS_RUNTIME, "%s: empty file, expected 1 to %d records of %d bytes", path, most,
                           record);
    if (size > (int64_t)most * record)
        return status_fail(status, STATUS_RUNTIME,
                           "%s: %" PRId64 " bytes, expected at most %" PRId64 ": %d records of %d bytes", path, size,
                           (int64_t)most * record, most, record);
    return status_fail(status, STATUS_RUNTIME,
                       "%s: byte %" PRId64 ": the last record has %" PRId64
                       " bytes, expected a whole number of records of %d bytes",
                       path, size - rest, rest, record);
}

/* Computes the number of records in the file from its size. */
static bool count_records(const struct layout *layout, struct data_stream *stream, int64_t *count,
                          struct status *status)
{
    int64_t size = stream->file_size;
    *count = size / record_size(layout);
    bool good = size > 0 && *count <= layout->records_max && size % record_size(layout) == 0;
    return good || fail_size(layout, stream, status);
}

static bool fail_shorter(const struct data_stream *stream, int64_t byte, struct status *status)
{
    /* count_records checked the size before */
    return status_fail(status, STATUS_RUNTIME, "%s: byte %" PRId64 ": the file became shorter while it was read",
                       stream->path, byte);
}

static bool read_record(const struct layout *layout, struct data_stream *stream, uint16_t *label, uint8_t *pixels,
                        struct status *status)
{
    uint8_t labels[2] = {0};
    int64_t got_labels = 0, got_pixels = 0;
    if (!data_stream_read(stream, labels, layout->labels, &got_labels, status)) return false;
    if (!data_stream_read(stream, pixels, PIXELS, &got_pixels, status)) return false;
    if (got_labels + got_pixels != record_size(layout)) return fail_shorter(stream, stream->offset, status);
    *label = labels[layout->label];
    return true;
}

static bool read_label(const struct layout *layout, const struct data_stream *stream, int64_t record, uint16_t *label,
                       struct status *status)
{
    uint8_t byte;
    int64_t place = record * record_size(layout) + layout->label;
    if (!data_stream_read_at(stream, place, &byte, 1)) return fail_shorter(stream, place, status);
    *label = byte;
    return true;
}

/* A data set that is read, with or without its pixels. */
struct loading {
    const struct layout *layout;
    struct dataset *dataset;
    const char *folder;
    bool with_pixels;
    struct label_file places[FILES_MAX]; /* of the labels; owns the paths */
    struct status *status;
};

/* Appends the records to a set whose memory is large enough. */
static bool read_records(const struct loading *loading, struct data_stream *stream, int64_t count,
                         struct image_set *set)
{
    for (int64_t i = 0; i < count; i++, set->count++) {
        uint16_t *label = &set->labels[set->count];
        if (!(loading->with_pixels
                  ? read_record(loading->layout, stream, label, &set->pixels[set->count * PIXELS], loading->status)
                  : read_label(loading->layout, stream, i, label, loading->status)))
            return false;
    }
    return true;
}

/* Files whose records become one set. */
struct batches {
    struct data_stream streams[FILES_MAX];
    int64_t counts[FILES_MAX]; /* records */
    int files, opened;
};

/* Opens all files and checks their sizes before the caller takes memory for the set. */
static bool open_batches(const struct loading *loading, struct batches *batches, const struct label_file *places,
                         int64_t *total)
{
    *total = 0;
    for (int i = 0; i < batches->files; i++) {
        if (!data_stream_open(&batches->streams[i], places[i].path, false, loading->status)) return false;
        batches->opened++;
        if (!count_records(loading->layout, &batches->streams[i], &batches->counts[i], loading->status)) return false;
        *total += batches->counts[i];
    }
    return true;
}

/* Takes memory for a set, and gives it the count of records so far, 0. */
static void begin_set(const struct loading *loading, struct image_set *set, int64_t total)
{
    if (loading->with_pixels)
        image_set_alloc(loading->dataset, set, total, PIXELS);
    else
        image_set_alloc_labels(loading->dataset, set, total);
    set->count = 0;
}

/* Reads `files` files, from the layout's file number `first`, into one set, which the caller frees even after a
 * failure. */
static bool read_files(struct loading *loading, struct image_set *set, int first, int files)
{
    struct batches batches = {.files = files};
    struct label_file *places = &loading->places[first];
    int64_t total;
    for (int i = 0; i < files; i++) {
        char *path = data_path_join(loading->folder, loading->layout->file_names[first + i]);
        places[i] = (struct label_file){
            .path = path, .set = set, .byte = loading->layout->label, .stride = record_size(loading->layout)};
    }
    bool ok = open_batches(loading, &batches, places, &total);
    if (ok) begin_set(loading, set, total);
    for (int i = 0; i < files && ok; i++) {
        places[i].first = set->count, places[i].count = batches.counts[i];
        ok = read_records(loading, &batches.streams[i], batches.counts[i], set);
    }
    for (int i = 0; i < batches.opened; i++) data_stream_close(&batches.streams[i]);
    return ok;
}

static bool read_class_names(const struct loading *loading)
{
    char *path = data_path_join(loading->folder, loading->layout->class_names);
    struct class_names names = {0};
    bool ok = !data_path_exists(path) || class_names_read_file(&names, path, loading->status);
    free(path);
    if (names.count > 0) dataset_take_names(loading->dataset, names);
    return ok;
}

static bool load_from(struct loading *loading, const struct dataset_source *source)
{
    struct dataset *dataset = loading->dataset;
    int train = loading->layout->files - 1;
    int files = folder_holds(loading->folder, loading->layout->file_names[train]) ? train + 1 : train;
    bool ok = read_class_names(loading) && read_files(loading, &dataset->train, 0, train) &&
              (files == train || read_files(loading, &dataset->test, train, 1)) &&
              classes_settle(dataset, source, loading->places, files, loading->status);
    for (int i = 0; i < FILES_MAX; i++) free((char *)loading->places[i].path);
    return ok;
}

static bool load(struct dataset *dataset, const struct layout *layout, const struct dataset_source *source,
                 struct status *status)
{
    *dataset = (struct dataset){.channels = CHANNELS, .height = SIZE, .width = SIZE};
    char *found = find_files(layout, source->path, status);
    struct loading loading = {layout, dataset, found, !source->labels_only, .status = status};
    bool ok = found != NULL && load_from(&loading, source);
    free(found);
    if (!ok) dataset_free(dataset);
    return ok;
}

bool cifar10_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    return load(dataset, &cifar10, source, status);
}

bool cifar100_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct layout layout = cifar100;
    if (source->coarse_labels) layout.label = 0, layout.class_names = "coarse_label_names.txt";
    return load(dataset, &layout, source, status);
}
