/* Reads EXIF's tag Orientation, which tells how the camera was held, and shows pixels upright by it. */
#include "io/image_private.h"

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

bool image_orientation_is_sideways(int orientation)
{
    return orientation >= 5;
}

/* By the orientation the stored rows run upwards, or to the left where the picture is sideways; the stored columns run
 * against the reading direction in the same way:
 *
 *   1 upright    2 mirrored left and right     3 upside down             4 mirrored top and bottom
 *   5 mirrored along the diagonal that falls   6 turned left: turn it right by 90 degrees
 *   7 mirrored along the one that rises        8 turned right: turn it left by 90 degrees */
struct image_view image_orientation_view(const struct image_stored *stored)
{
    int is = stored->orientation;
    bool rows_back = is == 3 || is == 4 || is == 6 || is == 7, columns_back = is == 2 || is == 3 || is == 7 || is == 8;
    ptrdiff_t column = stored->samples, row = stored->width * column;
    struct image_view view = {stored->height, stored->width, stored->samples, stored->pixels, row, column};
    if (rows_back) view.first += (stored->height - 1) * row, view.down = -row;
    if (columns_back) view.first += (stored->width - 1) * column, view.right = -column;
    if (image_orientation_is_sideways(is))
        view = (struct image_view){view.width, view.height, view.samples, view.first, view.right, view.down};
    return view;
}
