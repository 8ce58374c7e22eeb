/* The order of the modules in another program's file of weights, where names tell it and not numbers alone. It is a text:
 *
 *   # ResNet of torchvision
 *   conv1
 *   bn1
 *   layer1.#: downsample.0, downsample.1, conv1, bn1, conv2, bn2
 *   fc
 *
 * A line is a pattern: words with dots between, where `#` stands for a number and `*`, which is the last one, for one
 * or more words of any kind. Behind a colon stand the ends of names, and a module is the pattern, a dot and one of them.
 * The first line that fits a module counts. Modules come in the order of their lines, those of a line in the order of the
 * words of their pattern, numbers by value, and then in the order of the ends. */
#ifndef TRAIN_MODULE_ORDER_H
#define TRAIN_MODULE_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "util/status.h"

struct module_order;

/* Reads a file, or a text that errors call `name`. Errors: STATUS_RUNTIME for a file that cannot be read; STATUS_USAGE,
 * "name:line: ...", for a text that does not follow the rules above. NULL then. Free with module_order_free. */
struct module_order *module_order_read(const char *path, struct status *status);
struct module_order *module_order_parse(const char *name, const char *text, struct status *status);
void module_order_free(struct module_order *order); /* NULL is allowed */

/* The program's own orders, one text each; NULL: there are no more. Their files are in src/train/modules/. */
const char *module_order_builtin(int number);

/* Where a module stands. `name` is borrowed. */
struct module_place {
    int line, end;    /* places among the lines, and among the ends behind a colon */
    const char *name; /* the module's, not terminated */
    size_t pattern;   /* bytes of it that the pattern stands for */
};

/* Finds the place of a module by its name of so many bytes. False: the order does not know it. */
bool module_order_find(const struct module_order *order, const char *name, size_t length, struct module_place *place);

/* Below, at or above 0 as the first one comes before, at the place of, or behind the second one. */
int module_place_compare(const struct module_place *a, const struct module_place *b);

#endif
