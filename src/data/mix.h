/* Draws how the images of a training batch are mixed. The definition stands at struct batch_mix in backend.h. */
#ifndef MIX_H
#define MIX_H

#include "backend/backend.h"

/* Returns the mix of a step's batch of images of that size, from the stream (seed, RNG_STREAM_AUGMENT_MIX, step):
 * MIX_NONE where params ask for neither mixup nor cutmix. */
struct batch_mix mix_draw(const struct augment_params *params, uint64_t step, int64_t height, int64_t width);

#endif
