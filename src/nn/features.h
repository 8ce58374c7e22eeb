/* The features of a convolutional network, as text and as a list: "16, (16, 16)+ x3, (32s2, 32)+ x3, G". */
#ifndef FEATURES_H
#define FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/shape.h"
#include "util/status.h"

enum feature_kind {
    FEATURE_CONV,
    FEATURE_MAX_POOL,
    FEATURE_AVERAGE_POOL,
    FEATURE_GLOBAL_POOL,
    FEATURE_WHITENING,
    FEATURE_EXCITATION
};

/* One convolution or pool: "128", "64k5s2p2", "64g64" (a convolution), "64M2" (a convolution and its pool), "M", "M2s2p0"
 * (max-pool), "A4" (average pool), "G", "W2" (a whitening convolution, the first entry alone), "S16"
 * (squeeze-and-excitation, right behind a convolution alone). A residual block, "(64s2, 64, S16)+ x3", is as many
 * features in a row, the first of which is a convolution and knows about it. */
struct feature {
    enum feature_kind kind;
    int64_t channels; /* FEATURE_CONV, and FEATURE_EXCITATION, which has those of its convolution */
    struct window window;
    int64_t groups;    /* FEATURE_CONV only */
    int64_t reduction; /* FEATURE_EXCITATION only: it divides the channels */
    int64_t block;     /* features of the residual block that begins here; 0: none begins */
    int64_t repeats;   /* blocks like this one, one after the other; 0 where none begins */
    struct {
        bool present; /* FEATURE_CONV only: a pool stands between the convolution and its block's layers */
        enum feature_kind kind;
        struct window window;
    } pool;
};

enum { FEATURES_SIZE = 64, FEATURES_WITH_REPEATS = 1024 };

struct feature_list {
    int64_t count;
    struct feature value[FEATURES_SIZE];
};

/* An entry of the text is one feature, or a residual block. Returns how many features the entry has that begins with
 * this one. */
int64_t features_entry_length(const struct feature *first);

/* Convolutions of the list, the whitening one among them and those of repeated blocks counted, and residual blocks. The
 * 1x1 convolutions that lead around blocks or make gates are not counted. */
struct feature_counts {
    int64_t convolutions, blocks;
};
struct feature_counts features_count(const struct feature_list *list);

/* Reads the text. The message of a problem reads "entry 3: expected ..., found ...". */
bool features_parse(const char *text, struct feature_list *list, struct status *problem);

/* Write the shortest text that features_parse reads back to the same list, and that of the entry that begins with
 * `first`; it is cut where it is longer than `size`. */
void features_format(const struct feature_list *list, char *text, size_t size);
void features_format_entry(const struct feature *first, char *text, size_t size);

/* The syntax, for the help. */
extern const char features_help[];

#endif
