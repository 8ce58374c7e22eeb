/* Draws a picture of the images that a network is trained on. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "config/experiment.h"
#include "data/dataset.h"
#include "io/image.h"

/* Chooses the images of the training set to show: the first one of each class in turn, then the second ones, and so on,
 * so that a set that is sorted by class shows several. Fills shown (rows); `rows` is at most the set's count. */
void samples_choose(const struct dataset *dataset, int64_t *shown, int64_t rows);

/* Returns a picture with one row for each of the images that samples_choose gives. The first column shows the image as
 * the file has it. The others show it as it enters the network in the epochs 0 .. columns-2 of the experiment,
 * augmented for the step that its place in the epoch's order gives. A hole has the colour that normalises to 0. Small
 * images are enlarged, pixel by pixel. `rows` is at most the training set's count; images have 1 or 3 channels. Free
 * with image_free. */
struct image samples_picture(const struct experiment *experiment, const struct dataset *dataset, int64_t rows,
                             int64_t columns);

#endif
