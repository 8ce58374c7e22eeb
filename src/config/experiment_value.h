/* From text to the field of a key and back. */
#ifndef TRAINER_CONFIG_EXPERIMENT_VALUE_H
#define TRAINER_CONFIG_EXPERIMENT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "experiment_keys.h"
#include "trainer/status.h"

/* Room for any value written out, with its zero: the longest are texts. */
enum { VALUE_TEXT_SIZE = EXPERIMENT_TEXT_SIZE };

/* Sets the key's field of `record`, a struct experiment or whatever the key's offset counts in, from `text`. The problem, if
 * there is one, reads "expected ..., found ...". */
bool experiment_value_parse(const struct experiment_key *key, const char *text, void *record, struct status *problem);

/* The shortest text that experiment_value_parse reads back to the same field. */
void experiment_value_format(const struct experiment_key *key, const void *record, char *text, size_t size);

/* A whole number in decimal digits, with '-' before it or not, and nothing else; false also where int64_t is too small.
 */
bool value_parse_integer(const char *text, int64_t *value);

/* A finite decimal number like -1, 0.5, .5 or 1e-3, and nothing else; false also where double is too small. */
bool value_parse_real(const char *text, double *value);

/* With as few digits as read back to the same double. */
void value_format_real(double value, char *text, size_t size);

/* The keys whose values are lists: experiment_list.c. */
bool list_parse_integers(const struct experiment_key *key, const char *text, struct int_list *list,
                         struct status *problem);
bool list_parse_features(const char *text, struct feature_list *list, struct status *problem);
bool list_parse_block(const char *text, enum block_part block[BLOCK_PART_COUNT], struct status *problem);
bool list_parse_weights(const struct experiment_key *key, const char *text, struct class_weights *weights,
                        struct status *problem);
void list_format_weights(const struct experiment_key *key, const struct class_weights *weights, char *text,
                         size_t size);
void list_format_integers(const struct int_list *list, char *text, size_t size);
void list_format_features(const struct feature_list *list, char *text, size_t size);
void list_format_block(const enum block_part block[BLOCK_PART_COUNT], char *text, size_t size);

/* How model.features is written, for the help. */
extern const char list_features_help[];

#endif
