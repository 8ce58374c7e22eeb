/* A config file: its syntax, its keys, and its text when it is written out and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment_check.h"
#include "config/experiment_read.h"
#include "config/ini.h"
#include "fuzz.h"
#include "util/check.h"

/* True where the text is an experiment; free it with experiment_free. */
static bool read_text(struct experiment *experiment, const char *text, size_t size)
{
    struct ini_file ini;
    struct status status;
    bool good = ini_read_text(&ini, "fuzz.ini", text, size, &status);
    if (good) {
        good = experiment_read(experiment, &ini, "fuzz.ini", NULL, 0, &status);
        ini_free(&ini);
        if (good && !experiment_check(experiment, &status)) {
            experiment_free(experiment);
            good = false;
        }
    }
    if (!good) fuzz_check_refusal(&status, STATUS_USAGE);
    return good;
}

static char *write_text(const struct experiment *experiment, size_t *size)
{
    char *text;
    FILE *out = open_memstream(&text, size);
    CHECK(out);
    experiment_write(experiment, out);
    CHECK(fclose(out) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct experiment first, second;
    if (!read_text(&first, (const char *)data, size)) return 0;
    size_t size_first, size_second;
    char *text = write_text(&first, &size_first);
    CHECK(read_text(&second, text, size_first));
    char *again = write_text(&second, &size_second);
    CHECK(strcmp(text, again) == 0);
    free(text);
    free(again);
    experiment_free(&first);
    experiment_free(&second);
    return 0;
}
