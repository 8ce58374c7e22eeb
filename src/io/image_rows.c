/* Reads the rows of a picture: transparent pixels onto a background, colours into grey. */
#include <string.h>

#include "io/image_private.h"

uint8_t image_luminance(const uint8_t rgb[3])
{
    return (uint8_t)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16);
}

/* Returns round((a s + (255 - a) b) / 255) in whole numbers, for the sample s, its alpha a and the background b. */
static uint8_t lay_on(uint8_t background, uint8_t sample, uint8_t alpha)
{
    uint32_t sum = (uint32_t)alpha * sample + (255U - alpha) * background + 0x80;
    return (uint8_t)((sum + (sum >> 8)) >> 8);
}

/* Writes one pixel. `samples` and `channels` are constants where it is called, so that each kind is a loop of its own.
 */
static inline void write_pixel(const uint8_t *from, int samples, const uint8_t *background, uint8_t *to,
                               int64_t channels)
{
    uint8_t laid[3];
    if (samples == 4) {
        for (int c = 0; c < 3; c++) laid[c] = lay_on(background[c], from[c], from[3]);
        from = laid;
    }
    if (channels == 1)
        *to = samples == 1 ? *from : image_luminance(from);
    else
        for (int c = 0; c < 3; c++) to[c] = from[samples == 1 ? 0 : c];
}

static inline void write_row(const struct image_view *view, const uint8_t *from, int samples, const uint8_t *background,
                             uint8_t *to, int64_t channels, int64_t count)
{
    for (int64_t w = 0; w < count; w++, from += view->right, to += channels)
        write_pixel(from, samples, background, to, channels);
}

void image_rows_read(const struct image_rows *rows, int64_t h, int64_t first, int64_t count, uint8_t *to)
{
    const struct image_view *view = &rows->view;
    const uint8_t *from = view->first + h * view->down + first * view->right, *background = rows->background;
    if (view->samples == rows->channels && view->right == rows->channels)
        memcpy(to, from, (size_t)(count * rows->channels));
    else if (rows->channels == 3)
        switch (view->samples) {
        case 1:
            write_row(view, from, 1, background, to, 3, count);
            break;
        case 3:
            write_row(view, from, 3, background, to, 3, count);
            break;
        default:
            write_row(view, from, 4, background, to, 3, count);
            break;
        }
    else
        switch (view->samples) {
        case 1:
            write_row(view, from, 1, background, to, 1, count);
            break;
        case 3:
            write_row(view, from, 3, background, to, 1, count);
            break;
        default:
            write_row(view, from, 4, background, to, 1, count);
            break;
        }
}
