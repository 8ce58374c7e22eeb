/* Reads the sets of an NPZ archive: labels first, which tell how many images there are, then the images. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "npz_private.h"
#include "util/memory.h"
#include "util/warning.h"

/* --- labels --- */

struct label_reading {
    const struct npz_array *array;
    uint16_t *labels;
    int64_t count, columns; /* columns: 0 where an element is a label */
    bool *seen;             /* columns > 0: the row has its one */
    int64_t done;
    double *values;
};

/* Gives the number of labels in an array (N), (N,1) or (1,N), or of rows in an array (N,D) of ones and zeros, where D
 * classes have a column each; *columns becomes D, or 0. */
static bool count_labels(const struct npz_array *array, int64_t *count, int64_t *columns, struct status *status)
{
    const struct npy_header *header = &array->header;
    bool flat = header->rank == 1 || (header->rank == 2 && (header->shape[0] == 1 || header->shape[1] == 1));
    *count = flat ? header->count : header->shape[0];
    *columns = flat ? 0 : header->shape[1];
    bool good = (flat || header->rank == 2) && *count >= 1 && *count <= DATA_COUNT_MAX;
    if (good && *columns <= DATASET_CLASSES_MAX) return true;
    char *shape = npy_shape_text(header);
    status_fail(status, STATUS_RUNTIME,
                "%s: shape %s, expected (N), (N, 1) or (N, classes) with N of 1 to %d and at most %d classes",
                array->place, shape, DATA_COUNT_MAX, DATASET_CLASSES_MAX);
    free(shape);
    return false;
}

static bool fail_label(const struct label_reading *reading, int64_t element, double value, const char *expected,
                       struct status *status)
{
    char *place = npz_element(reading->array, element);
    status_fail(status, STATUS_RUNTIME, "%s: label %.9g, expected %s", place, value, expected);
    free(place);
    return false;
}

static bool take_label(struct label_reading *reading, int64_t element, double value, struct status *status)
{
    if (!(value >= 0 && value < DATASET_CLASSES_MAX) || (double)(int64_t)value != value)
        return fail_label(reading, element, value, "a whole number of 0 to 65535", status);
    reading->labels[element] = (uint16_t)value;
    return true;
}

/* Takes an element of an array of ones and zeros, in which every row has a single one: in the column of its label. */
static bool take_column(struct label_reading *reading, int64_t element, double value, struct status *status)
{
    bool by_columns = reading->array->header.fortran_order;
    int64_t row = by_columns ? element % reading->count : element / reading->columns;
    int64_t column = by_columns ? element / reading->count : element % reading->columns;
    if (value == 0) return true;
    if (value != 1) return fail_label(reading, element, value, "0 or 1, as there is a column for each class", status);
    if (reading->seen[row])
        return status_fail(status, STATUS_RUNTIME,
                           "%s[%" PRId64 "]: a second 1 in the row, expected one class for each image",
                           reading->array->place, row);
    reading->seen[row] = true, reading->labels[row] = (uint16_t)column;
    return true;
}

static bool take_labels(void *taker, uint8_t *bytes, int64_t count, struct status *status)
{
    struct label_reading *reading = taker;
    npy_values(&reading->array->header, bytes, count, reading->values);
    for (int64_t i = 0; i < count; i++, reading->done++) {
        double value = reading->values[i];
        if (!(reading->columns > 0 ? take_column(reading, reading->done, value, status)
                                   : take_label(reading, reading->done, value, status)))
            return false;
    }
    return true;
}

static bool check_rows(const struct label_reading *reading, struct status *status)
{
    for (int64_t row = 0; reading->columns > 0 && row < reading->count; row++)
        if (!reading->seen[row])
            return status_fail(status, STATUS_RUNTIME, "%s[%" PRId64 "]: no 1 in the row, expected one class",
                               reading->array->place, row);
    return true;
}

static bool read_labels(const struct npz *npz, const struct npz_array *array, uint16_t *labels, struct status *status)
{
    struct label_reading reading = {.array = array, .labels = labels};
    if (!count_labels(array, &reading.count, &reading.columns, status)) return false;
    reading.seen = memory_alloc((size_t)reading.count, sizeof *reading.seen);
    int64_t size = array->header.count < NPZ_PIECE_SIZE ? array->header.count : NPZ_PIECE_SIZE;
    reading.values = memory_alloc((size_t)size, sizeof *reading.values);
    bool good = npz_read(npz, array, take_labels, &reading, status) && check_rows(&reading, status);
    free(reading.seen);
    free(reading.values);
    return good;
}

/* --- sets --- */

/* A data set that is read. */
struct loading {
    const struct npz *npz;
    struct dataset *dataset;
    bool with_pixels;
    enum npz_scale scale;
    int64_t columns; /* classes that have a column each in the training labels, or 0 */
    struct status *status;
};

