/* The typed and checked form of a config file, the only one that the rest of the program sees. The table in
 * src/config/experiment_keys.c describes every key: section, name, type, default, range, one line of help. */
#ifndef EXPERIMENT_H
#define EXPERIMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "backend/backend.h"
#include "data/dataset.h"
#include "io/image.h"
#include "nn/model.h"
#include "optim/schedule.h"
#include "util/choice.h"
#include "util/int_list.h"
#include "util/status.h"

enum {
    EXPERIMENT_NAME_SIZE = 256,  /* the longest name of a file or folder (NAME_MAX), and its zero */
    EXPERIMENT_TEXT_SIZE = 4096, /* the longest path (PATH_MAX), with its zero */
    EXPERIMENT_CLASSES_MAX = 256,
};

/* The enums of a config with the names of their values (choice.h). A list's order is that of the help. */

#define DATA_CHANNELS_CHOICES(X) X(DATA_CHANNELS_AUTO, "auto") X(DATA_CHANNELS_GREY, "1") X(DATA_CHANNELS_COLOUR, "3")
enum data_channels { DATA_CHANNELS_CHOICES(CHOICE_ENUMERATOR) };

/* The label of an image that is learnt. */
#define DATA_LABELS_CHOICES(X) X(DATA_LABELS_FINE, "fine") X(DATA_LABELS_COARSE, "coarse")
enum data_labels { DATA_LABELS_CHOICES(CHOICE_ENUMERATOR) };

#define CHECKPOINT_BEST_CHOICES(X)                                                                                     \
    X(CHECKPOINT_BEST_AUTO, "auto")                                                                                    \
    X(CHECKPOINT_BEST_BY_VALIDATION, "validation")                                                                     \
    X(CHECKPOINT_BEST_BY_TEST, "test")
enum checkpoint_best { CHECKPOINT_BEST_CHOICES(CHOICE_ENUMERATOR) };

/* How much of the training set an evaluation covers, where no number says it: all of it; or nothing, and the figures
 * are running means over the batches since the last evaluation. The words stand for -1, -2 and so on. */
#define EVAL_TRAIN_CHOICES(X) X(EVAL_TRAIN_ALL, "all") X(EVAL_TRAIN_OFF, "off")
#define EVAL_TRAIN_PLACE(enumerator, name) enumerator##_PLACE,
#define EVAL_TRAIN_VALUE(enumerator, name) enumerator = -1 - enumerator##_PLACE,
enum { EVAL_TRAIN_CHOICES(EVAL_TRAIN_PLACE) };
enum eval_train { EVAL_TRAIN_CHOICES(EVAL_TRAIN_VALUE) };
#undef EVAL_TRAIN_PLACE
#undef EVAL_TRAIN_VALUE

/* The width and height of an image; 0 and 0: not said. */
struct image_size {
    int64_t width, height;
};

/* train.class_weights: the weight of a class's samples in training's loss. */
#define CLASS_WEIGHTS_CHOICES(X) X(CLASS_WEIGHTS_NONE, "none") X(CLASS_WEIGHTS_BALANCED, "balanced")
enum class_weighting { CLASS_WEIGHTS_CHOICES(CHOICE_ENUMERATOR) CLASS_WEIGHTS_LISTED };
struct class_weights {
    enum class_weighting kind;
    int64_t count; /* CLASS_WEIGHTS_LISTED only */
    double value[EXPERIMENT_CLASSES_MAX];
};

/* Which training images are mirrored. alternating: each in every second epoch, half of them in the first one. */
#define FLIP_CHOICES(X) X(FLIP_FALSE, "false") X(FLIP_TRUE, "true") X(FLIP_ALTERNATING, "alternating")
enum flip { FLIP_CHOICES(CHOICE_ENUMERATOR) };

/* The source of a key's value: a line of the file, --set on the command line, or the default. */
struct key_origin {
    const char *file; /* owned by the experiment; NULL for a default; "--set" for the command line */
    int line;         /* line of the file, or number of the --set, from 1; 0 for a default */
};

