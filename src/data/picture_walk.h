/* Lists folders, and finds the pictures in one. */
#ifndef DATA_PICTURE_WALK_H
#define DATA_PICTURE_WALK_H

#include <sys/stat.h>

#include "picture_list.h"

struct folder_entry {
    char *name; /* owned */
    int error;  /* of stat, which follows links; 0: `info` holds */
    struct stat info;
};

/* The entries of a folder, sorted by the bytes of their names. Hidden ones and those that file managers and
 * archives leave (Thumbs.db, desktop.ini, __MACOSX, @eaDir) are not among them. */
struct folder_listing {
    struct folder_entry *entries; /* (count) */
    int64_t count, capacity;
};

/* Reads a folder. Fails (STATUS_RUNTIME) with path and cause. Free with folder_listing_free. */
bool folder_listing_read(struct folder_listing *listing, const char *path, struct status *status);
void folder_listing_free(struct folder_listing *listing);

bool folder_entry_is_folder(const struct folder_entry *entry);

/* Joins a path within a list and a name, in a new string; the path may be "". */
char *picture_name_join(const char *folder, const char *name);

/* The folders that a walk has been in, so that links in a circle end. */
struct folder_trail {
    void *tree;
};

/* Notes a folder; false where the trail has it already. */
bool folder_trail_add(struct folder_trail *trail, const struct stat *info);
void folder_trail_free(struct folder_trail *trail);

/* Adds the pictures of a folder and of all folders below it to a list, as pictures of one class and part. `name` is the
 * folder's path from the list's root. What is no picture, or cannot be reached, is a file that the list skips. Fails
 * where the folder itself cannot be read. */
bool picture_walk(struct picture_list *list, const char *name, uint16_t label, enum picture_part part,
                  struct folder_trail *trail, struct status *status);

/* Skips a file beside the folders of classes. */
void picture_walk_skip_stray(struct picture_list *list, const char *name, const struct folder_entry *entry);

#endif
