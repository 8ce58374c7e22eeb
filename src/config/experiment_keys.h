/* The table of keys. It holds everything about a key but its relations to other keys (experiment_check.c). */
#ifndef TRAINER_CONFIG_EXPERIMENT_KEYS_H
#define TRAINER_CONFIG_EXPERIMENT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/experiment.h"

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

/* Prints the key with its default, after comments that give its meaning and its range. With `commented` the key is a
 * comment too. */
void experiment_key_print(const struct experiment_key *key, bool commented, FILE *out);

/* Prints lines as comments of a config. */
void experiment_comment_print(const char *lines, FILE *out);

/* Writes in words which values the key takes: "an integer from 1 to 10", "one of mlp, convnet". */
void experiment_key_expects(const struct experiment_key *key, char *text, size_t size);

#endif
