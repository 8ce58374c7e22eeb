/* Turns text into the field of a key and back. */
#ifndef TRAINER_CONFIG_EXPERIMENT_VALUE_H
#define TRAINER_CONFIG_EXPERIMENT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "experiment_keys.h"
#include "util/status.h"

/* Bytes that hold any value as text, with its zero. Values of KEY_TEXT are the longest. */
enum { VALUE_TEXT_SIZE = EXPERIMENT_TEXT_SIZE };

/* Sets the key's field of `record` from `text`. `record` is the struct that the key's offset counts in, most often a
 * struct experiment. The message of a problem reads "expected ..., found ...". */
bool experiment_value_parse(const struct experiment_key *key, const char *text, void *record, struct status *problem);

/* Writes the shortest text that experiment_value_parse reads back to the same field. */
void experiment_value_format(const struct experiment_key *key, const void *record, char *text, size_t size);

/* Read and write the values that are lists (experiment_list.c). */
bool list_parse_integers(const struct experiment_key *key, const char *text, struct int_list *list,
                         struct status *problem);
bool list_parse_block(const char *text, enum block_part block[BLOCK_PART_COUNT], struct status *problem);
bool list_parse_weights(const struct experiment_key *key, const char *text, struct class_weights *weights,
                        struct status *problem);
void list_format_weights(const struct experiment_key *key, const struct class_weights *weights, char *text,
                         size_t size);
void list_format_integers(const struct int_list *list, char *text, size_t size);
void list_format_block(const enum block_part block[BLOCK_PART_COUNT], char *text, size_t size);

#endif
