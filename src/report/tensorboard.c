/* Writes TensorBoard's event files with protobuf-c. */
#include "report/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report/tfrecord.h"
#include "tensorboard.pb-c.h"
#include "util/folder.h"
#include "util/memory.h"

enum { BUCKET_COUNT = 30 };
static const char name_start[] = "events.out.tfevents.";

/* --- events --- */

static bool fail(const struct tensorboard *board, const char *what, struct status *status)
{
    return status_fail(status, STATUS_RUNTIME, "%s: cannot %s: %s", board->path, what, strerror(errno));
}

static bool write_event(struct tensorboard *board, Tensorboard__Event *event, struct status *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    event->wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    size_t size = tensorboard__event__get_packed_size(event);
    uint8_t *bytes = memory_alloc(size, 1);
    tensorboard__event__pack(event, bytes);
    bool written = tfrecord_write(board->file, bytes, size) && fflush(board->file) == 0;
    free(bytes);
    return written || fail(board, "write", status);
}

static bool write_summary(struct tensorboard *board, int64_t step, Tensorboard__Summary__Value **values, size_t count,
                          struct status *status)
{
    Tensorboard__Summary summary = TENSORBOARD__SUMMARY__INIT;
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    summary.n_value = count, summary.value = values;
    event.step = step, event.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY, event.summary = &summary;
    return write_event(board, &event, status);
}

bool tensorboard_add_scalars(struct tensorboard *board, int64_t step, const struct tensorboard_scalar *scalars,
                             int count, struct status *status)
{
    Tensorboard__Summary__Value *values = memory_alloc((size_t)count, sizeof *values);
    Tensorboard__Summary__Value **list = memory_alloc((size_t)count, sizeof *list);
    for (int i = 0; i < count; i++) {
        tensorboard__summary__value__init(&values[i]);
        values[i].tag = (char *)scalars[i].tag;
        values[i].value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
        values[i].simple_value = (float)scalars[i].value;
        list[i] = &values[i];
    }
    bool good = write_summary(board, step, list, (size_t)count, status);
    free(list);
    free(values);
    return good;
}

/* --- histograms --- */

/* Measures count, sum, sum of squares and range of the finite values; min and max are 0 where there are none. */
static void measure(Tensorboard__HistogramProto *histogram, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double value = values[i];
        if (!isfinite(value)) continue;
        if (histogram->num == 0) histogram->min = histogram->max = value;
        if (value < histogram->min) histogram->min = value;
        if (value > histogram->max) histogram->max = value;
        histogram->num++;
        histogram->sum += value;
        histogram->sum_squares += value * value;
    }
}

bool tensorboard_add_histogram(struct tensorboard *board, int64_t step, const char *tag, const double *values,
                               int64_t count, struct status *status)
{
    double limits[BUCKET_COUNT], buckets[BUCKET_COUNT] = {0};
    Tensorboard__HistogramProto histogram = TENSORBOARD__HISTOGRAM_PROTO__INIT;
    measure(&histogram, values, count);
    double width = (histogram.max - histogram.min) / BUCKET_COUNT;
    for (int i = 0; i < BUCKET_COUNT; i++) limits[i] = histogram.min + width * (i + 1);
    limits[BUCKET_COUNT - 1] = histogram.max;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        double place = width > 0 ? (values[i] - histogram.min) / width : 0;
        buckets[place < BUCKET_COUNT ? (int)place : BUCKET_COUNT - 1]++;
    }
    histogram.n_bucket_limit = histogram.n_bucket = BUCKET_COUNT;
    histogram.bucket_limit = limits, histogram.bucket = buckets;

    Tensorboard__Summary__Value value = TENSORBOARD__SUMMARY__VALUE__INIT, *list = &value;
    value.tag = (char *)tag;
    value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_HISTO, value.histo = &histogram;
    return write_summary(board, step, &list, 1, status);
}

/* --- text --- */

bool tensorboard_add_text(struct tensorboard *board, int64_t step, const char *tag, const char *text,
                          struct status *status)
{
    ProtobufCBinaryData bytes = {strlen(text), (uint8_t *)text};
    /* The shape of a scalar. */
    Tensorboard__TensorShapeProto shape = TENSORBOARD__TENSOR_SHAPE_PROTO__INIT;
    Tensorboard__TensorProto tensor = TENSORBOARD__TENSOR_PROTO__INIT;
    tensor.dtype = TENSORBOARD__DATA_TYPE__DT_STRING, tensor.tensor_shape = &shape;
    tensor.n_string_val = 1, tensor.string_val = &bytes;

    Tensorboard__SummaryMetadata__PluginData plugin = TENSORBOARD__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    Tensorboard__SummaryMetadata metadata = TENSORBOARD__SUMMARY_METADATA__INIT;
    plugin.plugin_name = "text", metadata.plugin_data = &plugin;

    Tensorboard__Summary__Value value = TENSORBOARD__SUMMARY__VALUE__INIT, *list = &value;
    value.tag = (char *)tag, value.metadata = &metadata;
    value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_TENSOR, value.tensor = &tensor;
    return write_summary(board, step, &list, 1, status);
}

/* --- files --- */

/* Looks at the event files in the folder, and removes them where asked. Returns the latest time in their names, 0 where
 * there is none. */
static int64_t look_at_files(const char *folder, bool remove_them)
{
    int64_t latest = 0;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (strncmp(entry->d_name, name_start, sizeof name_start - 1) != 0) continue;
        int64_t time_of_it = strtoll(entry->d_name + sizeof name_start - 1, NULL, 10);
        if (time_of_it > latest) latest = time_of_it;
        char *path = memory_format("%s/%s", folder, entry->d_name);
        if (remove_them) unlink(path);
        free(path);
    }
    if (entries) closedir(entries);
    return latest;
}

/* Returns the path of a new file. TensorBoard reads the files of a folder in the order of their names, so a later file
 * must have a later time. */
static char *new_path(const char *folder, int64_t first_step)
{
    char host[64] = "";
    int64_t latest = look_at_files(folder, first_step == 0), now = (int64_t)time(NULL);
    if (gethostname(host, sizeof host - 1) != 0 || *host == '\0') strcpy(host, "localhost");
    if (first_step > 0 && now <= latest) now = latest + 1;
    return memory_format("%s/%s%010" PRId64 ".%s.%ld", folder, name_start, now, host, (long)getpid());
}

/* Writes the file's first events. TensorBoard takes the first START of a run for its beginning, and each later one for
 * a restart. */
static bool write_head(struct tensorboard *board, int64_t first_step, struct status *status)
{
    Tensorboard__Event version = TENSORBOARD__EVENT__INIT, start = TENSORBOARD__EVENT__INIT;
    Tensorboard__SessionLog log = TENSORBOARD__SESSION_LOG__INIT;
    version.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION, version.file_version = "brain.Event:2";
    log.status = TENSORBOARD__SESSION_LOG__SESSION_STATUS__START;
    start.step = first_step, start.what_case = TENSORBOARD__EVENT__WHAT_SESSION_LOG, start.session_log = &log;
    return write_event(board, &version, status) && write_event(board, &start, status);
}

bool tensorboard_open(struct tensorboard *board, const char *folder, int64_t first_step, struct status *status)
{
    *board = (struct tensorboard){0};
    if (!folder_create(folder, status)) return false;
    board->path = new_path(folder, first_step);
    board->file = fopen(board->path, "wb");
    if (!board->file) return fail(board, "create the file", status);
    return write_head(board, first_step, status);
}

void tensorboard_close(struct tensorboard *board)
{
    if (board->file) fclose(board->file);
    free(board->path);
    *board = (struct tensorboard){0};
}
