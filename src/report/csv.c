#include "report/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/memory.h"

static bool fail(const struct metrics_csv *csv, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", csv->path, what, strerror(errno));
}

bool metrics_csv_open(struct metrics_csv *csv, const char *path, struct status *status)
{
    csv->path = memory_copy_string(path);
    csv->file = fopen(path, "w");
    if (!csv->file) return fail(csv, "create the file", status);
    int written = fputs("step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n",
                        csv->file);
    if (written < 0 || fflush(csv->file) != 0) return fail(csv, "write", status);
    return true;
}

/* Nine digits tell any two floats apart. The sign that some libraries print before a nan means nothing. */
static void write_number(FILE *file, double value)
{
    if (isnan(value))
        fputs("nan,", file);
    else
        fprintf(file, "%.9g,", value);
}

bool metrics_csv_append(struct metrics_csv *csv, const struct metrics_row *row, struct status *status)
{
    fprintf(csv->file, "%" PRId64 ",%" PRId64 ",", row->step, row->epoch);
    write_number(csv->file, row->train.loss);
    write_number(csv->file, row->train.accuracy);
    write_number(csv->file, row->test.loss);
    write_number(csv->file, row->test.accuracy);
    write_number(csv->file, row->learning_rate);
    fprintf(csv->file, "%.3f\n", row->elapsed_seconds);
    if (fflush(csv->file) != 0 || ferror(csv->file)) return fail(csv, "write", status);
    return true;
}

void metrics_csv_close(struct metrics_csv *csv)
{
    if (csv->file) fclose(csv->file);
    free(csv->path);
    *csv = (struct metrics_csv){0};
}
