/* Draws a picture of the images that a network is trained on. */
#ifndef TRAINER_SAMPLES_H
#define TRAINER_SAMPLES_H

#include "trainer/dataset.h"
#include "trainer/image.h"

/* Returns a picture with one row for each of the first `rows` images of the training set. The first column shows the
 * image as the file has it. The others show it as it enters the network in the epochs 0 .. columns-2 of the experiment,
 * augmented for the step that its place in the epoch's order gives. A hole has the colour that normalises to 0. Small
 * images are enlarged, pixel by pixel. `rows` is at most the training set's count; images have 1 or 3 channels. Free
 * with image_free. */
struct image samples_picture(const struct experiment *experiment, const struct dataset *dataset, int64_t rows,
                             int64_t columns);

#endif
