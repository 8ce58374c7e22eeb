/* Labelled images in memory, and the readers for the formats on disk. Letters: C channels, H height, W width, R rows:
 * all images that lie in one piece of memory, of which a set may have some.
 *
 * The readers trust nothing: they check sizes before they take memory, and they check every label. An error
 * (STATUS_RUNTIME) names the file, the byte offset where one makes sense (in the unpacked data of a .gz file), the
 * found and the expected. After an error the dataset is empty and there is nothing to free. */
#ifndef DATASET_H
#define DATASET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "backend/backend.h"
#include "io/image.h"
#include "util/choice.h"
#include "util/status.h"

enum { DATASET_CLASSES_MAX = 65536 }; /* labels have 16 bits */

/* The formats of data sets. src/data/data_format.c has a row for each. */
#define DATASET_CHOICES(X)                                                                                             \
    X(DATASET_CIFAR10, "cifar10")                                                                                      \
    X(DATASET_CIFAR100, "cifar100")                                                                                    \
    X(DATASET_IDX, "idx")                                                                                              \
    X(DATASET_FOLDER, "folder")                                                                                        \
    X(DATASET_CSV, "csv")                                                                                              \
    X(DATASET_NPZ, "npz")                                                                                              \
    X(DATASET_PACK, "pack")                                                                                            \
    X(DATASET_SYNTHETIC, "synthetic")
enum dataset_kind { DATASET_CHOICES(CHOICE_ENUMERATOR) };
enum { DATASET_KINDS = DATASET_CHOICES(CHOICE_COUNT) };

const char *dataset_kind_name(enum dataset_kind kind);

/* Tells whether the readers of a format use the setting of that name (see struct dataset_source). */
bool dataset_kind_reads(enum dataset_kind kind, const char *setting);

/* The order of samples in the first epoch. */
#define FIRST_EPOCH_CHOICES(X) X(FIRST_EPOCH_FILE, "file") X(FIRST_EPOCH_SHUFFLED, "shuffled")
enum first_epoch { FIRST_EPOCH_CHOICES(CHOICE_ENUMERATOR) };

/* none: the pixel itself, 0..255; mean_image: pixel - the train set's mean image (C,H,W), without scaling;
 * unit: pixel / 255; channel: per channel, (pixel - the train set's mean) / its standard deviation. */
#define NORMALIZATION_CHOICES(X)                                                                                       \
    X(NORMALIZATION_NONE, "none")                                                                                      \
    X(NORMALIZATION_MEAN_IMAGE, "mean_image")                                                                          \
    X(NORMALIZATION_UNIT, "unit")                                                                                      \
    X(NORMALIZATION_CHANNEL, "channel")
enum normalization { NORMALIZATION_CHOICES(CHOICE_ENUMERATOR) };

/* A set of images. All memory belongs to the data set, and sets may share it. */
struct image_set {
    int64_t count;
    uint8_t *pixels;            /* (R,C,H,W); read-only where a file is mapped */
    uint16_t *labels;           /* (count), each < classes */
    const int32_t *rows;        /* (count): the row of each sample, in rising order; NULL: sample i has row i */
    const char *names;          /* the names of the rows' files, each ended by a zero; NULL where the format has none */
    const int64_t *name_places; /* (R): the place of a row's name in `names` */
    const uint8_t (*row_digests)[32]; /* (R): the SHA-256 of a row's pixels; NULL: not computed */
};

/* Returns the row of a sample. */
static inline int64_t image_set_row(const struct image_set *set, int64_t sample)
{
    return set->rows ? set->rows[sample] : sample;
}

/* Returns the pixels (C,H,W) of a sample; `size` is C*H*W. */
static inline uint8_t *image_set_pixels(const struct image_set *set, int64_t sample, int64_t size)
{
    return set->pixels + image_set_row(set, sample) * size;
}

