/* Opens NPZ archives and finds the arrays of a data set by their names. libzip reads the archive. A name is made of two
 * words, one for the set and one for the content, in any order and case:
 *   MedMNIST      train_images, train_labels, val_images, val_labels, test_images, test_labels
 *   Keras         x_train, y_train, x_test, y_test
 *   SVHN          X, y: a name without a set belongs to the training set */
#include "npz_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "util/file_regular.h"
#include "util/memory.h"

#ifdef TRAINER_ZIP
#include <zip.h>

enum {
    KIND_SIZE = 512,          /* first bytes of a file, which show its kind */
    UNUSED_MAX = 200,         /* bytes of the list of arrays that are not used */
    INFLATE_RATIO_MAX = 1032, /* deflate needs at least one bit for 129 bytes */
};

/* --- names --- */

struct word {
    const char *text;
    int value;
};

static const struct word set_words[] = {{"train", NPZ_TRAIN},
                                        {"training", NPZ_TRAIN},
                                        {"val", NPZ_VALIDATION},
                                        {"valid", NPZ_VALIDATION},
                                        {"validation", NPZ_VALIDATION},
                                        {"test", NPZ_TEST},
                                        {NULL, 0}};
static const struct word content_words[] = {{"images", NPZ_IMAGES}, {"image", NPZ_IMAGES},   {"x", NPZ_IMAGES},
                                            {"data", NPZ_IMAGES},   {"labels", NPZ_LABELS},  {"label", NPZ_LABELS},
                                            {"y", NPZ_LABELS},      {"targets", NPZ_LABELS}, {NULL, 0}};

static const char *const set_names[NPZ_SETS] = {"train", "val", "test"};
static const char *const content_names[NPZ_CONTENTS] = {"images", "labels"};

static const struct word *find_word(const struct word *words, const char *text, size_t length)
{
    for (; words->text; words++)
        if (strlen(words->text) == length && strncasecmp(words->text, text, length) == 0) return words;
    return NULL;
}

/* Tells whether the first `length` bytes of a name are those of an array of a data set. */
static bool parse_name(const char *name, size_t length, enum npz_set *set, enum npz_content *content)
{
    const char *dash = memchr(name, '_', length);
    size_t first = dash ? (size_t)(dash - name) : length, second = dash ? length - first - 1 : 0;
    const struct word *of_set = find_word(set_words, name, first), *of_content;
    if (of_set) {
        of_content = dash ? find_word(content_words, dash + 1, second) : NULL;
    } else {
        of_content = find_word(content_words, name, first);
        of_set = dash ? find_word(set_words, dash + 1, second) : &set_words[0];
    }
    if (!of_set || !of_content) return false;
    *set = (enum npz_set)of_set->value, *content = (enum npz_content)of_content->value;
    return true;
}

/* --- the archive --- */

static bool fail_open(const char *path, int code, struct status *status)
{
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    status_fail(status, STATUS_RUNTIME, "%s: not a good NPZ archive: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return false;
}

static bool fail_kind(const char *path, const char *kind, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME,
                       "%s: this is %s, expected an NPZ archive, as numpy.savez_compressed writes it", path, kind);
}

/* Refuses what is no archive by its first bytes; the message names its kind. */
static bool check_kind(int file, const char *path, struct status *status)
{
    uint8_t bytes[KIND_SIZE];
    ssize_t size = pread(file, bytes, KIND_SIZE, 0);
    if (size == 0) return fail_kind(path, "an empty file", status);
    if (size < 4 || memcmp(bytes, "PK", 2) == 0) return true;
    const char *kind = file_kind(bytes, (size_t)size);
    return !kind || fail_kind(path, kind, status);
}

static bool open_archive(struct npz *npz, int64_t *file_size, struct status *status)
{
    int file, code = 0;
    if (!file_regular_open(&file, file_size, npz->path, status)) return false;
    if (check_kind(file, npz->path, status)) {
        npz->archive = zip_fdopen(file, 0, &code); /* takes the file over */
        if (npz->archive) return true;
        (void)fail_open(npz->path, code, status);
    }
    close(file);
    return false;
}

/* Adds a name to the list of those that are not used. It may hold anything, so control characters become '?'. */
static void remember_unused(struct npz *npz, const char *name, size_t length)
{
    char *before = npz->unused;
    if (before && strlen(before) > UNUSED_MAX) return;
    npz->unused = memory_format("%s%s%.*s", before ? before : "", before ? ", " : "", (int)length, name);
    free(before);
    for (char *c = npz->unused; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F) *c = '?';
}