struct experiment {
    struct {
        /* The default is the file's name without folder and ending, in a valid form (config/experiment_name.h). */
        char name[EXPERIMENT_NAME_SIZE];
        int64_t seed;
    } experiment;
    struct {
        enum dataset_kind dataset;
        char path[EXPERIMENT_TEXT_SIZE]; /* the folder that holds the files, as given: relative to the current folder */
        char class_names[EXPERIMENT_TEXT_SIZE]; /* "auto", or a list with commas, or the path of a file */
        int64_t classes;                        /* 0: the names tell the number, else the labels */
        int64_t first_label;                    /* the label of class 0 in the files */
        enum data_labels labels;
        bool transpose; /* images are stored column by column */
        enum normalization normalization;
        enum first_epoch first_epoch;
        int64_t validation_size; /* samples of the train set held out; 0: none */
        struct image_size image_size;
        enum data_channels channels;
        enum image_fit resize;
        struct int_list background; /* one grey value, or red, green, blue */
        double max_skipped;         /* largest share of the pictures that may be left out */
        int64_t test_size;          /* pictures held out as the test set; 0: none */
        bool cache;
        char image_column[EXPERIMENT_NAME_SIZE], label_column[EXPERIMENT_NAME_SIZE]; /* a name, a number, or "auto" */
        char images[EXPERIMENT_TEXT_SIZE]; /* the folder of a table's pictures; "auto": it is found */
        int64_t synthetic_train, synthetic_test, synthetic_classes, synthetic_channels, synthetic_size;
    } data;
    struct {
        enum flip flip;
        int64_t crop, cutout; /* pixels (struct augment_params) */
        bool vertical_flip;
        double rotate;                           /* degrees */
        double scale;                            /* largest change of the zoom */
        double resized_crop;                     /* least share of the image's area; 0: off */
        double brightness, contrast, saturation; /* largest changes of the factors */
        double erase;                            /* probability */
        double mixup, cutmix;                    /* a of Beta(a,a); 0: off. 0 with LOSS_SEPARATE */
    } augment;
    struct model_params model;
    struct {
        enum optimizer_kind name;
        double learning_rate, momentum, weight_decay, beta1, beta2, epsilon;
        bool nesterov;
        enum adjust_rate adjust_rate;
        int64_t ns_steps;
        bool normalize_weights;
        enum muon_rest rest;
        double adamw_learning_rate, sgd_learning_rate; /* of the rest; 0: learning_rate */
        double sgd_momentum;                           /* of the rest */
        char rates[MODEL_TEXT_SIZE];  /* factors of the learning rate by group (parameter_group.h), or none */
        char decays[MODEL_TEXT_SIZE]; /* factors of the weight decay by group, or none */
    } optimizer;
    struct {
        enum schedule_kind name;
        int64_t warmup_steps, step_size;
        double gamma, minimum; /* step: factor; cosine and linear: learning rate at the end */
    } schedule;
    struct {
        int64_t epochs;    /* 0: max_steps alone gives the length of training */
        int64_t max_steps; /* 0: epochs give it, and experiment_count_steps has not computed it yet */
        int64_t batch_size, slices, eval_freq, eval_batch_size;
        int64_t eval_train;     /* training samples that an evaluation covers, or one of enum eval_train */
        int64_t patience;       /* evaluations without a better one that end the run; 0: off */
        double label_smoothing; /* 0 with LOSS_SEPARATE */
        struct class_weights class_weights;
        double ema_decay; /* 0: no moving average of the parameters */
        double clip_norm; /* 0: gradients are not clipped */
    } train;
    struct {
        int64_t freq, keep; /* steps between checkpoints; checkpoints kept */
        bool best;
        enum checkpoint_best best_by; /* auto: by validation where there is such a set, else by test */
    } checkpoint;
    struct {
        bool tensorboard, histograms; /* histograms of weights and gradients need tensorboard */
    } report;
    struct {
        enum device device;
        int64_t threads; /* 0: a thread for each core that the process may use */
        enum precision precision;
        enum cpu_isa cpu_isa;
        enum winograd winograd;
        bool fuse;                 /* fuse layers that one operation of the backend can do */
        bool deterministic, graph; /* CUDA only, like the three below */
        enum streams streams;
        int64_t workspace_mb;
        enum exchange exchange;
        double exchange_timeout; /* seconds; 0: for ever */
        double exchange_bucket_mb;
    } backend;