/* Returns the name of a sample's file, or NULL where the format has none. */
static inline const char *image_set_name(const struct image_set *set, int64_t sample)
{
    return set->names ? set->names + set->name_places[image_set_row(set, sample)] : NULL;
}

/* The identity of a set of images: the SHA-256 of its pixels, or of its row digests where it has them, and that of its
 * labels. Labels are taken as bytes where there are at most 256 classes, else as 16 bits with the low byte first. The
 * texts are empty where count is 0. */
enum { DIGEST_DIGITS = 64 };
struct image_digest {
    int64_t count;
    char images[DIGEST_DIGITS + 1], labels[DIGEST_DIGITS + 1]; /* hexadecimal digits of a SHA-256 */
};
struct dataset_digest {
    struct image_digest train, validation, test;
};

/* A file of the data set that could not be read, and why. */
struct skipped_file {
    char *path, *reason; /* owned */
    bool picture;        /* its name says that it is a picture; only these count for data.max_skipped */
};

/* The outermost pixels of images, on all four sides and in all channels: which background the images have. */
struct image_border {
    bool known;             /* false: an older checkpoint does not tell */
    double mean, deviation; /* 0..255; the deviation is the biased one */
};

/* The background that a border shows. Dark: the mean is below 64. Light: it is above 191. Either only where the
 * deviation is below 64; any other background is mixed, as that of most photographs. */
enum image_background { BACKGROUND_MIXED, BACKGROUND_DARK, BACKGROUND_LIGHT };
enum image_background image_border_background(struct image_border border);

/* Measures the border of one image (C,H,W). */
struct image_border image_border_measure(const uint8_t *pixels, int64_t channels, int64_t height, int64_t width);

/* A piece of memory that belongs to a data set. */
struct dataset_memory {
    void *address;
    size_t mapped; /* bytes, where a file is mapped; 0: it comes from malloc */
};

struct dataset {
    int64_t channels, height, width;
    int64_t classes;
    char **class_names;                       /* (classes) or NULL where the format has none; owned */
    struct image_set train, validation, test; /* validation and test may be empty: count 0 */
    float *offset;                            /* (C,H,W): see struct dataset_view; owned */
    float *scale;                             /* (C); owned */
    struct image_border border;               /* of the train set, or of 4096 of its images, evenly spread */
    struct dataset_digest digest;             /* dataset_load computes it; else all counts are 0 */
    struct skipped_file *skipped;             /* (skipped_count) in the order of their paths; owned */
    int64_t skipped_count;
    struct dataset_memory *memory; /* (memory_count); owned */
    int memory_count;
};

/* What is known of a data set before its images are loaded. */
struct dataset_description {
    int64_t channels, height, width, classes;
};

/* Describes a data set that is loaded. */
struct dataset_description dataset_description_of(const struct dataset *dataset);

/* Is told how far the reading of many files is: `done` of `count` are at the state that `what` names. */
struct dataset_watch {
    void (*show)(void *context, const char *what, int64_t done, int64_t count);
    void *context;
};

/* The settings of the readers, by the keys of a config that say the same. All but the path may be zero. All texts are
 * borrowed. */
struct dataset_source {
    const char *path;        /* data.path */
    const char *class_names; /* data.class_names: "auto", "" or NULL, a list with commas, or the path of a file */
    int64_t classes;         /* data.classes; 0: the names tell the number, else the labels of the train set */
    int64_t first_label;     /* data.first_label: the label of class 0 in the files */
    uint64_t seed;           /* experiment.seed: it draws the test set of data.test_size, and the synthetic set */
    bool transpose;          /* data.transpose */
    bool coarse_labels;      /* data.labels = coarse */
    bool labels_only;        /* leave the pixels NULL: dataset_describe needs labels and sizes */
    struct {
        int64_t train, test, classes, channels, size; /* data.synthetic_* */
    } synthetic;
    struct {
        int64_t height, width; /* data.image_size; 0: not said */
        int64_t channels;      /* data.channels; 0: auto */
        enum image_fit fit;    /* data.resize */
        uint8_t background[3]; /* data.background: red, green, blue */
        double max_skipped;    /* data.max_skipped: the largest share of pictures that may be left out */
        int64_t test_size;     /* data.test_size */
        bool cache;            /* data.cache */
        const char *folder;    /* data.images: the folder of a table's pictures, or "auto" */
        const char *image_column, *label_column; /* of data; NULL: auto */
    } pictures;
    const struct dataset_watch *watch; /* NULL: none */
};

