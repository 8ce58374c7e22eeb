/* Prints the parts of training that the description of the network does not show. */
#include <stdarg.h>

#include "config/experiment.h"

/* Prints the words of one part after what is there already. */
static void print_part(FILE *out, bool *any, const char *format, ...)
{
    va_list arguments;
    fputs(*any ? ", " : "training: ", out);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    *any = true;
}

static void print_amount(FILE *out, bool *any, const char *name, double amount)
{
    if (amount > 0) print_part(out, any, "%s %g", name, amount);
}

static void print_augment(const struct experiment *experiment, FILE *out, bool *any)
{
    if (experiment->augment.flip != FLIP_FALSE)
        print_part(out, any, experiment->augment.flip == FLIP_ALTERNATING ? "alternating flip" : "flip");
    print_amount(out, any, "crop", (double)experiment->augment.crop);
    print_amount(out, any, "cutout", (double)experiment->augment.cutout);
    if (experiment->augment.vertical_flip) print_part(out, any, "vertical flip");
    print_amount(out, any, "rotate", experiment->augment.rotate);
    print_amount(out, any, "scale", experiment->augment.scale);
    print_amount(out, any, "resized crop", experiment->augment.resized_crop);
    print_amount(out, any, "brightness", experiment->augment.brightness);
    print_amount(out, any, "contrast", experiment->augment.contrast);
    print_amount(out, any, "saturation", experiment->augment.saturation);
    print_amount(out, any, "erase", experiment->augment.erase);
    print_amount(out, any, "mixup", experiment->augment.mixup);
    print_amount(out, any, "cutmix", experiment->augment.cutmix);
}

void experiment_print_extras(const struct experiment *experiment, FILE *out)
{
    bool any = false;
    print_augment(experiment, out, &any);
    print_amount(out, &any, "label smoothing", experiment->train.label_smoothing);
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_BALANCED) print_part(out, &any, "balanced class weights");
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_LISTED) print_part(out, &any, "class weights");
    print_amount(out, &any, "moving average of the weights", experiment->train.ema_decay);
    if (experiment->train.slices > 1)
        print_part(out, &any, "%lld slices of %lld samples", (long long)experiment->train.slices,
                   (long long)(experiment->train.batch_size / experiment->train.slices));
    if (any) fputc('\n', out);
}
