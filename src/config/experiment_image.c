/* How an experiment's pictures become images of one size. */
#include "trainer/experiment.h"

struct image_format experiment_image_format(const struct experiment *experiment, int64_t channels, int64_t height,
                                            int64_t width)
{
    const struct int_list *background = &experiment->data.background;
    struct image_format format = {channels, height, width, experiment->data.resize, {0}};
    for (int c = 0; c < 3; c++) format.background[c] = (uint8_t)background->value[background->count == 1 ? 0 : c];
    return format;
}