/* A data set to load. */
struct dataset_spec {
    enum dataset_kind kind; /* data.dataset */
    struct dataset_source source;
    int64_t validation_size;          /* data.validation_size: training samples held out; 0: none */
    enum normalization normalization; /* data.normalization */
};

/* Loads a data set, and transposes every image where the source says so. Moves source.pictures.test_size training
 * samples to the test set and validation_size more to the validation set, and computes offset, scale and border from the
 * remaining train set. The held-out samples are drawn at random in each class, in proportion to the class (largest
 * remainder). Seed and labels alone determine them, and both parts keep the order of the files. The data set must have
 * at least 2 classes (else STATUS_RUNTIME). Each of the two sizes must be less than the train set, and 0 where the files
 * have such a set themselves (else STATUS_USAGE). An error in a setting is STATUS_USAGE, and its message begins with
 * the key: "data.test_size: ...". Free with dataset_free.
 *   none        offset 0, scale 1
 *   mean_image  offset: the mean of each pixel (C,H,W), scale 1
 *   unit        offset 0, scale 1/255
 *   channel     offset: the mean of the channel, scale 1 / its standard deviation (biased; 1 where it is 0) */
bool dataset_load(struct dataset *dataset, const struct dataset_spec *spec, struct status *status);

/* The same without a validation set that is drawn, and without offset, scale and border. */
bool dataset_load_files(struct dataset *dataset, const struct dataset_spec *spec, struct status *status);

/* Finds the size of the images and the number of classes, without loading more than it must. Errors are those of
 * dataset_load. */
bool dataset_describe(struct dataset_description *description, const struct dataset_spec *spec, struct status *status);

/* Describes a data set whose files are missing or damaged from its format and its settings alone: the images of CIFAR-10
 * and CIFAR-100 always have 3x32x32; of another format data.image_size and data.channels tell it, and data.classes or
 * data.class_names. Fails (STATUS_USAGE) with the key that would be needed. */
bool dataset_assume(struct dataset_description *description, const struct dataset_spec *spec, struct status *status);

void dataset_free(struct dataset *dataset); /* leaves it empty; an empty one is allowed */

/* Return the first difference between two data sets (two sets) in words, in a new string, or NULL: they are the same.
 * The words name the set, and whether its number, its images or its labels differ. `name` is "training", "validation"
 * or "test". */
char *dataset_digest_difference(const struct dataset_digest *before, const struct dataset_digest *now);
char *image_digest_difference(const struct image_digest *before, const struct image_digest *now, const char *name);

/* Tells whether the pixels of a set, which may be empty, lie in a file that is mapped. */
bool image_set_is_mapped(const struct dataset *dataset, const struct image_set *set);

/* Returns a view of one of the data set's sets, for a backend to upload. */
struct dataset_view dataset_view(const struct dataset *dataset, const struct image_set *set);

/* The loaders below fill sizes, classes and the train and test sets; offset and scale stay NULL.
 *
 * Where only the labels tell the number of classes (the largest label + 1), a damaged byte could make a class. So the
 * loaders then refuse a label that leaves a gap below it, and a largest label that occurs once while every other one
 * occurs at least ten times. They refuse a label of the test set that is larger than those of the train set. An error
 * in a setting is STATUS_USAGE, and its message begins with the key: "data.class_names: ...".
 *
 * CIFAR-10 binary version: folder/data_batch_1..5.bin, test_batch.bin (optional: without it the test set is empty),
 * batches.meta.txt (optional: class names, any number of them).
 * Records of 3073 bytes: label, then red, green, blue planes of 32x32, row-major. 1 to 10,000 records per file.
 * Also finds the files in folder/cifar-10-batches-bin. */
