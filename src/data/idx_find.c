/* Finds the IDX files of a data set. Publishers, the programs that unpack the files and the libraries that download
 * them use different names:
 *   train-images-idx3-ubyte          MNIST, Fashion-MNIST
 *   train-images-idx4-ubyte          images with colours; the name with idx3 is taken too
 *   train-images.idx3-ubyte          MNIST, unpacked by 7-Zip or macOS, and Kaggle's
 *   emnist-letters-train-images-...  EMNIST: six sets in one folder
 *   MNIST/raw/..., gzip/...          torchvision's folders, EMNIST's archive
 * A name may end in ".gz". The test set's names have t10k or test in place of train. */
#include "data_private.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/check.h"
#include "util/memory.h"

enum { STEMS_MAX = 16 };

static const char *const subfolders[] = {"raw", "gzip", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw"};
static const char *const roles[] = {"train", "t10k", "test"};
static const char *const contents[] = {"images", "labels"};
static const char *const endings[] = {"-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte",
                                      ".idx1-ubyte", "-idx4-ubyte", ".idx4-ubyte"};

/* The stems of data sets. A stem is the beginning that the paths of a data set's files share: ".../" or
 * ".../emnist-letters-". */
struct stems {
    char *stem[STEMS_MAX];
    int count;
};

static void stems_free(struct stems *stems)
{
    for (int i = 0; i < stems->count; i++) free(stems->stem[i]);
    stems->count = 0;
}

/* Adds a stem that is not there yet, and takes it over. */
static void stems_add(struct stems *stems, char *stem)
{
    bool known = stems->count == STEMS_MAX;
    for (int i = 0; i < stems->count && !known; i++) known = strcmp(stems->stem[i], stem) == 0;
    if (known)
        free(stem);
    else
        stems->stem[stems->count++] = stem;
}

/* Tells whether the first `length` bytes of `name` end in `ending`, and then takes the ending off the length. */
static bool cut_ending(const char *name, size_t *length, const char *ending)
{
    size_t size = strlen(ending);
    if (*length < size || strncmp(name + *length - size, ending, size) != 0) return false;
    *length -= size;
    return true;
}

/* Tells whether a file's name is that of a part of a data set, and gives the length of the stem in it. */
static bool parse_name(const char *name, size_t *stem)
{
    bool ends = false, holds = false, set = false;
    *stem = strlen(name);
    cut_ending(name, stem, ".gz");
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !ends; i++) ends = cut_ending(name, stem, endings[i]);
    for (size_t i = 0; i < sizeof contents / sizeof *contents && !holds; i++)
        holds = cut_ending(name, stem, contents[i]);
    if (!ends || !holds || !cut_ending(name, stem, "-")) return false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !set; i++) set = cut_ending(name, stem, roles[i]);
    return set;
}

/* Adds the stems of a folder's files that begin with `beginning`. */
static void add_folder(struct stems *stems, const char *folder, const char *beginning)
{
    DIR *entries = opendir(*folder ? folder : ".");
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t length;
        if (!parse_name(entry->d_name, &length) || strncmp(entry->d_name, beginning, strlen(beginning)) != 0) continue;
        char *name = memory_format("%.*s", (int)length, entry->d_name);
        stems_add(stems, data_path_join(folder, name));
        free(name);
    }
    if (entries) closedir(entries);
}

/* Leaves only the plain stem, without a beginning of its own, where a folder holds such files (MNIST's) beside
 * others. */
static void prefer_plain(struct stems *stems, const char *folder)
{
    char *plain = data_path_join(folder, "");
    for (int i = 0; i < stems->count; i++) {
        if (strcmp(stems->stem[i], plain) != 0) continue;
        stems_free(stems);
        stems->stem[stems->count++] = plain;
        return;
    }
    free(plain);
}

