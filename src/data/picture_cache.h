/* The cache of decoded pictures: a packed file (pack.h) for each folder or table and each way to make its pictures, in
 * $XDG_CACHE_HOME/trainer, or ~/.cache/trainer. Its rows are the pictures of a list, in the list's order, with the sizes
 * and times of their files. It may be deleted at any time. Letters: C channels, H height, W width. */
#ifndef DATA_PICTURE_CACHE_H
#define DATA_PICTURE_CACHE_H

#include "io/image.h"
#include "pack.h"
#include "picture_list.h"

/* The pictures of a list, as rows. */
struct picture_rows {
    struct image_format format;
    const uint8_t *pixels;        /* (count,C,H,W); the data set's */
    const uint8_t (*digests)[32]; /* (count); the data set's */
    char **reasons;               /* (count): why a picture could not be read, or NULL: it was; new strings */
};

/* Gives the rows of the list from the cache, where each picture is there as it was listed. Otherwise decodes what is new or
 * changed, and writes the file. Two processes do not decode the same: the second one waits. `rows` has reasons of NULL.
 *
 * Returns PICTURE_CACHE_NONE where there is no place for the cache, or it cannot be written. A line on the standard error
 * says why; `reason` holds it too. */
enum picture_cache_result { PICTURE_CACHE_GOOD, PICTURE_CACHE_NONE, PICTURE_CACHE_FAILED };
enum picture_cache_result picture_cache_read(struct dataset *dataset, struct picture_rows *rows,
                                             const struct picture_list *list, const struct dataset_source *source,
                                             struct status *reason);

/* --- the place: picture_cache_place.c --- */

/* Returns the path of the cache's file, in a new string, and makes its folder; NULL with the reason in status. */
char *picture_cache_path(const struct dataset_source *source, struct status *status);

/* Locks the file for one writer, and removes what killed ones left beside it. Waits, with a line, while another process has
 * the lock. Returns the descriptor to close, or -1: this file system knows no locks. */
int picture_cache_lock(const char *path);

/* --- the comparison: picture_cache_match.c --- */

struct picture_changes {
    int64_t changed, added, removed; /* pictures */
};

/* Tells whether the file holds the pictures of the list as they are now. Where it does not, tells the difference, and
 * where the pictures that are the same lie in the file: row found[i] for picture i, or -1. */
bool picture_cache_match(const struct pack *pack, const struct picture_list *list, int64_t *found,
                         struct picture_changes *changes);

#endif