static bool take_entry(struct npz *npz, uint64_t index, struct status *status)
{
    enum npz_set set;
    enum npz_content content;
    const char *name = zip_get_name(npz->archive, index, ZIP_FL_ENC_RAW);
    size_t length = name ? strlen(name) : 0;
    if (length > 4 && strcmp(name + length - 4, ".npy") == 0) length -= 4;
    if (length == 0) return true;
    if (!parse_name(name, length, &set, &content)) return remember_unused(npz, name, length), true;
    struct npz_array *array = &npz->arrays[set][content];
    if (array->name)
        return status_fail(status, STATUS_RUNTIME, "%s: the arrays %s and %.*s are both %s %s, expected one", npz->path,
                           array->name, (int)length, name, set_names[set], content_names[content]);
    array->name = memory_format("%.*s", (int)length, name);
    array->place = memory_format("%s: %s", npz->path, array->name);
    array->index = index;
    return true;
}

/* --- entries --- */

/* An entry that is unpacked from front to back. */
struct entry {
    zip_file_t *file;
    const struct npz_array *array;
    struct status *status;
};

static bool entry_fail(const struct entry *entry, const char *words)
{
    return status_fail(entry->status, STATUS_RUNTIME, "%s: damaged array: %s", entry->array->place, words);
}

static bool entry_open(struct entry *entry, const struct npz *npz, const struct npz_array *array, struct status *status)
{
    *entry = (struct entry){zip_fopen_index(npz->archive, array->index, 0), array, status};
    return entry->file || entry_fail(entry, zip_strerror(npz->archive));
}

/* Reads `bytes` bytes, or fewer where the entry ends before. */
static bool entry_read(const struct entry *entry, uint8_t *to, int64_t bytes, int64_t *got)
{
    for (*got = 0; *got < bytes;) {
        zip_int64_t piece = zip_fread(entry->file, to + *got, (zip_uint64_t)(bytes - *got));
        if (piece < 0) return entry_fail(entry, zip_file_strerror(entry->file));
        if (piece == 0) return true;
        *got += piece;
    }
    return true;
}

static bool entry_read_all(const struct entry *entry, uint8_t *to, int64_t bytes)
{
    int64_t got;
    if (!entry_read(entry, to, bytes, &got)) return false;
    return got == bytes || entry_fail(entry, "it ends too early");
}

/* Reads the header of an array and gives its size, with all that comes before the elements. */
static bool read_header(const struct entry *entry, struct npz_array *array)
{
    uint8_t prefix[NPY_PREFIX_SIZE + 2] = {0};
    int64_t before, size;
    if (!entry_read_all(entry, prefix, NPY_PREFIX_SIZE)) return false;
    bool longer = prefix[6] > 1;
    if (longer && !entry_read_all(entry, prefix + NPY_PREFIX_SIZE, 2)) return false;
    if (!npy_prefix_parse(prefix, &before, &size, array->place, entry->status)) return false;
    char *text = memory_alloc((size_t)size + 1, 1);
    bool good = entry_read_all(entry, (uint8_t *)text, size) &&
                npy_header_parse(&array->header, text, (size_t)size, array->place, entry->status);
    array->start = before + size;
    free(text);
    return good;
}

/* Checks what the archive's directory says of an entry. Deflate packs at most to a 1032nd, so that the memory for an
 * array is in proportion to its file. */
static bool check_packing(const struct npz *npz, const struct npz_array *array, int64_t file_size, zip_stat_t *entry,
                          struct status *status)
{
    const zip_uint64_t wanted = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(npz->archive, array->index, 0, entry) != 0 || (entry->valid & wanted) != wanted)
        return status_fail(status, STATUS_RUNTIME, "%s: damaged array: the archive does not tell its size",
                           array->place);
    if (entry->encryption_method != ZIP_EM_NONE)
        return status_fail(status, STATUS_RUNTIME, "%s: is encrypted, expected a plain array", array->place);
    if (entry->comp_method != ZIP_CM_STORE && entry->comp_method != ZIP_CM_DEFLATE)
        return status_fail(status, STATUS_RUNTIME, "%s: packed by method %d, expected stored (0) or deflated (8)",
                           array->place, entry->comp_method);
    if (entry->comp_size <= (zip_uint64_t)file_size && entry->size / INFLATE_RATIO_MAX <= entry->comp_size) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: damaged array: %" PRIu64 " bytes in %" PRIu64 " packed ones",
                       array->place, entry->size, entry->comp_size);
}

static bool open_array(const struct npz *npz, struct npz_array *array, int64_t file_size, struct status *status)
{
    zip_stat_t stat;
    struct entry entry;
    zip_stat_init(&stat);
    if (!check_packing(npz, array, file_size, &stat, status) || !entry_open(&entry, npz, array, status)) return false;
    bool good = read_header(&entry, array);
    zip_fclose(entry.file);
    if (!good) return false;
    if ((uint64_t)array->start + (uint64_t)array->header.bytes == stat.size) return true;
    return status_fail(status, STATUS_RUNTIME,
                       "%s: damaged array: %" PRIu64 " bytes, expected %" PRId64 " of header and %" PRId64
                       " of elements",
                       array->place, stat.size, array->start, array->header.bytes);
}

