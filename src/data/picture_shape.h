/* The size and the channels that the pictures of a list are made. */
#ifndef DATA_PICTURE_SHAPE_H
#define DATA_PICTURE_SHAPE_H

#include "io/image.h"
#include "picture_list.h"

/* Fills the format from source->pictures, and what is not said there from the pictures' headers: see pictures_load. A
 * picture whose header cannot be read has no say. */
bool picture_shape_find(struct image_format *format, const struct picture_list *list,
                        const struct dataset_source *source, struct status *status);

#endif
