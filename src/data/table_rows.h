/* The labels and sets of a table's rows. */
#ifndef DATA_TABLE_ROWS_H
#define DATA_TABLE_ROWS_H

#include "table_columns.h"

struct table_row {
    char *label;  /* text, without blanks around it; owned */
    int64_t line; /* of the table */
    int64_t column;
    enum picture_part part;
    uint16_t number; /* of the class */
};

struct table_rows {
    const char *path; /* the table's, the caller's */
    struct table_row *rows;
    int64_t count, capacity;
};

/* Appends the record that was read last. An error names its place. */
bool table_rows_add(struct table_rows *rows, struct table *table, const struct table_columns *columns,
                    struct status *status);

/* Finds the classes by the labels of the training set, and gives every row its class's number. Labels that are whole
 * numbers come in their order, others in the order of their bytes; but with data.class_names (and for numbers with
 * data.classes) they are numbers below the count of classes, or some of the names. A label that the training set lacks
 * is an error. The caller frees `classes` with class_names_free. */
bool table_rows_settle(struct table_rows *rows, struct class_names *classes, const struct dataset_source *source,
                       struct status *status);

void table_rows_free(struct table_rows *rows);

/* Cuts the blanks off both ends of a text, in place. */
char *table_trim(char *text);

#endif
