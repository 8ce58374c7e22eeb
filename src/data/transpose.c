/* Transposes images that a data set stores column by column, as EMNIST does. */
#include "data_private.h"

#include <stdlib.h>
#include <string.h>

#include "util/memory.h"

/* Turns planes (count,H,W) into (count,W,H); `scratch` holds one plane. */
static void transpose_planes(uint8_t *planes, int64_t count, int64_t height, int64_t width, uint8_t *scratch)
{
    size_t size = (size_t)(height * width);
    for (int64_t n = 0; n < count; n++) {
        uint8_t *plane = planes + n * height * width;
        memcpy(scratch, plane, size);
        for (int64_t h = 0; h < height; h++)
            for (int64_t w = 0; w < width; w++) plane[w * height + h] = scratch[h * width + w];
    }
}

void dataset_transpose(struct dataset *dataset)
{
    int64_t channels = dataset->channels, height = dataset->height, width = dataset->width;
    struct image_set *const sets[] = {&dataset->train, &dataset->validation, &dataset->test};
    uint8_t *scratch = memory_alloc((size_t)(height * width), 1);
    for (int i = 0; i < 3; i++) transpose_planes(sets[i]->pixels, sets[i]->count * channels, height, width, scratch);
    free(scratch);
    dataset->height = width, dataset->width = height;
}
