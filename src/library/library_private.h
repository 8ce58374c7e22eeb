/* Parts of the public interface (include/trainer/), which the library's users see as opaque. */
#ifndef LIBRARY_PRIVATE_H
#define LIBRARY_PRIVATE_H

#include <trainer/evaluation.h>
#include <trainer/status.h>

#include "config/experiment.h"
#include "config/ini.h"
#include "metrics/metrics.h"
#include "util/status.h"

struct trainer_experiment {
    struct experiment experiment;
    struct ini_file ini;                   /* what its file holds */
    char *path;                            /* of the file, or what stands for it */
    struct experiment_override *overrides; /* all that was set since, in this order */
    int override_count;
};

/* Hands a status of the library's inside to a caller, who may have passed NULL. Returns true where it is no error. */
bool library_pass(const struct status *from, struct trainer_status *to);

/* Cuts the texts "section.key=value"; free with experiment_overrides_free. Returns NULL after an error. */
struct experiment_override *library_overrides(const char *const *set, int set_count, struct status *status);

/* The figures of a set, and those of a row, as the library's users see them. */
struct trainer_figures library_figures(struct evaluation of);
struct trainer_evaluation library_evaluation(const struct metrics_row *row);

#endif
