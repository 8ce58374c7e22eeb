/* Finds the pictures of data.dataset = folder: train/, test/ and a validation folder with a folder per class each, or the
 * folders of the classes alone. A class has the name of its folder, and its number is the folder's place in the order of
 * bytes, as for torchvision's ImageFolder. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "picture_walk.h"
#include "pictures.h"
#include "util/memory.h"
#include "util/text.h"

static const struct {
    const char *name;
    enum picture_part part;
} part_names[] = {{"train", PICTURE_TRAIN},      {"training", PICTURE_TRAIN},        {"val", PICTURE_VALIDATION},
                  {"valid", PICTURE_VALIDATION}, {"validation", PICTURE_VALIDATION}, {"test", PICTURE_TEST},
                  {"testing", PICTURE_TEST}};
enum { PART_NAMES = sizeof part_names / sizeof *part_names };

/* A data set's folder as it is found. */
struct layout {
    struct picture_list *list;
    struct folder_listing root;
    struct stat root_info;
    const struct folder_entry *parts[PICTURE_PARTS]; /* NULL: there is none; all NULL: class folders alone */
    struct status *status;
};

/* --- the parts --- */

/* Returns the part that a folder's name stands for, in any case, or PICTURE_PARTS. */
static enum picture_part part_of(const char *name, size_t length)
{
    for (int i = 0; i < PART_NAMES; i++)
        if (strlen(part_names[i].name) == length && strncasecmp(part_names[i].name, name, length) == 0)
            return part_names[i].part;
    return PICTURE_PARTS;
}

/* The same for names with a number behind, like Kaggle's test1. */
static enum picture_part part_like(const char *name)
{
    size_t length = strlen(name);
    while (length > 0 && name[length - 1] >= '0' && name[length - 1] <= '9') length--;
    return part_of(name, length);
}

static bool find_parts(struct layout *layout)
{
    for (int64_t i = 0; i < layout->root.count; i++) {
        const struct folder_entry *entry = &layout->root.entries[i];
        enum picture_part part = part_of(entry->name, strlen(entry->name));
        if (part == PICTURE_PARTS || !folder_entry_is_folder(entry)) continue;
        if (layout->parts[part])
            return status_fail(layout->status, STATUS_RUNTIME,
                               "%s: both %s/ and %s/ may be the %s set, expected one of them", layout->list->root,
                               layout->parts[part]->name, entry->name,
                               part == PICTURE_TRAIN        ? "training"
                               : part == PICTURE_VALIDATION ? "validation"
                                                            : "test");
        layout->parts[part] = entry;
    }
    return true;
}

/* Tells whether a folder holds folders. */
static bool has_folders(const struct layout *layout, const char *name, bool *has)
{
    struct folder_listing listing;
    char *path = picture_list_path(layout->list, name);
    bool good = folder_listing_read(&listing, path, layout->status);
    free(path);
    if (!good) return false;
    *has = false;
    for (int64_t i = 0; i < listing.count; i++) *has = *has || folder_entry_is_folder(&listing.entries[i]);
    folder_listing_free(&listing);
    return true;
}

/* Refuses train/ full of pictures beside test/, which is no folder per class. */
static bool check_no_part_alone(const struct layout *layout)
{
    const struct folder_entry *train = layout->parts[PICTURE_TRAIN];
    for (int64_t i = 0; train && i < layout->root.count; i++) {
        const struct folder_entry *entry = &layout->root.entries[i];
        if (entry == train || !folder_entry_is_folder(entry) || part_like(entry->name) == PICTURE_PARTS) continue;
        return status_fail(layout->status, STATUS_RUNTIME, "%s/%s: holds no folders, expected one for each class",
                           layout->list->root, train->name);
    }
    return true;
}

/* Refuses a folder of test/ and val/ alone, which are no classes. */
static bool check_train_is_there(const struct layout *layout)
{
    const struct folder_entry *part = NULL;
    for (int64_t i = 0; i < layout->root.count; i++) {
        const struct folder_entry *entry = &layout->root.entries[i];
        if (!folder_entry_is_folder(entry)) continue;
        if (part_of(entry->name, strlen(entry->name)) == PICTURE_PARTS) return true;
        part = entry;
    }
    if (!part || layout->parts[PICTURE_TRAIN]) return true;
    return status_fail(layout->status, STATUS_RUNTIME,
                       "%s: holds %s/ and no train/, expected both, or a folder per class", layout->list->root,
                       part->name);
}

