/* The reader of results.csv, for a sweep of four trials in two rungs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "sweep/sweep_results.h"
#include "util/check.h"
#include "util/memory.h"

static const char config[] = "[data]\ndataset = synthetic\n[model]\n[sweep]\nmodel.hidden = 7 | 19, 7\n"
                             "optimizer.learning_rate = 0.01 | 0.1\nrank_by = test\nhalving = on\nrungs = 2\n";

static void load_sweep(struct sweep *sweep, struct fuzz_file *file)
{
    struct status status;
    fuzz_file_create(file);
    fuzz_file_set(file, config, strlen(config));
    CHECK(sweep_load(sweep, file->path, NULL, 0, &status));
}

/* A file that was read, and written anew where a spreadsheet had saved it, is read the same by a shard. */
static void read_again(const struct sweep_results *first)
{
    struct sweep_results again;
    struct status status;
    char *folder = memory_format("%.*s", (int)(strrchr(first->paths[0], '/') - first->paths[0]), first->paths[0]);
    char *path = memory_format("%s/results-0-of-1.csv", folder);
    CHECK(sweep_results_open(&again, first->sweep, path, &status) && again.count == 0);
    for (int times = 0; times < 2; times++) CHECK(sweep_results_read_others(&again, folder, &status));
    CHECK(again.count == first->count);
    for (int32_t i = 0; i < again.count; i++) {
        const struct sweep_result *row = &first->rows[i];
        CHECK(again.rows[i].trial == row->trial && again.rows[i].rung == row->rung);
        CHECK(again.rows[i].steps == row->steps && again.rows[i].outcome == row->outcome);
    }
    sweep_results_close(&again);
    unlink(path);
    free(folder), free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file config_file;
    static struct sweep sweep;
    struct fuzz_file file;
    struct sweep_results results;
    struct status status;
    if (!*config_file.path) load_sweep(&sweep, &config_file);
    fuzz_folder_file(&file, "results.csv"); /* in a folder, since the file may be replaced */
    fuzz_file_set(&file, data, size);
    close(file.file);
    if (sweep_results_open(&results, &sweep, file.path, &status)) {
        CHECK(results.count <= 2 * sweep.grid_size);
        for (int32_t i = 0; i < results.count; i++)
            CHECK(sweep_results_find(&results, results.rows[i].trial, results.rows[i].rung) == &results.rows[i]);
        read_again(&results);
    } else {
        fuzz_check_refusal(&status, STATUS_USAGE);
    }
    sweep_results_close(&results);
    return 0;
}