bool cifar10_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* CIFAR-100 binary version: folder/train.bin, test.bin (optional), and with names fine_label_names.txt or, with
 * source->coarse_labels, coarse_label_names.txt (optional). Records of 3074 bytes: the coarse and the fine label, then
 * the pixels as CIFAR-10's. 1 to 100,000 records per file. Also finds the files in folder/cifar-100-binary. */
bool cifar100_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* IDX (MNIST, Fashion-MNIST, EMNIST): train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-...,
 * t10k-labels-..., each also with ".idx3" for "-idx3", and plain or packed with gzip. Without the last two the test set
 * is empty. Images have 3 dimensions (N,H,W), or 4 with colours: (N,C,H,W) or (N,H,W,C), told by the side that is 1 or
 * 3. Labels are bytes, or integers of 16 or 32 bits. The path is a folder that holds the files, itself or in raw/, gzip/, MNIST/raw/ and the like. Or it is the
 * beginning of the files' paths: folder/emnist-letters. */
bool idx_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* A table of text, CSV and the like, whose rows name pictures and their labels, or hold the pixels of grey images. The
 * path is the table's. docs/data.md says how columns and pictures are found. The samples have the order of the rows.
 * Errors in the text name line and column. */
bool csv_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* NPZ, the archives of numpy.savez and numpy.savez_compressed: arrays train_images and train_labels (MedMNIST), or
 * x_train and y_train (Keras), or X and y. With val_ or valid_ or validation_, and with test_, they are the other sets,
 * which may be left out. The path is the archive's. Axes of images: (N,H,W), (N,H,W,C), (N,C,H,W) or those with N last;
 * C is 1 or 3, and what can be read in two ways is refused. Elements: whole numbers of 0..255 of any integer dtype;
 * truth values (true: 255); floats that are whole numbers of 0..255, or k/255, or k/256. Labels: (N), (N,1), of any
 * numeric dtype, or (N, classes) with a single 1 in each row. Arrays of Python objects are never read. */
bool npz_load(struct dataset *dataset, const struct dataset_source *source, struct status *status);

/* Makes a seeded data set of source->synthetic for tests. Each class has a smooth random image of its own, a sample is its class's image
 * plus noise, and sample i belongs to class i mod classes. test may be 0. */
void synthetic_make(struct dataset *dataset, int64_t train, int64_t test, int64_t classes, int64_t channels,
                    int64_t size, uint64_t seed);

/* Makes a data set of images (1,C,H,W) of independent random pixels, normalised, for measuring speed without files.
 * Sample i belongs to class i mod classes. Free with dataset_free. */
void dataset_noise(struct dataset *dataset, struct shape image, int64_t classes, int64_t train, int64_t test,
                   enum normalization normalization, uint64_t seed);

/* Fills `order` (`count` elements) with the order of samples in an epoch (0 is the first): a random permutation that
 * seed and epoch alone determine. With FIRST_EPOCH_FILE the first epoch has the order of the files. */
void epoch_order(int32_t *order, int32_t count, enum first_epoch first, uint64_t seed, int64_t epoch);

/* Warns in a line (warning_print) of pictures that could not be read, for figures that are printed without a head. */
void dataset_warn_of_skipped(const struct dataset *dataset);

/* Prints warnings that concern the run's figures: files that were left out, a class without an image in one of the sets,
 * images of a held-out set that are in the training set too, and batches of one class in a first epoch that goes in
 * file order. Prints nothing where none of these occurs. */
void dataset_print_notes(const struct dataset *dataset, enum first_epoch first, int64_t batch_size, FILE *out);

#endif