static bool check_size(const struct loading *loading, const struct npz_array *images, const struct npz_layout *layout)
{
    struct dataset *dataset = loading->dataset;
    if (dataset->height == 0)
        dataset->channels = layout->channels, dataset->height = layout->height, dataset->width = layout->width;
    if (layout->channels == dataset->channels && layout->height == dataset->height && layout->width == dataset->width)
        return true;
    return status_fail(loading->status, STATUS_RUNTIME,
                       "%s: images of %" PRId64 "x%" PRId64 "x%" PRId64 " (CxHxW), expected %" PRId64 "x%" PRId64
                       "x%" PRId64 " as in %s",
                       images->place, layout->channels, layout->height, layout->width, dataset->channels,
                       dataset->height, dataset->width, loading->npz->arrays[NPZ_TRAIN][NPZ_IMAGES].name);
}

/* Returns what the elements of an array of images are. */
static const char *kind_of(const struct npz_array *array)
{
    if (array->header.dtype == SAFETENSORS_BOOL) return "truth values";
    return safetensors_dtype_is_real(array->header.dtype) ? "floats" : "whole numbers";
}

/* Two kinds of elements would have two scales. */
static bool check_kind(const struct loading *loading, const struct npz_array *images)
{
    const struct npz_array *train = &loading->npz->arrays[NPZ_TRAIN][NPZ_IMAGES];
    if (kind_of(images) == kind_of(train)) return true;
    return status_fail(loading->status, STATUS_RUNTIME, "%s: %s, expected %s as in %s", images->place, kind_of(images),
                       kind_of(train), train->name);
}

static bool read_pixels(struct loading *loading, struct image_set *set, const struct npz_array *images,
                        const struct npz_layout *layout)
{
    int64_t size = layout->channels * layout->height * layout->width;
    set->pixels = memory_alloc_aligned((size_t)(set->count * size));
    dataset_keep(loading->dataset, set->pixels, 0);
    return npz_pixels_read(loading->npz, images, layout, &loading->scale, set->pixels, loading->status);
}

static bool read_set(struct loading *loading, enum npz_set which, struct image_set *set)
{
    const struct npz_array *const arrays = loading->npz->arrays[which];
    struct npz_layout layout;
    int64_t count, columns;
    if (!count_labels(&arrays[NPZ_LABELS], &count, &columns, loading->status)) return false;
    if (which == NPZ_TRAIN) loading->columns = columns;
    if (!npz_layout_find(&layout, &arrays[NPZ_IMAGES], &arrays[NPZ_LABELS], count, loading->status) ||
        !check_size(loading, &arrays[NPZ_IMAGES], &layout) || !check_kind(loading, &arrays[NPZ_IMAGES]))
        return false;
    image_set_alloc_labels(loading->dataset, set, count);
    return read_labels(loading->npz, &arrays[NPZ_LABELS], set->labels, loading->status) &&
           (!loading->with_pixels || read_pixels(loading, set, &arrays[NPZ_IMAGES], &layout));
}

/* Reads the sets and settles their classes. Columns of labels tell the number of classes where nothing else does. */
static bool read_sets(struct loading *loading, const struct dataset_source *source)
{
    struct dataset *dataset = loading->dataset;
    struct image_set *const sets[NPZ_SETS] = {&dataset->train, &dataset->validation, &dataset->test};
    struct dataset_source settled = *source;
    struct label_file files[NPZ_SETS];
    int count = 0;
    for (enum npz_set which = 0; which < NPZ_SETS; which++) {
        const struct npz_array *labels = &loading->npz->arrays[which][NPZ_LABELS];
        if (!labels->name) continue;
        if (!read_set(loading, which, sets[which])) return false;
        files[count++] = (struct label_file){labels->place, sets[which], 0, sets[which]->count, 0, 0};
    }
    if (settled.classes == 0) settled.classes = loading->columns;
    return classes_settle(dataset, &settled, files, count, loading->status);
}

/* Says which arrays have no name that has a meaning: one of them may be meant as a test set. */
static void warn_of_unused(const struct npz *npz)
{
    if (npz->unused) warning_print("%s: arrays not used: %s", npz->path, npz->unused);
}

bool npz_load(struct dataset *dataset, const struct dataset_source *source, struct status *status)
{
    struct npz npz;
    *dataset = (struct dataset){0};
    if (!npz_open(&npz, source->path, status)) return false;
    struct loading loading = {&npz, dataset, !source->labels_only, .status = status};
    bool good = read_sets(&loading, source);
    if (good) warn_of_unused(&npz);
    npz_close(&npz);
    if (!good) dataset_free(dataset);
    return good;
}
