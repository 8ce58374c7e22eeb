/* The value of a key, of the experiment or of [sweep]: the first byte chooses the key. A value that is taken must be
 * written as a text that is taken too and means the same. */
#include <string.h>

#include "config/experiment_value.h"
#include "fuzz.h"
#include "sweep/sweep_keys.h"
#include "util/check.h"

static union {
    struct experiment experiment;
    struct sweep_settings settings;
} record, again;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[2 * VALUE_TEXT_SIZE], written[VALUE_TEXT_SIZE], rewritten[VALUE_TEXT_SIZE];
    struct status problem;
    if (size < 1 || size > sizeof text) return -1;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    int index = data[0] % (experiment_key_count + SWEEP_KEY_COUNT);
    const struct experiment_key *key =
        index < experiment_key_count ? &experiment_keys[index] : &sweep_keys[index - experiment_key_count];
    if (!experiment_value_parse(key, text, &record, &problem)) {
        fuzz_check_refusal(&problem, STATUS_USAGE);
        return 0;
    }
    experiment_value_format(key, &record, written, sizeof written);
    CHECK(experiment_value_parse(key, written, &again, &problem));
    experiment_value_format(key, &again, rewritten, sizeof rewritten);
    CHECK(strcmp(written, rewritten) == 0);
    return 0;
}
