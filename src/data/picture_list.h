/* The pictures of a data set before they are read: who finds them (a folder's classes, a table) makes a list, and
 * pictures.h loads it. */
#ifndef DATA_PICTURE_LIST_H
#define DATA_PICTURE_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "data/dataset.h"
#include "data_private.h"

enum picture_part { PICTURE_TRAIN, PICTURE_VALIDATION, PICTURE_TEST, PICTURE_PARTS };

struct picture {
    char *name; /* path from the list's root, with '/'; or an absolute path; owned */
    uint16_t label;
    enum picture_part part;
    int64_t size, changed_ns; /* of the file when it was listed: bytes, and the time of its last change (mtime) */
};

/* Each set's samples will have the order of the list. Zeroed: empty. */
struct picture_list {
    char *root;               /* owned */
    struct picture *pictures; /* (count) */
    int64_t count, capacity;
    struct class_names classes;
    struct skipped_file *skipped; /* (skipped_count): files that are no pictures or cannot be reached */
    int64_t skipped_count, skipped_capacity;
};

/* Starts a list of no pictures below a folder. */
struct picture_list picture_list_start(const char *root);

/* Appends a picture, and takes over its name. */
void picture_list_add(struct picture_list *list, struct picture picture);

/* Notes that a file is left out. `name` is a path from the root; `picture` tells whether its name says that it is a
 * picture: only these count for data.max_skipped. */
void picture_list_skip(struct picture_list *list, const char *name, bool picture, const char *reason);

/* Sorts the pictures by part, label and the bytes of their names. */
void picture_list_sort(struct picture_list *list);

/* Returns the path of a name of the list, to open it, in a new string; the name of the root is "". */
char *picture_list_path(const struct picture_list *list, const char *name);

/* Tells whether a file's name ends in .png, .jpg or .jpeg, in upper or lower case. */
bool picture_name_is_known(const char *name);

void picture_list_free(struct picture_list *list); /* leaves it empty; an empty one is allowed */

#endif
