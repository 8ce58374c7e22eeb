/* A picture of what a network is trained on. */
#ifndef TRAINER_SAMPLES_H
#define TRAINER_SAMPLES_H

#include "trainer/dataset.h"
#include "trainer/image.h"

/* One row per image, the first `rows` of the training set: at the left as it is in the file, then as it enters the
 * network in the epochs 0 .. columns-2 of the experiment, in the very step that its place in the epoch's order says. A
 * hole has the colour that normalises to 0. Small images are enlarged, pixel by pixel. rows must be at most the
 * training set's; images have 1 or 3 channels. Free with image_free. */
struct image samples_picture(const struct experiment *experiment, const struct dataset *dataset, int64_t rows,
                             int64_t columns);

#endif
