/* The views of an image (views.h). */
#include "predict/views.h"

#include "backend/augment.h"
#include "util/check.h"

static const struct view one[] = {{false, 0, 0, 1}};
static const struct view two[] = {{false, 0, 0, 0.5}, {true, 0, 0, 0.5}};
static const struct view six[] = {{false, 0, 0, 0.25},   {true, 0, 0, 0.25},   {false, -1, -1, 0.125},
                                  {true, -1, -1, 0.125}, {false, 1, 1, 0.125}, {true, 1, 1, 0.125}};

const struct view *views_of(int count)
{
    CHECK(count == 1 || count == 2 || count == 6);
    return count == 1 ? one : count == 2 ? two : six;
}

/* The place that shows at `i`: beyond an edge the row goes on backwards, without its edge twice. */
static int64_t reflect(int64_t i, int64_t count)
{
    return count > 1 ? augment_reflect((int)i, (int)count) : 0;
}

void view_images(struct view view, const uint8_t *from, int64_t n, int64_t channels, int64_t height, int64_t width,
                 uint8_t *to)
{
    for (int64_t plane = 0; plane < n * channels; plane++)
        for (int64_t h = 0; h < height; h++) {
            const uint8_t *row = from + (plane * height + reflect(h + view.dy, height)) * width;
            for (int64_t w = 0; w < width; w++) {
                int64_t seen = view.mirrored ? width - 1 - w : w;
                *to++ = row[reflect(seen + view.dx, width)];
            }
        }
}
