/* Decodes the pictures of a list with all cores. Letters: C channels, H height, W width. */
#ifndef DATA_PICTURE_DECODE_H
#define DATA_PICTURE_DECODE_H

#include "io/image.h"
#include "pack.h"
#include "picture_list.h"

/* A picture whose pixels are known, because its file has not changed since it was read. */
struct picture_known {
    const uint8_t *pixels; /* NULL: not known */
    const uint8_t *digest; /* their SHA-256; pixels that differ from it are read again */
};

/* Results in the order of the list; all memory is the caller's. */
struct picture_decode {
    const struct picture_list *list;
    struct image_format format;
    uint8_t *pixels;        /* (count,C,H,W), or NULL: they go to `writer` */
    uint8_t (*digests)[32]; /* (count): the SHA-256 of each picture's pixels */
    char **reasons;         /* (count) NULL where a picture was read, else the reason against it; its strings are new */
    const struct dataset_watch *watch; /* NULL: nobody */
    const struct pack_writer *writer;
    const struct picture_known *known; /* (count); NULL: none is known */
};

/* Decodes all pictures. What is odd and harmless in JPEG files is told in one line for all of them. Fails (STATUS_RUNTIME)
 * where pixels cannot be written, as on a full disk; without a writer it cannot fail. */
bool picture_decode(const struct picture_decode *decode, struct status *status);

/* Returns the message of a status on a file without the path in front, in a new string. */
char *picture_reason(const struct status *problem, const char *path);

/* Tells a watch that `done` of `count` pictures are at the state that `what` names. */
void picture_watch(const struct dataset_watch *watch, const char *what, int64_t done, int64_t count);

#endif