/* Handles folders beside train/: with test/ or val/ there, they are skipped; else it is not clear what is a class. */
static bool check_others(const struct layout *layout)
{
    bool clear = layout->parts[PICTURE_TEST] || layout->parts[PICTURE_VALIDATION];
    for (int64_t i = 0; i < layout->root.count; i++) {
        const struct folder_entry *entry = &layout->root.entries[i];
        if (!folder_entry_is_folder(entry) || part_of(entry->name, strlen(entry->name)) != PICTURE_PARTS) continue;
        if (clear) {
            picture_list_skip(layout->list, entry->name, false, "is a folder beside those of the sets");
            continue;
        }
        char *name = text_escape(entry->name);
        status_fail(layout->status, STATUS_RUNTIME,
                    "%s: holds %s/ with folders of its own, and %s/ beside it: expected train/, test/ and val/ alone, "
                    "or a folder per class",
                    layout->list->root, layout->parts[PICTURE_TRAIN]->name, name);
        free(name);
        return false;
    }
    return true;
}

/* Finds out which of the two forms the folder has. */
static bool find_layout(struct layout *layout)
{
    bool split = false;
    if (!find_parts(layout)) return false;
    const struct folder_entry *train = layout->parts[PICTURE_TRAIN];
    if (train && !has_folders(layout, train->name, &split)) return false;
    if (split) return check_others(layout);
    if (!check_no_part_alone(layout) || !check_train_is_there(layout)) return false;
    memset(layout->parts, 0, sizeof layout->parts);
    return true;
}

/* --- the classes --- */

static bool check_class_name(const struct layout *layout, const char *folder, const char *name)
{
    const char *problem;
    size_t size = strlen(name), bad = text_find_bad_name_byte(name, size, &problem);
    if (bad == size) return true;
    char *shown = text_escape(name);
    char *path = picture_list_path(layout->list, folder);
    status_fail(layout->status, STATUS_RUNTIME, "%s/%s: %s (byte 0x%02x) in the folder's name, expected a class name",
                path, shown, problem, (unsigned char)name[bad]);
    free(path);
    free(shown);
    return false;
}

static bool add_class(const struct layout *layout, const char *folder, const char *name)
{
    struct class_names *classes = &layout->list->classes;
    if (!check_class_name(layout, folder, name)) return false;
    if (classes->count == DATASET_CLASSES_MAX)
        return status_fail(layout->status, STATUS_RUNTIME, "%s: more than %d folders, expected at most so many classes",
                           layout->list->root, DATASET_CLASSES_MAX);
    if (!classes->name) classes->name = memory_alloc(DATASET_CLASSES_MAX, sizeof *classes->name);
    classes->name[classes->count++] = memory_copy_string(name);
    return true;
}

static bool fail_classes(const struct layout *layout, const char *folder)
{
    const struct class_names *classes = &layout->list->classes;
    char *path = picture_list_path(layout->list, folder);
    bool nested = false;
    if (classes->count == 1) {
        char *only = picture_name_join(folder, classes->name[0]);
        nested = has_folders(layout, only, &nested) && nested;
        free(only);
    }
    if (classes->count == 0)
        status_fail(layout->status, STATUS_RUNTIME, "%s: holds no folders, expected one for each class", path);
    else
        status_fail(layout->status, STATUS_RUNTIME,
                    "%s: one class only, the folder \"%s\", expected at least 2 folders%s%s%s%s", path,
                    classes->name[0], nested ? "; or data.path = " : "", nested ? path : "", nested ? "/" : "",
                    nested ? classes->name[0] : "");
    free(path);
    return false;
}

/* Takes the folders in the training set's folder as the classes. */
static bool find_classes(const struct layout *layout, const struct folder_listing *listing, const char *folder)
{
    for (int64_t i = 0; i < listing->count; i++)
        if (folder_entry_is_folder(&listing->entries[i]) && !add_class(layout, folder, listing->entries[i].name))
            return false;
    return layout->list->classes.count >= 2 || fail_classes(layout, folder);
}

static int compare_with_name(const void *name, const void *element)
{
    return strcmp(name, *(char *const *)element);
}

/* Returns the label of a class folder, or -1 after an error. */
static int64_t label_of(const struct layout *layout, const char *folder, const char *name)
{
    const struct class_names *classes = &layout->list->classes;
    char *const *found = bsearch(name, classes->name, (size_t)classes->count, sizeof *classes->name, compare_with_name);
    if (found) return found - classes->name;
    char *shown = text_escape(name);
    status_fail(layout->status, STATUS_RUNTIME, "%s/%s/%s: no such class in %s/%s, expected one of its %lld folders",
                layout->list->root, folder, shown, layout->list->root, layout->parts[PICTURE_TRAIN]->name,
                (long long)classes->count);
    free(shown);
    return -1;
}

