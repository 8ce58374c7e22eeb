/* Reads the images of a mapped file before training needs them, in the order of the epoch, so that a step of a data set
 * larger than memory does not wait for the disk. A thread asks the kernel for the pages of the coming batches
 * (MADV_WILLNEED); it touches no pixel and changes no result. Where all pages are in memory it sleeps for the epoch. */
#ifndef DATA_READ_AHEAD_H
#define DATA_READ_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "data/dataset.h"

struct read_ahead;

/* Starts the thread for a set of the data set; NULL where its pixels are in memory, or there is no thread to have. */
struct read_ahead *read_ahead_start(const struct dataset *dataset, const struct image_set *set);
void read_ahead_stop(struct read_ahead *ahead); /* NULL is allowed, here and below */

/* From now on the samples are read in this order, (count) of the set, from its beginning. The order is copied. */
void read_ahead_follow(struct read_ahead *ahead, const int32_t *order);

/* All samples before this place in the order have been read. */
void read_ahead_move(struct read_ahead *ahead, int64_t place);

/* Tells that the next images are read in the order of the file, as evaluations do, where the kernel itself reads ahead;
 * or (false) that the order that was followed goes on. */
void read_ahead_rest(struct read_ahead *ahead, bool rests);

#endif
