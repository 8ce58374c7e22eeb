/* The reader of metrics.csv. */
#include <stdlib.h>

#include "fuzz.h"
#include "train/metrics_csv.h"
#include "util/check.h"

static bool is_share(double value)
{
    return !(value < 0 || value > 1); /* nan: not measured */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct metrics_columns columns;
    struct metrics_row *rows;
    struct status status;
    int count;
    if (!*file.path) fuzz_file_create(&file);
    fuzz_file_set(&file, data, size);
    if (!metrics_csv_read(file.path, &columns, &rows, &count, &status)) {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
        CHECK(rows == NULL && count == 0);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        CHECK(rows[i].step >= 0 && (i == 0 || rows[i].step > rows[i - 1].step));
        CHECK(is_share(rows[i].train.accuracy) && is_share(rows[i].validation.accuracy));
        CHECK(is_share(rows[i].test.accuracy));
        CHECK(columns.validation || !evaluation_exists(&rows[i].validation));
        CHECK(columns.test || !evaluation_exists(&rows[i].test));
    }
    free(rows);
    return 0;
}
