/* Finds pictures (picture_walk.h). Nothing depends on the order in which a file system lists its entries: they are
 * sorted before any is looked at. No file is opened, so a pipe or a device holds up nothing. */
#include "picture_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

enum { DEPTH_MAX = 64 }; /* folders within each other */

/* --- listing --- */

static bool is_passed_over(const char *name)
{
    static const char *const names[] = {"Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    return *name == '.';
}

static void add_entry(struct folder_listing *listing, int folder, const char *name)
{
    enum { FIRST = 64 };
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity > 0 ? listing->capacity * 2 : FIRST;
        listing->entries = memory_resize(listing->entries, (size_t)listing->capacity, sizeof *listing->entries);
    }
    struct folder_entry *entry = &listing->entries[listing->count++];
    *entry = (struct folder_entry){.name = memory_copy_string(name)};
    if (fstatat(folder, name, &entry->info, 0) != 0) entry->error = errno;
}

static int compare_entries(const void *a, const void *b)
{
    const struct folder_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static bool fail_read(const char *path, int cause, struct status *status)
{
    char *shown = text_escape(path);
    status_fail(status, STATUS_RUNTIME, "%s: cannot read the folder: %s", shown, strerror(cause));
    free(shown);
    return false;
}

bool folder_listing_read(struct folder_listing *listing, const char *path, struct status *status)
{
    *listing = (struct folder_listing){0};
    DIR *folder = opendir(path);
    if (!folder) return fail_read(path, errno, status);
    int cause;
    for (const struct dirent *entry; errno = 0, entry = readdir(folder), cause = errno, entry;)
        if (!is_passed_over(entry->d_name)) add_entry(listing, dirfd(folder), entry->d_name);
    closedir(folder);
    if (listing->count > 1) qsort(listing->entries, (size_t)listing->count, sizeof *listing->entries, compare_entries);
    if (cause == 0) return true;
    folder_listing_free(listing);
    return fail_read(path, cause, status);
}

void folder_listing_free(struct folder_listing *listing)
{
    for (int64_t i = 0; i < listing->count; i++) free(listing->entries[i].name);
    free(listing->entries);
    *listing = (struct folder_listing){0};
}

bool folder_entry_is_folder(const struct folder_entry *entry)
{
    return entry->error == 0 && S_ISDIR(entry->info.st_mode);
}

char *picture_name_join(const char *folder, const char *name)
{
    return *folder ? memory_format("%s/%s", folder, name) : memory_copy_string(name);
}

/* --- the trail --- */

struct identity {
    dev_t device;
    ino_t number;
};

static int compare_identities(const void *a, const void *b)
{
    const struct identity *left = a, *right = b;
    if (left->device != right->device) return left->device < right->device ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

bool folder_trail_add(struct folder_trail *trail, const struct stat *info)
{
    struct identity *identity = memory_alloc(1, sizeof *identity);
    *identity = (struct identity){info->st_dev, info->st_ino};
    struct identity *const *found = tsearch(identity, &trail->tree, compare_identities);
    bool added = found && *found == identity;
    if (!added) free(identity);
    return added;
}

void folder_trail_free(struct folder_trail *trail)
{
    while (trail->tree) {
        struct identity *identity = *(struct identity **)trail->tree;
        tdelete(identity, &trail->tree, compare_identities);
        free(identity);
    }
}

/* --- walking --- */

struct walk {
    struct picture_list *list;
    uint16_t label;
    enum picture_part part;
    struct folder_trail *trail;
};

/* Returns the reason why an entry other than a file or folder is left out. */
static const char *kind_reason(mode_t mode)
{
    return S_ISFIFO(mode)                   ? "is a pipe, expected a file"
           : S_ISSOCK(mode)                 ? "is a socket, expected a file"
           : S_ISBLK(mode) || S_ISCHR(mode) ? "is a device, expected a file"
                                            : "is not a regular file";
}

static void skip_unreachable(struct picture_list *list, const char *name, int cause)
{
    char *reason = memory_format("cannot be reached: %s", strerror(cause));
    picture_list_skip(list, name, picture_name_is_known(name), reason);
    free(reason);
}

static void add_file(const struct walk *walk, const char *name, const struct folder_entry *entry)
{
    const struct stat *info = &entry->info;
    struct picture picture = {.label = walk->label, .part = walk->part, .size = info->st_size};
    picture.name = memory_copy_string(name);
    picture.changed_ns = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
    picture_list_add(walk->list, picture);
}

static void walk_below(const struct walk *walk, const char *name, const struct folder_entry *entry, int depth);

static void walk_entry(const struct walk *walk, const char *name, const struct folder_entry *entry, int depth)
{
    bool known = picture_name_is_known(name);
    if (entry->error != 0)
        skip_unreachable(walk->list, name, entry->error);
    else if (S_ISDIR(entry->info.st_mode))
        walk_below(walk, name, entry, depth);
    else if (!S_ISREG(entry->info.st_mode))
        picture_list_skip(walk->list, name, known, kind_reason(entry->info.st_mode));
    else if (known)
        add_file(walk, name, entry);
    else
        picture_list_skip(walk->list, name, false, "not a .png, .jpg or .jpeg file");
}

static bool walk_folder(const struct walk *walk, const char *name, int depth, struct status *status)
{
    struct folder_listing listing;
    char *path = picture_list_path(walk->list, name);
    bool good = folder_listing_read(&listing, path, status);
    free(path);
    if (!good) return false;
    for (int64_t i = 0; i < listing.count; i++) {
        char *below = picture_name_join(name, listing.entries[i].name);
        walk_entry(walk, below, &listing.entries[i], depth);
        free(below);
    }
    folder_listing_free(&listing);
    return true;
}

/* Walks a folder within a class. One that cannot be read counts as a picture that cannot be read: it may hold some. */
static void walk_below(const struct walk *walk, const char *name, const struct folder_entry *entry, int depth)
{
    struct status problem;
    if (depth == DEPTH_MAX)
        picture_list_skip(walk->list, name, true, "too many folders within each other");
    else if (!folder_trail_add(walk->trail, &entry->info))
        picture_list_skip(walk->list, name, false, "leads to a folder that has been read already");
    else if (!walk_folder(walk, name, depth + 1, &problem))
        picture_list_skip(walk->list, name, true, strstr(problem.message, "cannot read the folder"));
}

bool picture_walk(struct picture_list *list, const char *name, uint16_t label, enum picture_part part,
                  struct folder_trail *trail, struct status *status)
{
    const struct walk walk = {list, label, part, trail};
    return walk_folder(&walk, name, 0, status);
}

void picture_walk_skip_stray(struct picture_list *list, const char *name, const struct folder_entry *entry)
{
    bool known = picture_name_is_known(name);
    if (entry->error != 0)
        skip_unreachable(list, name, entry->error);
    else
        picture_list_skip(list, name, known, known ? "lies in no folder of a class" : "not a .png, .jpg or .jpeg file");
}
