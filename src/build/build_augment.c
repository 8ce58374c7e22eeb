/* The augmentation that an experiment's [augment] section describes, in the units of the backends. */
#include <math.h>

#include "build/build.h"

/* A number in units of 2^-bits. */
static int64_t in_bits(double value, int bits)
{
    return llround(ldexp(value, bits));
}

struct augment_params augment_from_experiment(const struct experiment *experiment, int64_t epoch_steps)
{
    const double turn = 360;
    return (struct augment_params){
        .flip = experiment->augment.flip != FLIP_FALSE,
        .flip_epoch = experiment->augment.flip == FLIP_ALTERNATING ? (uint32_t)epoch_steps : 0,
        .crop = experiment->augment.crop,
        .cutout = experiment->augment.cutout,
        .seed = (uint64_t)experiment->experiment.seed,
        .vertical_flip = experiment->augment.vertical_flip,
        .rotate = in_bits(experiment->augment.rotate / turn, 32),
        .scale = in_bits(experiment->augment.scale, 16),
        .resized_crop = in_bits(experiment->augment.resized_crop, 32),
        .brightness = in_bits(experiment->augment.brightness, 16),
        .contrast = in_bits(experiment->augment.contrast, 16),
        .saturation = in_bits(experiment->augment.saturation, 16),
        .erase = in_bits(experiment->augment.erase, 32),
        .mixup = experiment->augment.mixup,
        .cutmix = experiment->augment.cutmix,
    };
}
