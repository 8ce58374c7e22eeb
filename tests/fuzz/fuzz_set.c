/* --set on the command line: a line of the input is an option. */
#include <stdlib.h>
#include <string.h>

#include "config/experiment_check.h"
#include "config/experiment_read.h"
#include "fuzz.h"
#include "util/memory.h"

enum { OPTIONS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ini_file no_file = {0};
    struct experiment_override *overrides;
    char text[1024], *rest = text, *option;
    int count = 0;
    bool good = true;
    struct experiment experiment;
    struct status status;
    if (size >= sizeof text) return -1;
    memcpy(text, data, size);
    text[size] = '\0';
    overrides = memory_alloc(OPTIONS_MAX, sizeof *overrides);
    for (; good && count < OPTIONS_MAX && (option = strsep(&rest, "\n")) != NULL; count++)
        good = experiment_override_parse(&overrides[count], option, count + 1, &status);
    good = good && experiment_read(&experiment, &no_file, "fuzz.ini", overrides, count, &status);
    experiment_overrides_free(overrides, count);
    if (!good) {
        fuzz_check_refusal(&status, STATUS_USAGE);
        return 0;
    }
    if (!experiment_check(&experiment, &status)) fuzz_check_refusal(&status, STATUS_USAGE);
    experiment_free(&experiment);
    return 0;
}