/* --- the data set --- */

static bool check_pair(const struct npz *npz, enum npz_set set, struct status *status)
{
    static const char *const expected[NPZ_SETS] = {"train_images and train_labels (or x_train and y_train, or X and y)",
                                                   "val_images and val_labels (or x_val and y_val)",
                                                   "test_images and test_labels (or x_test and y_test)"};
    const struct npz_array *images = &npz->arrays[set][NPZ_IMAGES], *labels = &npz->arrays[set][NPZ_LABELS];
    if (images->name && labels->name) return true;
    if (set != NPZ_TRAIN && !images->name && !labels->name) return true;
    if (!images->name && !labels->name)
        return status_fail(status, STATUS_RUNTIME, "%s: no training set, expected arrays named %s; found %s", npz->path,
                           expected[set], npz->unused ? npz->unused : "none");
    return status_fail(status, STATUS_RUNTIME, "%s: found %s alone, expected arrays named %s", npz->path,
                       images->name ? images->name : labels->name, expected[set]);
}

static bool find_arrays(struct npz *npz, int64_t file_size, struct status *status)
{
    zip_int64_t entries = zip_get_num_entries(npz->archive, 0);
    for (zip_int64_t i = 0; i < entries; i++)
        if (!take_entry(npz, (uint64_t)i, status)) return false;
    for (enum npz_set set = 0; set < NPZ_SETS; set++) {
        if (!check_pair(npz, set, status)) return false;
        for (enum npz_content content = 0; content < NPZ_CONTENTS; content++) {
            struct npz_array *array = &npz->arrays[set][content];
            if (array->name && !open_array(npz, array, file_size, status)) return false;
        }
    }
    return true;
}

bool npz_open(struct npz *npz, const char *path, struct status *status)
{
    int64_t file_size;
    *npz = (struct npz){.path = path};
    if (open_archive(npz, &file_size, status) && find_arrays(npz, file_size, status)) return true;
    npz_close(npz);
    return false;
}

void npz_close(struct npz *npz)
{
    for (int set = 0; set < NPZ_SETS; set++)
        for (int content = 0; content < NPZ_CONTENTS; content++) {
            free(npz->arrays[set][content].name);
            free(npz->arrays[set][content].place);
        }
    free(npz->unused);
    if (npz->archive) zip_discard(npz->archive);
    *npz = (struct npz){0};
}

static bool read_elements(const struct entry *entry, npz_take take, void *taker)
{
    const struct npy_header *header = &entry->array->header;
    int64_t left = header->bytes, size = header->count > 0 ? header->bytes / header->count : 1, extra;
    uint8_t *piece = memory_alloc(left < NPZ_PIECE_SIZE ? (size_t)left + 1 : NPZ_PIECE_SIZE, 1);
    bool good = true;
    for (; good && left > 0; left -= NPZ_PIECE_SIZE) {
        int64_t bytes = left < NPZ_PIECE_SIZE ? left : NPZ_PIECE_SIZE;
        good = entry_read_all(entry, piece, bytes) && take(taker, piece, bytes / size, entry->status);
    }
    good = good && entry_read(entry, piece, 1, &extra); /* at the end libzip checks the checksum */
    good = good && (extra == 0 || entry_fail(entry, "more bytes than its size says"));
    free(piece);
    return good;
}

static bool skip_header(const struct entry *entry, int64_t bytes)
{
    uint8_t *header = memory_alloc((size_t)bytes, 1);
    bool good = entry_read_all(entry, header, bytes);
    free(header);
    return good;
}

bool npz_read(const struct npz *npz, const struct npz_array *array, npz_take take, void *taker, struct status *status)
{
    struct entry entry;
    if (!entry_open(&entry, npz, array, status)) return false;
    bool good = skip_header(&entry, array->start) && read_elements(&entry, take, taker);
    zip_fclose(entry.file);
    return good;
}
#else
bool npz_open(struct npz *npz, const char *path, struct status *status)
{
    (void)npz;
    return status_fail(status, STATUS_RUNTIME, "%s: not read: this build has no libzip (Debian: libzip-dev)", path);
}

void npz_close(struct npz *npz)
{
    (void)npz;
}

bool npz_read(const struct npz *npz, const struct npz_array *array, npz_take take, void *taker, struct status *status)
{
    (void)npz, (void)array, (void)take, (void)taker, (void)status;
    return false; /* nothing was opened */
}
#endif

char *npz_element(const struct npz_array *array, int64_t element)
{
    if (array->header.fortran_order && array->header.rank > 1)
        return memory_format("%s.ravel('F')[%" PRId64 "]", array->place, element);
    if (array->header.rank == 1) return memory_format("%s[%" PRId64 "]", array->place, element);
    return memory_format("%s.flat[%" PRId64 "]", array->place, element);
}
