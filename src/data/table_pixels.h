/* Tables that hold the images themselves, a pixel in each field. */
#ifndef DATA_TABLE_PIXELS_H
#define DATA_TABLE_PIXELS_H

#include "table_columns.h"

/* Loads the images of a table into an empty data set, without the pixels where source->labels_only. The pixels of a row
 * are those of a grey image, row by row, from 0 to 255; data.image_size tells its sides, or it is a square. After an error
 * the data set is empty. */
bool table_pixels_load(struct dataset *dataset, struct table *table, const struct table_columns *columns,
                       const struct dataset_source *source, struct status *status);

#endif
