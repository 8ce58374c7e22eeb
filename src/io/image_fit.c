/* Fits pictures to a size: which part of the picture goes to which part of the result. The sizes are computed as Pillow
 * computes them, operation by operation, because a box that differs in its last bit gives other pixels. */
#include <math.h>
#include <string.h>

#include "io/image_private.h"
#include "util/check.h"

/* The box of the picture, and the rectangle of the result that it goes to. */
struct placement {
    struct image_box box;
    int64_t top, left, height, width;
};

/* ImageOps.fit with centering (0.5, 0.5). */
static struct image_box crop_box(int64_t height, int64_t width, const struct image_format *format)
{
    double high = (double)height, wide = (double)width;
    double ratio = wide / high, wanted = (double)format->width / (double)format->height;
    double box_width = ratio > wanted ? wanted * high : wide;
    double box_height = ratio < wanted ? wide / wanted : high;
    double left = (wide - box_width) * 0.5, top = (high - box_height) * 0.5;
    return (struct image_box){(float)left, (float)top, fminf((float)(left + box_width), (float)wide),
                              fminf((float)(top + box_height), (float)high)};
}

/* Returns round(side * share), a half to the even number, and at least 1. */
static int64_t share_of(int64_t side, double share)
{
    return (int64_t)fmax(rint(share * (double)side), 1);
}

/* ImageOps.contain: the size of the whole picture within the format's. */
static void contain(struct placement *place, int64_t height, int64_t width, const struct image_format *format)
{
    double high = (double)height, wide = (double)width;
    double ratio = wide / high, wanted = (double)format->width / (double)format->height;
    place->height = ratio > wanted ? share_of(format->width, high / wide) : format->height;
    place->width = ratio < wanted ? share_of(format->height, wide / high) : format->width;
}

static struct placement place_picture(int64_t height, int64_t width, const struct image_format *format)
{
    struct placement place = {{0, 0, (float)width, (float)height}, 0, 0, format->height, format->width};
    switch (format->fit) {
    case IMAGE_FIT_CROP:
        place.box = crop_box(height, width, format);
        break;
    case IMAGE_FIT_PAD:
        contain(&place, height, width, format);
        place.top = (int64_t)rint((double)(format->height - place.height) * 0.5);
        place.left = (int64_t)rint((double)(format->width - place.width) * 0.5);
        break;
    case IMAGE_FIT_STRETCH:
        break;
    }
    return place;
}

int image_fit_reduction(const struct image_format *format, int64_t height, int64_t width, int orientation)
{
    bool sideways = image_orientation_is_sideways(orientation);
    int64_t upright_height = sideways ? width : height, upright_width = sideways ? height : width;
    struct placement place = place_picture(upright_height, upright_width, format);
    int64_t down = upright_height / (2 * place.height), right = upright_width / (2 * place.width);
    int64_t most = down < right ? down : right;
    return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

static void fill_background(const struct image_format *format, uint8_t *pixels)
{
    size_t plane = (size_t)(format->height * format->width);
    if (format->channels == 1) memset(pixels, image_luminance(format->background), plane);
    if (format->channels == 3)
        for (int c = 0; c < 3; c++) memset(pixels + (size_t)c * plane, format->background[c], plane);
}

void image_fit(const struct image_stored *stored, const struct image_format *format, uint8_t *pixels)
{
    struct image_rows rows = {image_orientation_view(stored), format->channels, format->background};
    struct placement place = place_picture(rows.view.height, rows.view.width, format);
    if (place.height < format->height || place.width < format->width) fill_background(format, pixels);
    struct image_target target = {pixels + place.top * format->width + place.left, place.height, place.width,
                                  format->width, format->height * format->width};
    image_resample(&rows, &place.box, &target);
}
