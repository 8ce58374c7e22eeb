/* Loads the pictures of a list: decodes all of them into memory with as many threads as cores. Nothing of the result
 * depends on the number of threads. Letters: C channels, H height, W width. */
#ifndef DATA_PICTURES_H
#define DATA_PICTURES_H

#include "data/dataset.h"
#include "picture_list.h"

/* Loads a list into an empty data set, and takes over its content: the list is empty afterwards, after an error too.
 *
 * Size and channels are those of source->pictures. Where the size is not said it is that of all pictures, else an error
 * names the smallest, the largest and the key. Where the channels are not said they are 1 if no training picture has
 * colour, else 3. A picture that cannot be read is left out and joins dataset->skipped, with its reason. More of them
 * than data.max_skipped are an error. So is data.test_size beside a test set in the list.
 *
 * The rows are the pictures of the list in its order. Rows of pictures that cannot be read belong to no set. Every row
 * has a name, and a digest of its pixels. */
bool pictures_load(struct dataset *dataset, struct picture_list *list, const struct dataset_source *source,
                   struct status *status);

/* Finds size and channels, from the settings where they say both, else from the headers of all pictures. */
bool pictures_describe(struct dataset_description *description, const struct picture_list *list,
                       const struct dataset_source *source, struct status *status);

#endif
