/* A config with a [sweep] section: its alternatives, and the experiments of the first trials. */
#include "fuzz.h"
#include "sweep/sweep_read.h"
#include "util/check.h"

enum { TRIALS_CHECKED = 16 };

static void check_trials(const struct sweep *sweep)
{
    CHECK(sweep->grid_size >= 1 && sweep->grid_size <= SWEEP_TRIALS_MAX);
    for (int32_t trial = 0; trial < sweep->grid_size && trial < TRIALS_CHECKED; trial++) {
        struct experiment experiment;
        struct status status;
        if (sweep_trial(sweep, trial, &experiment, &status))
            experiment_free(&experiment);
        else
            fuzz_check_refusal(&status, STATUS_USAGE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sweep sweep = {0};
    struct ini_file ini;
    struct status status;
    if (!ini_read_text(&ini, "fuzz.ini", (const char *)data, size, &status)) {
        fuzz_check_refusal(&status, STATUS_USAGE);
        return 0;
    }
    if (sweep_read(&sweep, &ini, "fuzz.ini", NULL, 0, &status))
        check_trials(&sweep);
    else
        fuzz_check_refusal(&status, STATUS_USAGE);
    sweep_free(&sweep);
    ini_free(&ini);
    return 0;
}
