/* Reads EXIF's tag Orientation, which tells how the camera was held, and turns pixels by it. */
#include <stdlib.h>
#include <string.h>

#include "io/image_private.h"
#include "trainer/memory.h"

#ifdef TRAINER_EXIF
#include <libexif/exif-data.h>

static int orientation_of(ExifData *data)
{
    const ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->components != 1 || entry->size < 2) return 1;
    int value = exif_get_short(entry->data, exif_data_get_byte_order(data));
    return value >= 1 && value <= 8 ? value : 1;
}

int image_orientation_find(const struct image_source *source, const uint8_t *block, size_t size)
{
    (void)source;
    ExifData *data = exif_data_new();
    if (!data) return 1;
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); /* else libexif adds tags */
    exif_data_load_data(data, block, (unsigned)size);
    int orientation = orientation_of(data);
    exif_data_unref(data);
    return orientation;
}
#else
#include "util/warning.h"

int image_orientation_find(const struct image_source *source, const uint8_t *block, size_t size)
{
    (void)block, (void)size;
    warning_print("%s: not turned as its EXIF block may say: this build has no libexif (Debian: libexif-dev)",
                  source->path);
    return 1;
}
#endif

/* Returns the place among the stored pixels of the pixel at (h,w) of the upright picture. height and width are those of
 * the stored picture.
 *
 *   1 upright    2 mirrored left and right     3 upside down             4 mirrored top and bottom
 *   5 mirrored along the diagonal that falls   6 turned left: turn it right by 90 degrees
 *   7 mirrored along the one that rises        8 turned right: turn it left by 90 degrees */
static int64_t stored_place(int orientation, int64_t height, int64_t width, int64_t h, int64_t w)
{
    /* clang-format off */
    switch (orientation) {
    case 2: return h * width + (width - 1 - w);
    case 3: return (height - 1 - h) * width + (width - 1 - w);
    case 4: return (height - 1 - h) * width + w;
    case 5: return w * width + h;
    case 6: return (height - 1 - w) * width + h;
    case 7: return (height - 1 - w) * width + (width - 1 - h);
    case 8: return w * width + (width - 1 - h);
    default: return h * width + w;
    }
    /* clang-format on */
}

void image_orientation_apply(struct image_rgb *rgb)
{
    if (rgb->orientation == 1) return;
    bool sideways = rgb->orientation >= 5;
    int64_t height = sideways ? rgb->width : rgb->height, width = sideways ? rgb->height : rgb->width;
    uint8_t *pixels = memory_alloc((size_t)(height * width), 3), *to = pixels;
    for (int64_t h = 0; h < height; h++)
        for (int64_t w = 0; w < width; w++, to += 3)
            memcpy(to, rgb->pixels + 3 * stored_place(rgb->orientation, rgb->height, rgb->width, h, w), 3);
    free(rgb->pixels);
    *rgb = (struct image_rgb){height, width, pixels, 1};
}
