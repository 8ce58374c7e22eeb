/* Which column of a table is which. */
#ifndef DATA_TABLE_COLUMNS_H
#define DATA_TABLE_COLUMNS_H

#include "picture_list.h"
#include "table.h"

/* Where a table's pictures are: the first folder that has pictures of its first rows. */
struct table_folder {
    char *path;         /* owned */
    const char *ending; /* the one that the last picture had whose name has none; NULL: none had yet */
};

/* Finds the folder of the pictures that column `column` names: `wanted` where it is a path, else the table's own, or
 * train/ or images/ in it. Reads the first rows, from the second where `has_head`. Free with table_folder_free. */
void table_folder_find(struct table_folder *folder, struct table *table, int64_t column, bool has_head,
                       const char *wanted);
void table_folder_free(struct table_folder *folder);

/* Returns the path of a picture from the folder, or the absolute path that the table gives, in a new string. A name
 * without a known ending may stand for a file with one. NULL: there is no such picture, and the reason is in *reason. */
char *table_picture_find(struct table_folder *folder, const char *name, struct picture *picture, const char **reason);

/* The columns of a table, counted from 0. */
struct table_columns {
    bool has_head; /* the first row names them */
    char **names;  /* (count) of the head, or NULL; owned */
    int64_t count;
    int64_t image, label, part; /* part: -1 where no column tells the set */
    bool part_is_validation;    /* `part` holds whether a row belongs to the validation set */
    int64_t first_pixel,
        pixels; /* pixels > 0: the table holds the images, so many values from that column on; image is -1 */
};

/* Finds the columns by the head, the first rows and the keys data.image_column and data.label_column. An error in a key
 * is STATUS_USAGE and begins with it. Free with table_columns_free. */
bool table_columns_find(struct table_columns *columns, struct table *table, const struct dataset_source *source,
                        struct status *status);
void table_columns_free(struct table_columns *columns);

/* Finds the set in a word: train, val, valid, validation, dev, test and the like. */
bool table_part_of(const struct table_columns *columns, const char *word, enum picture_part *part);

#endif
