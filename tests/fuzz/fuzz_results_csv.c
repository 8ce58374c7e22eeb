/* The reader of results.csv, for a sweep of four trials in two rungs. */
#include <string.h>

#include "fuzz.h"
#include "sweep/sweep_results.h"
#include "trainer/check.h"

static const char config[] = "[data]\ndataset = synthetic\n[model]\n[sweep]\nmodel.hidden = 7 | 19, 7\n"
                             "optimizer.learning_rate = 0.01 | 0.1\nrank_by = test\nhalving = on\nrungs = 2\n";

static void load_sweep(struct sweep *sweep, struct fuzz_file *file)
{
    struct status status;
    fuzz_file_create(file);
    fuzz_file_set(file, config, strlen(config));
    CHECK(sweep_load(sweep, file->path, NULL, 0, &status));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    static struct sweep sweep;
    struct sweep_results results;
    struct status status;
    if (!*file.path) load_sweep(&sweep, &file);
    fuzz_file_set(&file, data, size);
    if (sweep_results_open(&results, &sweep, file.path, &status)) {
        CHECK(results.count <= 2 * sweep.grid_size);
        for (int32_t i = 0; i < results.count; i++)
            CHECK(sweep_results_find(&results, results.rows[i].trial, results.rows[i].rung) == &results.rows[i]);
    } else {
        fuzz_check_refusal(&status, STATUS_USAGE);
    }
    sweep_results_close(&results);
    return 0;
}
