/* Tells what a trained network sees in pictures.
 *
 * usage: predict CHECKPOINT PICTURE... */
#include <stdio.h>
#include <stdlib.h>
#include <trainer/predictor.h>

int main(int argc, char **argv)
{
    struct trainer_status status;
    if (argc < 3) return fprintf(stderr, "usage: predict CHECKPOINT PICTURE...\n"), TRAINER_USAGE;
    struct trainer_predictor *network = trainer_predictor_open(argv[1], NULL, 0, &status);
    if (!network) return fprintf(stderr, "%s\n", status.message), (int)status.code;

    struct trainer_image_format image = trainer_predictor_format(network);
    int64_t classes = trainer_predictor_classes(network);
    uint8_t *pixels = malloc((size_t)(image.channels * image.height * image.width));
    double *scores = malloc((size_t)classes * sizeof *scores);
    if (!pixels || !scores) return TRAINER_RUNTIME;

    for (int i = 2; i < argc; i++) {
        int64_t best = 0;
        if (!trainer_predictor_read(network, argv[i], pixels, &status))
            return fprintf(stderr, "%s\n", status.message), (int)status.code;
        trainer_predictor_scores(network, pixels, 1, scores);
        trainer_predictor_probabilities(network, scores, scores);
        for (int64_t c = 1; c < classes; c++)
            if (scores[c] > scores[best]) best = c;
        printf("%s: %s, %.1f %%\n", argv[i], trainer_predictor_class_name(network, best), 100 * scores[best]);
    }
    free(pixels), free(scores);
    trainer_predictor_free(network);
    return 0;
}