static int compare_stems(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool fail_several(const char *path, struct stems *stems, struct status *status)
{
    char *list = memory_copy_string("");
    qsort(stems->stem, (size_t)stems->count, sizeof *stems->stem, compare_stems);
    for (int i = 0; i < stems->count; i++) {
        size_t length = strlen(stems->stem[i]);
        char *longer = memory_format("%s%s%.*s", list, i > 0 ? ", " : "", (int)(length - 1), stems->stem[i]);
        free(list);
        list = longer;
    }
    status_fail(status, STATUS_RUNTIME, "%s: %d data sets are there, expected one: set data.path to one of %s", path,
                stems->count, list);
    free(list);
    return false;
}

static const char way_out[] =
    "point data.path (--set data.path=...) at them; Debian's package dataset-fashion-mnist has "
    "Fashion-MNIST in /usr/share/datasets/fashion-mnist";

static bool fail_nothing(const char *path, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME,
                       "%s: no IDX files found, expected train-images-idx3-ubyte and train-labels-idx1-ubyte (or with "
                       "a dot, or .gz) as of MNIST, Fashion-MNIST or EMNIST: %s",
                       path, way_out);
}

/* Adds the stem of a path that is no folder but the beginning of the files' paths: folder/emnist-letters. */
static void add_beginning(struct stems *stems, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = memory_format("%.*s", slash ? (int)(slash + 1 - path) : 0, path);
    char *beginning = memory_format("%s-", slash ? slash + 1 : path);
    struct stems found = {.count = 0};
    add_folder(&found, folder, beginning);
    char *wanted = data_path_join(folder, beginning);
    for (int i = 0; i < found.count; i++)
        if (strcmp(found.stem[i], wanted) == 0) stems_add(stems, memory_copy_string(wanted));
    stems_free(&found);
    free(wanted), free(folder), free(beginning);
}

static void add_subfolders(struct stems *stems, const char *path)
{
    for (size_t i = 0; i < sizeof subfolders / sizeof *subfolders; i++) {
        char *below = data_path_join(path, subfolders[i]);
        add_folder(stems, below, "");
        free(below);
    }
}

static bool find_stems(struct stems *stems, const char *path, struct status *status)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        add_beginning(stems, path);
        return stems->count > 0 || data_folder_fail(path, "the IDX files of MNIST or Fashion-MNIST", way_out, status);
    }
    add_folder(stems, path, "");
    prefer_plain(stems, path);
    if (stems->count == 0) add_subfolders(stems, path);
    return stems->count > 0 || fail_nothing(path, status);
}

char *idx_find_stem(const char *path, struct status *status)
{
    struct stems stems = {.count = 0};
    char *stem = NULL;
    bool found = find_stems(&stems, path, status);
    if (found && stems.count > 1)
        fail_several(path, &stems, status);
    else if (found)
        stem = memory_copy_string(stems.stem[0]);
    stems_free(&stems);
    return stem;
}

bool idx_fail_not_found(const char *stem, enum idx_part part, enum idx_content content, struct status *status)
{
    const char *role = roles[part == IDX_TRAIN ? 0 : 1], *end = content == IDX_IMAGES ? endings[0] : endings[2];
    return status_fail(status, STATUS_RUNTIME,
                       "%s%s-%s%s: not found, nor with a dot or .gz; expected it beside the others of its data set",
                       stem, role, contents[content], end);
}

/* --- the files of a set --- */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Returns the first spelling of the file's path that exists, files before folders, or NULL: there is none. */
static char *find_spelling(const char *stem, const char *role, enum idx_content content)
{
    static const char *const spellings[] = {"-", "."}, *const packings[] = {"", ".gz"};
    static const int dimensions[][2] = {[IDX_IMAGES] = {3, 4}, [IDX_LABELS] = {1, 1}};
    char *folder = NULL;
    for (int i = 0; i < 8; i++) {
        char *path = memory_format("%s%s-%s%sidx%d-ubyte%s", stem, role, contents[content], spellings[i / 2 % 2],
                                   dimensions[content][i / 4], packings[i % 2]);
        if (data_path_exists(path) && !is_folder(path)) {
            free(folder);
            return path;
        }
        bool first = data_path_exists(path) && !folder;
        if (first)
            folder = path;
        else
            free(path);
    }
    return folder;
}

char *idx_find_file(const char *stem, enum idx_part part, enum idx_content content)
{
    if (part == IDX_TRAIN) return find_spelling(stem, "train", content);
    char *path = find_spelling(stem, "t10k", content);
    return path ? path : find_spelling(stem, "test", content);
}
