/* The table of keys. It holds everything about a key but its relations to other keys (experiment_check.c). */
#ifndef TRAINER_CONFIG_EXPERIMENT_KEYS_H
#define TRAINER_CONFIG_EXPERIMENT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/experiment.h"

enum key_type {
    KEY_INTEGER,  /* int64_t */
    KEY_REAL,     /* double */
    KEY_BOOLEAN,  /* bool */
    KEY_TEXT,     /* char[`high` + 1] */
    KEY_CHOICE,   /* an enum */
    KEY_AMOUNT,   /* int64_t: an integer, or one of the choices, which stand for -1, -2, ... in their order */
    KEY_INTEGERS, /* struct int_list */
    KEY_FEATURES, /* struct feature_list */
    KEY_BLOCK,    /* enum block_part[BLOCK_PART_COUNT] */
    KEY_WEIGHTS,  /* struct class_weights */
    KEY_SIZE,     /* struct image_size */
};

/* Rules for a run that goes on from a checkpoint with another value of a key, X(rule, words). The words stand behind the
 * keys in the help. A value under KEY_RESUME_KEPT must be the same. */
#define KEY_RESUME_RULES(X)                                                                                            \
    X(KEY_RESUME_KEPT, "")                                                                                             \
    X(KEY_RESUME_FREE, "Every step is the same with another value.")                                                   \
    X(KEY_RESUME_ROUNDING, "Another device or instruction set rounds otherwise, so the bits differ from there on.")    \
    X(KEY_RESUME_LENGTH,                                                                                               \
      "They may differ with the schedules constant and step, as with the others every step depends on them. A run "    \
      "that was made longer keeps the evaluation at its first end.")                                                   \
    X(KEY_RESUME_PACKED,                                                                                               \
      "They may differ where data.dataset is pack before or after, with data.path as the packed file of the same "     \
      "images.")                                                                                                       \
    X(KEY_RESUME_FIRST_EPOCH, "It may differ after the first epoch, which alone depends on it.")                       \
    X(KEY_RESUME_NO_HALVING, "They may differ without sweep.halving, with which the trials compete.")
enum key_resume { KEY_RESUME_RULES(CHOICE_ENUMERATOR) };

/* Whether a sweep may give the key another value in each trial. */
enum key_sweep { KEY_SWEEP_FIXED, KEY_SWEEP_VARIES };

struct experiment_key {
    const char *section, *name;
    enum key_type type;
    const char *default_text; /* is read like a value of a file */
    const char *before;       /* the value that programs without the key computed with; NULL: the default */
    /* KEY_INTEGER, KEY_AMOUNT, the sides of KEY_SIZE and the entries of KEY_INTEGERS: smallest and largest value; KEY_TEXT: `high` bytes at
     * most. */
    int64_t low, high;
    double from, to; /* KEY_REAL, and the entries of KEY_WEIGHTS */
    bool from_excluded, to_excluded;
    /* KEY_CHOICE, and the words of KEY_WEIGHTS and KEY_AMOUNT: names in the order of the values, ended by NULL */
    const char *const *choices;
    enum key_resume resume;
    enum key_sweep sweep;
    size_t offset;    /* bytes before the field in struct experiment (in struct sweep_settings for [sweep]) */
    const char *help; /* a line, without the range */
};

extern const struct experiment_key experiment_keys[];
extern const int experiment_key_count;

/* Returns the key's index in the table, or -1. */
int experiment_key_find(const char *section, const char *name);

bool experiment_section_exists(const char *section);

/* Write the end of a sentence that helps after an unknown section or key: "; did you mean train.max_steps?". */
void experiment_suggest_section(const char *section, char *text, size_t size);
void experiment_suggest_key(const char *section, const char *name, char *text, size_t size);

/* Lists the keys of a table that `belongs` takes, in a new string: "experiment.name, [report], [train] but epochs". A
 * section stands for its keys where at most two of many are left out. */
char *experiment_keys_list(const struct experiment_key *keys, int count,
                           bool (*belongs)(const struct experiment_key *key, int rule), int rule);

/* Returns the list of each rule by which a run that goes on may have another value, with the rule's words, in a new
 * string: a paragraph each, with an empty line between. */
char *experiment_keys_list_resume(const struct experiment_key *keys, int count);

/* Returns the list of the keys that a sweep may vary, in a new string. */
char *experiment_keys_list_sweep(void);

/* Prints the key with its default, after comments that give its meaning and its range. With `commented` the key is a
 * comment too. */
void experiment_key_print(const struct experiment_key *key, bool commented, FILE *out);

/* Prints lines as comments of a config. */
void experiment_comment_print(const char *lines, FILE *out);

/* Returns true where the default of the key depends on the optimizer. */
bool experiment_key_varies(const struct experiment_key *key);

/* Returns " Read by adam, lion (default 0.99)." for a key that some optimizers read and others do not, else ""; free it
 * with free(). */
char *experiment_key_readers(const struct experiment_key *key);

/* Writes in words which values the key takes: "an integer from 1 to 10", "one of mlp, convnet". */
void experiment_key_expects(const struct experiment_key *key, char *text, size_t size);

#endif
