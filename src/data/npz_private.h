/* The parts of the reader of NPZ archives (npz_load.c). */
#ifndef DATA_NPZ_PRIVATE_H
#define DATA_NPZ_PRIVATE_H

#include "data/data_private.h"
#include "io/npy.h"

enum { NPZ_PIECE_SIZE = 1 << 16 }; /* bytes that npz_read hands on at once: a multiple of every element's size */
enum npz_set { NPZ_TRAIN, NPZ_VALIDATION, NPZ_TEST, NPZ_SETS };
enum npz_content { NPZ_IMAGES, NPZ_LABELS, NPZ_CONTENTS };

/* An array of the archive. */
struct npz_array {
    char *name;     /* "x_train"; NULL: the archive has no such array; owned */
    char *place;    /* "FILE: x_train", for messages; owned */
    uint64_t index; /* of its entry in the archive */
    int64_t start;  /* byte of the unpacked entry where the elements begin */
    struct npy_header header;
};

/* An open archive and the arrays of a data set in it. */
struct npz {
    const char *path; /* the caller's */
    void *archive;    /* libzip's zip_t */
    struct npz_array arrays[NPZ_SETS][NPZ_CONTENTS];
    char *unused; /* the names of all other arrays, with commas, or NULL; owned */
};

/* Opens an archive, finds its arrays by their names and reads their headers. Refuses two arrays for the same purpose,
 * images without labels and labels without images, an archive without a training set, entries that are packed by other
 * methods than deflate, and entries whose size differs from what the header of the array says. Close with npz_close;
 * after a failure there is nothing to close. */
bool npz_open(struct npz *npz, const char *path, struct status *status);
void npz_close(struct npz *npz);

/* Takes the elements of an array, piece by piece in the order of the file: `count` elements at `bytes`. */
typedef bool (*npz_take)(void *taker, uint8_t *bytes, int64_t count, struct status *status);

/* Reads an array's elements, checks that nothing follows them, and hands them to `take`. */
bool npz_read(const struct npz *npz, const struct npz_array *array, npz_take take, void *taker, struct status *status);

/* Returns the place of an element in the order of the file, "FILE: x_train.flat[5]", in a new string. */
char *npz_element(const struct npz_array *array, int64_t element);

/* The numbers that stand for a pixel of 255 in arrays of floats. */
enum npz_scale { NPZ_SCALE_UNKNOWN = 0, NPZ_SCALE_WHOLE = 1, NPZ_SCALE_255 = 255, NPZ_SCALE_256 = 256 };

/* Which axis of an array of images is which: see npz_layout_find. */
struct npz_layout {
    int64_t count, channels, height, width;
    int64_t stride[NPY_RANK_MAX]; /* of each axis, in pixels (N,C,H,W) */
};

/* Finds the order of the axes: (N,H,W), (N,H,W,C), (N,C,H,W) or those with N last, with C of 1 or 3 and as many images
 * as labels. Fails where none or more than one of them fits. */
bool npz_layout_find(struct npz_layout *layout, const struct npz_array *images, const struct npz_array *labels,
                     int64_t count, struct status *status);

/* Reads images into `pixels` (N,C,H,W), which are zero. Whole numbers are pixels; true is 255. Floats are 0..255, or
 * k/255, or k/256: the first one that is neither 0 nor 1 tells, or it was told by an array before (`scale`). */
bool npz_pixels_read(const struct npz *npz, const struct npz_array *images, const struct npz_layout *layout,
                     enum npz_scale *scale, uint8_t *pixels, struct status *status);
#endif
