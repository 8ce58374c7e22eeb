/* Labelled images in memory, and the readers for the formats on disk. Letters: C channels, H height, W width.
 *
 * The readers trust nothing: sizes are checked before memory is taken, every label is checked, and an error
 * (STATUS_RUNTIME) names the file, the byte offset where one makes sense (in the unpacked data of a .gz file), what was
 * found and what was expected. After an error the dataset is empty and there is nothing to free. */
#ifndef TRAINER_DATASET_H
#define TRAINER_DATASET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/backend.h"
#include "trainer/experiment.h"
#include "trainer/status.h"

struct image_set {
    int64_t count;
    uint8_t *pixels; /* (count,C,H,W); owned */
    uint8_t *labels; /* (count), each < classes; owned */
};

/* What a set of images is known by: empty texts where count is 0. */
enum { DIGEST_DIGITS = 64 };
struct image_digest {
    int64_t count;
    char images[DIGEST_DIGITS + 1], labels[DIGEST_DIGITS + 1]; /* hexadecimal digits of the SHA-256 of all its bytes */
};
struct dataset_digest {
    struct image_digest train, validation, test;
};

struct dataset {
    int64_t channels, height, width;
    int64_t classes;
    char **class_names;                       /* (classes) or NULL where the format has none; owned */
    struct image_set train, validation, test; /* validation and test may be empty: count 0 */
    float *offset;                            /* (C,H,W): see struct dataset_view; owned */
    float *scale;                             /* (C); owned */
    struct dataset_digest digest;             /* dataset_load computes it; else all counts are 0 */
};

/* Loads what the experiment's [data] section names, every image transposed where it says so: splits off validation_size training samples, and computes offset and
 * scale from the remaining train set. The held-out samples are drawn at random in each class, as many as its share of
 * the train set (largest remainder); seed and labels alone determine them, and both parts keep the order of the files. At least 2 classes, and validation_size less than the train set (else
 * STATUS_USAGE). Free with dataset_free.
 *   none        offset 0, scale 1
 *   mean_image  offset: the mean of each pixel (C,H,W), scale 1
 *   unit        offset 0, scale 1/255
 *   channel     offset: the mean of the channel, scale 1 / its standard deviation (biased; 1 where it is 0) */
bool dataset_load(struct dataset *dataset, const struct experiment *experiment, struct status *status);
/* The same without a validation set, offset and scale. */
bool dataset_load_files(struct dataset *dataset, const struct experiment *experiment, struct status *status);

/* How many classes the [data] section itself tells, by names or a number; 0: none. */
bool dataset_classes_said(const struct experiment *experiment, int64_t *classes, struct status *status);

void dataset_free(struct dataset *dataset); /* leaves it empty; an empty one is allowed */

/* The difference between two data sets (two sets) in words, in a new string: which of number, images and labels is
 * another one, and of which set. NULL where there is none. `name` is "training", "validation" or "test". */
char *dataset_digest_difference(const struct dataset_digest *before, const struct dataset_digest *now);
char *image_digest_difference(const struct image_digest *before, const struct image_digest *now, const char *name);

/* The view of one of its sets that a backend uploads. */
struct dataset_view dataset_view(const struct dataset *dataset, const struct image_set *set);

/* What a reader is told beside the files. All zeros but the path: nothing. */
struct dataset_source {
    const char *path;        /* data.path */
    const char *class_names; /* data.class_names: "auto", "" or NULL, a list with commas, or the path of a file */
    int64_t classes;         /* data.classes: 0: told by the names, else by the labels of the train set */
    int64_t first_label;     /* data.first_label: the label in the files of class 0 */
};

/* The three loaders below fill sizes, classes and the train and test sets; offset and scale stay NULL.
 *
 * Where only the labels tell how many classes there are (the largest label + 1), a label that leaves a gap below it is
 * refused, and so is a largest label that occurs once among others that each occur ten times: a damaged byte. No label of
 * the test set is larger than those of the train set. An error in what the source says itself is STATUS_USAGE, and its
 * message begins with the key: "data.class_names: ...".
 *
 * CIFAR-10 binary version: folder/data_batch_1..5.bin, test_batch.bin (optional: without it the test set is empty),
 * batches.meta.txt (optional: class names, any number of them).
 * Records of 3073 bytes: label, then red, green, blue planes of 32x32, row-major. 1 to 10,000 records per file.
 * Also finds the files in folder/cifar-10-batches-bin. */
bool cifar10_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* IDX (MNIST, Fashion-MNIST, EMNIST): train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-..., t10k-labels-...,
 * each also with ".idx3" for "-idx3", and plain or packed with gzip. Without the last two the test set is empty. The path
 * is the folder that holds the files, or raw/, gzip/ or MNIST/raw/ and the like in it, or what the names of the files
 * begin with: folder/emnist-letters. */
bool idx_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* A seeded set for tests: each class has a smooth random image of its own, a sample is its class's image plus noise,
 * and sample i is of class i mod classes. At most 256 classes; test may be 0. */
void synthetic_load(struct dataset *dataset, int64_t train, int64_t test, int64_t classes, int64_t channels,
                    int64_t size, uint64_t seed);

/* Images (1,C,H,W) of independent random pixels, normalised, sample i of class i mod classes: for measuring speed on data
 * of any size that need not be there. At most 256 classes. Free with dataset_free. */
void dataset_noise(struct dataset *dataset, struct shape image, int64_t classes, int64_t train, int64_t test,
                   enum normalization normalization, uint64_t seed);

/* The order of epoch e (0 is the first): a fresh random permutation that (seed, e) alone determines; with
 * FIRST_EPOCH_FILE the first epoch has the order of the files. order has `count` elements. */
void epoch_order(int32_t *order, int32_t count, enum first_epoch first, uint64_t seed, int64_t epoch);

/* Lines on what a reader of the run's figures should know of its data: a class without an image in one of the sets, and
 * batches of one class in a first epoch that goes in file order. Nothing where all is well. */
void dataset_print_notes(const struct dataset *dataset, const struct experiment *experiment, FILE *out);

#endif
