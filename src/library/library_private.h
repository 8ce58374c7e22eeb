/* Parts of the public interface (include/trainer/), which the library's users see as opaque. */
#ifndef LIBRARY_PRIVATE_H
#define LIBRARY_PRIVATE_H

#include <trainer/status.h>

#include "config/experiment.h"
#include "util/status.h"

struct trainer_experiment {
    struct experiment experiment;
};

/* Hands a status of the library's inside to a caller, who may have passed NULL. Returns true where it is no error. */
bool library_pass(const struct status *from, struct trainer_status *to);

#endif
