/* Prints pictures as the trainer fits them. Each line of the standard input asks for one,
 *
 *   CHANNELS HEIGHT WIDTH FIT RED GREEN BLUE PATH
 *
 * with FIT crop, pad or stretch, and is answered by "CHANNELS HEIGHT WIDTH\n" and the planes, or by the line of an
 * error. A line "probe PATH" is answered by "HEIGHT WIDTH grey\n" or "HEIGHT WIDTH colour\n". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/image.h"

static enum image_fit fit_of(const char *name)
{
    return strcmp(name, "crop") == 0 ? IMAGE_FIT_CROP : strcmp(name, "pad") == 0 ? IMAGE_FIT_PAD : IMAGE_FIT_STRETCH;
}

static void print_header(const char *path)
{
    struct image_header header;
    struct status status;
    if (image_probe(&header, path, &status))
        printf("%" PRId64 " %" PRId64 " %s\n", header.height, header.width, header.colour ? "colour" : "grey");
    else
        printf("%s\n", status.message);
}

static void print_fitted(const char *path, const struct image_format *format)
{
    struct status status;
    size_t count = (size_t)(format->channels * format->height * format->width);
    uint8_t *pixels = malloc(count);
    if (pixels && image_read_fitted(pixels, path, format, &status)) {
        printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", format->channels, format->height, format->width);
        fwrite(pixels, 1, count, stdout);
    } else {
        printf("%s\n", pixels ? status.message : "no memory");
    }
    free(pixels);
}

/* Returns whether the line was understood. */
static int answer(char *line)
{
    struct image_format format;
    char fit[8];
    int start = 0;
    uint8_t *background = format.background;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "probe ", 6) == 0) return print_header(line + 6), 1;
    if (sscanf(line, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %7s %" SCNu8 " %" SCNu8 " %" SCNu8 " %n", &format.channels,
               &format.height, &format.width, fit, background, background + 1, background + 2, &start) != 7 ||
        !start)
        return 0;
    format.fit = fit_of(fit);
    print_fitted(line + start, &format);
    return 1;
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        if (!answer(line)) return fprintf(stderr, "fit_image: not understood: %s\n", line), 2;
        fflush(stdout);
    }
    return 0;
}