/* --- the pictures --- */

/* Lists the pictures of one class in one part. `part_info` is that of the folder which holds the class's. */
static bool add_pictures(const struct layout *layout, const struct stat *part_info, const char *name,
                         const struct folder_entry *entry, int64_t label, enum picture_part part)
{
    struct folder_trail trail = {0};
    folder_trail_add(&trail, &layout->root_info);
    folder_trail_add(&trail, part_info);
    folder_trail_add(&trail, &entry->info);
    bool good = picture_walk(layout->list, name, (uint16_t)label, part, &trail, layout->status);
    folder_trail_free(&trail);
    return good;
}

static bool add_entry(const struct layout *layout, const struct stat *part_info, const char *folder,
                      const struct folder_entry *entry, enum picture_part part)
{
    bool stray = !folder_entry_is_folder(entry);
    char *name = picture_name_join(folder, entry->name);
    int64_t label = stray ? 0 : label_of(layout, folder, entry->name);
    if (stray) picture_walk_skip_stray(layout->list, name, entry);
    bool good = stray || (label >= 0 && add_pictures(layout, part_info, name, entry, label, part));
    free(name);
    return good;
}

/* Lists one part, which is `listing` of the folder of that name; "" is the root. */
static bool add_part(const struct layout *layout, const struct folder_listing *listing, const struct stat *info,
                     const char *folder, enum picture_part part)
{
    bool any = false;
    if (part == PICTURE_TRAIN && !find_classes(layout, listing, folder)) return false;
    for (int64_t i = 0; i < listing->count; i++) {
        any = any || folder_entry_is_folder(&listing->entries[i]);
        if (!add_entry(layout, info, folder, &listing->entries[i], part)) return false;
    }
    return any ||
           status_fail(layout->status, STATUS_RUNTIME, "%s/%s: holds no folder of a class, expected those of %s/%s",
                       layout->list->root, folder, layout->list->root, layout->parts[PICTURE_TRAIN]->name);
}

static bool add_part_folder(const struct layout *layout, enum picture_part part)
{
    struct folder_listing listing;
    const struct folder_entry *entry = layout->parts[part];
    if (!entry) return true;
    char *path = picture_list_path(layout->list, entry->name);
    bool good = folder_listing_read(&listing, path, layout->status);
    free(path);
    if (!good) return false;
    good = add_part(layout, &listing, &entry->info, entry->name, part);
    folder_listing_free(&listing);
    return good;
}

/* Notes the files that lie beside the folders of the sets. */
static void skip_strays(const struct layout *layout)
{
    for (int64_t i = 0; i < layout->root.count; i++)
        if (!folder_entry_is_folder(&layout->root.entries[i]))
            picture_walk_skip_stray(layout->list, layout->root.entries[i].name, &layout->root.entries[i]);
}

static bool add_all(struct layout *layout)
{
    if (!find_layout(layout)) return false;
    if (!layout->parts[PICTURE_TRAIN]) return add_part(layout, &layout->root, &layout->root_info, "", PICTURE_TRAIN);
    skip_strays(layout);
    for (int part = 0; part < PICTURE_PARTS; part++)
        if (!add_part_folder(layout, (enum picture_part)part)) return false;
    return true;
}

/* --- the data set --- */

/* Lists the pictures of a folder. After an error the list is empty. */
static bool list_folder(struct picture_list *list, const char *path, struct status *status)
{
    struct layout layout = {.list = list, .status = status};
    if (stat(path, &layout.root_info) != 0 || !S_ISDIR(layout.root_info.st_mode))
        return data_folder_fail(path, "pictures", "data.path names a folder with a folder per class", status);
    *list = picture_list_start(path);
    bool good = folder_listing_read(&layout.root, path, status) && add_all(&layout);
    folder_listing_free(&layout.root);
    if (good) picture_list_sort(list);
    if (!good) picture_list_free(list);
    return good;
}

bool picture_folder_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct picture_list list = {0};
    *dataset = (struct dataset){0};
    return list_folder(&list, source->path, status) && pictures_load(dataset, &list, source, status);
}

bool picture_folder_describe(struct dataset_description *description, const struct dataset_source *source,
                             struct status *status)
{
    struct picture_list list = {0};
    bool good = list_folder(&list, source->path, status) && pictures_describe(description, &list, source, status);
    picture_list_free(&list);
    return good;
}
