/* Prints pictures as the trainer reads them: for each file, or a line about the error, "CHANNELS HEIGHT WIDTH\n" and
 * the planes.
 *
 * usage: decode_image CHANNELS FILE... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../image_support.h"

static void print(const char *path, int64_t channels)
{
    struct image image;
    struct status status;
    if (!picture_read(&image, path, channels, &status)) {
        printf("%s\n", status.message);
        return;
    }
    printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", image.channels, image.height, image.width);
    fwrite(image.pixels, 1, (size_t)(image.channels * image.height * image.width), stdout);
    image_free(&image);
}

int main(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) print(argv[i], atoi(argv[1]));
    return 0;
}
