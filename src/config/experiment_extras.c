/* Prints the parts of training that the description of the network does not show. */
#include <inttypes.h>

#include "trainer/experiment.h"

void experiment_print_extras(const struct experiment *experiment, FILE *out)
{
    const char *separator = "training: ";
    const char *const comma = ", ";
    if (experiment->augment.flip) fprintf(out, "%sflip", separator), separator = comma;
    if (experiment->augment.crop > 0)
        fprintf(out, "%scrop %" PRId64, separator, experiment->augment.crop), separator = comma;
    if (experiment->augment.cutout > 0)
        fprintf(out, "%scutout %" PRId64, separator, experiment->augment.cutout), separator = comma;
    if (experiment->train.label_smoothing > 0)
        fprintf(out, "%slabel smoothing %g", separator, experiment->train.label_smoothing), separator = comma;
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_BALANCED)
        fprintf(out, "%sbalanced class weights", separator), separator = comma;
    if (experiment->train.class_weights.kind == CLASS_WEIGHTS_LISTED)
        fprintf(out, "%sclass weights", separator), separator = comma;
    if (experiment->train.ema_decay > 0)
        fprintf(out, "%smoving average of the weights %g", separator, experiment->train.ema_decay), separator = comma;
    if (separator == comma) fputc('\n', out);
}
