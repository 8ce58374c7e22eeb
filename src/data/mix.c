/* Draws how the images of a training batch are mixed: mixup and cutmix. */
#include "data/mix.h"

#include <math.h>

#include "util/rng.h"

enum { WHOLE = 1 << 16 }; /* 1 in the unit of shares */

/* Returns the rows or columns of a box of about `side` around a random centre, as far as they lie in 0..size-1. */
static void draw_span(struct rng *rng, double side, int64_t size, int32_t *first, int32_t *count)
{
    int64_t half = (int64_t)(side / 2), centre = rng_below(rng, (uint32_t)size);
    int64_t start = centre - half, end = centre + half;
    if (start < 0) start = 0;
    if (end > size) end = size;
    *first = (int32_t)start;
    *count = (int32_t)(end - start);
}

static struct batch_mix draw_box(struct rng *rng, double share, int64_t height, int64_t width)
{
    struct batch_mix mix = {.kind = MIX_BOX};
    draw_span(rng, sqrt(share) * (double)height, height, &mix.top, &mix.height);
    draw_span(rng, sqrt(share) * (double)width, width, &mix.left, &mix.width);
    int64_t area = (int64_t)mix.height * mix.width, all = height * width;
    mix.second = (int32_t)((area * WHOLE + all / 2) / all);
    return mix;
}

struct batch_mix mix_draw(const struct augment_params *params, uint64_t step, int64_t height, int64_t width)
{
    if (params->mixup == 0 && params->cutmix == 0) return (struct batch_mix){.kind = MIX_NONE};
    struct rng rng = rng_create(params->seed, RNG_STREAM_AUGMENT_MIX, (uint32_t)step);
    bool heads = rng_next(&rng) >> 31;
    bool box = params->cutmix > 0 && (params->mixup == 0 || heads);
    double share = rng_beta(&rng, box ? params->cutmix : params->mixup);
    if (box) return draw_box(&rng, share, height, width);
    return (struct batch_mix){.kind = MIX_BLEND, .second = (int32_t)lround(share * WHOLE)};
}