    struct key_origin *origins; /* one per key of the table, in its order */
    char *file;                 /* the config's path, as given */
};

/* A value that a key gets whatever the file says, as by --set on the command line. */
struct experiment_override {
    const char *section, *key, *value; /* without blanks around them. In the section "sweep" a key may hold a dot */
    char *memory;                      /* holds the three; NULL: they are the caller's */
};

/* Cuts "section.key=value" into its parts. `number` counts the --set of a command line from 1, for messages. Free with
 * experiment_overrides_free; after an error `override` is empty, which may be freed too. */
bool experiment_override_parse(struct experiment_override *override, const char *text, int number,
                               struct status *status);

/* Frees the parts of an array from memory_alloc and the array. */
void experiment_overrides_free(struct experiment_override *overrides, int count);

/* Reads `path`, then applies `overrides` in order, then checks the rules between keys.
 * Errors name file:line:section.key (or "--set" for an override), what was expected, and for an unknown name the
 * nearest known one. On success free with experiment_free. */
bool experiment_load(struct experiment *experiment, const char *path, const struct experiment_override *overrides,
                     int override_count, struct status *status);

/* The same from the text of a config; `path` is for messages. */
bool experiment_load_text(struct experiment *experiment, const char *path, const char *text,
                          const struct experiment_override *overrides, int override_count, struct status *status);

/* The same from a config that a run saved with experiment_write, a text or (NULL) the file at `path`. Such a config has
 * every key of the program that wrote it. A key that it lacks is younger, and takes the value that the older program
 * computed with, which need not be today's default. */
bool experiment_load_saved(struct experiment *experiment, const char *path, const char *text,
                           const struct experiment_override *overrides, int override_count, struct status *status);
void experiment_free(struct experiment *experiment);

/* Sets train.max_steps where train.epochs gives the length of training: epochs * floor(samples / batch_size) steps for
 * a training set of so many samples. Refuses (STATUS_USAGE) a train.max_steps that says otherwise, and a warm-up that
 * is no shorter. Does nothing where train.epochs is 0. */
bool experiment_count_steps(struct experiment *experiment, int64_t samples, struct status *status);

/* Returns the samples of one evaluation batch where the device has no wish (evaluation_batch_from_experiment):
 * train.eval_batch_size, or where that is 0 enough to keep a CPU's kernels busy, at little memory. */
int64_t experiment_evaluation_batch(const struct experiment *experiment);

/* Writes every key with its value, in a form that experiment_load reads back to the same experiment. train.max_steps is
 * left out while only the data can tell it. */
void experiment_write(const struct experiment *experiment, FILE *out);

/* The same in a new string; free it with free(). */
char *experiment_text(const struct experiment *experiment);

/* Prints a line on the parts of training that the network's description does not show: augmentation, label smoothing,
 * class weights, the moving average of the weights. Prints nothing where training has none of them. */
void experiment_print_extras(const struct experiment *experiment, FILE *out);

/* Returns the source of a key's value; CHECKs that "section.key" exists. */
struct key_origin experiment_origin(const struct experiment *experiment, const char *section_key);

/* Calls status_fail(status, STATUS_USAGE, ...) with "file:line: section.key: " (or "--set section.key: ", or
 * "file: section.key (default): ") before the message, for errors that show after the file was read. */
bool experiment_fail(const struct experiment *experiment, const char *section_key, struct status *status,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Passes on the problem of a part that knows keys ("data.classes: ...", STATUS_USAGE) but not their places, and adds
 * the place as experiment_fail does. Passes on other problems as they are. Returns false. */
bool experiment_fail_placed(const struct experiment *experiment, const struct status *problem, struct status *status);

/* Writes every key with its default, after comments that give its meaning and its range. experiment_load reads the
 * output back as the defaults. */
void experiment_print_defaults(FILE *out);

#endif
