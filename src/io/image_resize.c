/* Scales pictures in Pillow's arithmetic for 8 bits: an output is a weighted mean of its neighbours, whose weights fall
 * linearly with the distance. The weights are whole numbers of 2^-22. Rows are scaled along their length, and a sum of
 * rows is a row of the result; of the picture only the rows that one result needs are kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/image_private.h"
#include "util/memory.h"

enum { WEIGHT_BITS = 22 };

/* The inputs of one output: weight[k] belongs to the input first + k. */
struct window {
    int64_t first, count;
    int32_t *weight;
};

/* One direction of a picture. */
struct direction {
    int64_t first, end;    /* the inputs that are used, and the one behind them */
    int64_t most;          /* inputs of one output at most */
    struct window *window; /* one for each output */
    int32_t *weights;
};

/* --- weights --- */

static double triangle(double x)
{
    return fmax(1 - fabs(x), 0);
}

/* Finds the inputs around a centre and their weights, whose sum is 1. `shares` has room for them. */
static void window_fill(struct window *window, double *shares, double centre, double reach, int64_t inputs)
{
    double sum = 0;
    int64_t end = (int64_t)fmin(centre + reach + 0.5, (double)inputs);
    window->first = (int64_t)fmax(centre - reach + 0.5, 0);
    window->count = end - window->first;
    for (int64_t k = 0; k < window->count; k++) {
        shares[k] = triangle(((double)(k + window->first) - centre + 0.5) * (1 / reach));
        sum += shares[k];
    }
    for (int64_t k = 0; k < window->count; k++)
        window->weight[k] = (int32_t)(0.5 + shares[k] / sum * (1 << WEIGHT_BITS));
    while (window->count > 1 && window->weight[window->count - 1] == 0) window->count--;
}

static void direction_widen(struct direction *direction, const struct window *window)
{
    int64_t end = window->first + window->count;
    if (end > direction->end) direction->end = end;
    if (window->count > direction->most) direction->most = window->count;
}

/* Makes the windows of `outputs` results over the inputs from `from` to `to`. */
static struct direction direction_create(int64_t inputs, float from, float to, int64_t outputs)
{
    struct direction direction = {.window = memory_alloc((size_t)outputs, sizeof *direction.window)};
    double scale = (double)(to - from) / (double)outputs, reach = fmax(scale, 1);
    int64_t room = 2 * (int64_t)ceil(reach) + 1;
    direction.weights = memory_alloc((size_t)(outputs * room), sizeof *direction.weights);
    double *shares = memory_alloc((size_t)room, sizeof *shares);
    for (int64_t i = 0; i < outputs; i++) {
        direction.window[i].weight = direction.weights + i * room;
        window_fill(&direction.window[i], shares, from + ((double)i + 0.5) * scale, reach, inputs);
        direction_widen(&direction, &direction.window[i]);
    }
    direction.first = direction.window[0].first;
    free(shares);
    return direction;
}

static void direction_free(struct direction *direction)
{
    free(direction->window);
    free(direction->weights);
}

/* --- scaling --- */

static uint8_t rounded(int32_t sum)
{
    int32_t value = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    return value > 255 ? 255 : (uint8_t)value;
}

static void scale_row_of_1(const struct direction *across, const uint8_t *from, uint8_t *to, int64_t width)
{
    for (int64_t w = 0; w < width; w++) {
        const struct window *window = &across->window[w];
        const uint8_t *pixel = from + (window->first - across->first);
        int32_t sum = 0;
        for (int64_t k = 0; k < window->count; k++) sum += window->weight[k] * pixel[k];
        to[w] = rounded(sum);
    }
}

static void scale_row_of_3(const struct direction *across, const uint8_t *from, uint8_t *to, int64_t width)
{
    for (int64_t w = 0; w < width; w++, to += 3) {
        const struct window *window = &across->window[w];
        const uint8_t *pixel = from + 3 * (window->first - across->first);
        int32_t red = 0, green = 0, blue = 0;
        for (int64_t k = 0; k < window->count; k++, pixel += 3) {
            red += window->weight[k] * pixel[0];
            green += window->weight[k] * pixel[1];
            blue += window->weight[k] * pixel[2];
        }
        to[0] = rounded(red), to[1] = rounded(green), to[2] = rounded(blue);
    }
}

/* Where each output is one input, nothing is scaled: the weights sum to 1. */
static void scale_row(const struct direction *across, const uint8_t *from, uint8_t *to, int64_t width, int64_t channels)
{
    if (across->most == 1 && across->end - across->first == width)
        memcpy(to, from, (size_t)(width * channels));
    else if (channels == 1)
        scale_row_of_1(across, from, to, width);
    else
        scale_row_of_3(across, from, to, width);
}

/* What image_resample works with. A row of the picture means its columns from across.first to across.end. */
struct resampling {
    const struct image_rows *rows;
    const struct image_target *to;
    struct direction across, down;
    bool rows_first;    /* each row of the picture is scaled along its length before rows are summed; else after that */
    int64_t kept_width; /* pixels of a kept row */
    uint8_t *kept;      /* rows of the picture; row h is at h % down.most */
    int64_t next;       /* the first row that is not kept yet */
    uint8_t *line;      /* a row of the picture */
    uint8_t *summed;    /* a sum of kept rows */
    int32_t *sums;      /* the same before it is rounded */
    uint8_t *result;    /* a row of the result */
};

/* Pillow sums first where that makes the picture much smaller. Its rule, and so the last bits, are those of version 13.
 */
static bool scales_rows_first(const struct image_rows *rows, const struct image_target *to)
{
    int64_t fewer_rows = rows->view.height - to->height, fewer_columns = rows->view.width - to->width;
    return fewer_rows <= 0 || fewer_rows <= 2 * fewer_columns;
}

static uint8_t *kept_row(const struct resampling *work, int64_t h)
{
    return work->kept + h % work->down.most * work->kept_width * work->rows->channels;
}

/* Reads the rows from `first` to before `end` that are not kept yet. */
static void keep_rows(struct resampling *work, int64_t first, int64_t end)
{
    int64_t used = work->across.end - work->across.first;
    if (work->next < first) work->next = first;
    for (; work->next < end; work->next++) {
        uint8_t *kept = kept_row(work, work->next);
        image_rows_read(work->rows, work->next, work->across.first, used, work->rows_first ? work->line : kept);
        if (work->rows_first) scale_row(&work->across, work->line, kept, work->to->width, work->rows->channels);
    }
}

static void sum_rows(const struct resampling *work, const struct window *window)
{
    int64_t count = work->kept_width * work->rows->channels;
    if (window->count == 1) {
        memcpy(work->summed, kept_row(work, window->first), (size_t)count);
        return;
    }
    memset(work->sums, 0, (size_t)count * sizeof *work->sums);
    for (int64_t k = 0; k < window->count; k++) {
        const uint8_t *row = kept_row(work, window->first + k);
        int32_t weight = window->weight[k];
        for (int64_t i = 0; i < count; i++) work->sums[i] += weight * row[i];
    }
    for (int64_t i = 0; i < count; i++) work->summed[i] = rounded(work->sums[i]);
}

static void write_row(const struct resampling *work, int64_t h, const uint8_t *row)
{
    int64_t channels = work->rows->channels;
    for (int64_t c = 0; c < channels; c++) {
        uint8_t *to = work->to->pixels + c * work->to->plane + h * work->to->row;
        for (int64_t w = 0; w < work->to->width; w++) to[w] = row[w * channels + c];
    }
}

static void resample_row(struct resampling *work, int64_t h)
{
    const struct window *window = &work->down.window[h];
    keep_rows(work, window->first, window->first + window->count);
    sum_rows(work, window);
    if (!work->rows_first) scale_row(&work->across, work->summed, work->result, work->to->width, work->rows->channels);
    write_row(work, h, work->rows_first ? work->summed : work->result);
}

static void take_memory(struct resampling *work)
{
    int64_t used = work->across.end - work->across.first;
    size_t channels = (size_t)work->rows->channels;
    work->kept_width = work->rows_first ? work->to->width : used;
    work->kept = memory_alloc((size_t)(work->down.most * work->kept_width), channels);
    work->line = memory_alloc((size_t)used, channels);
    work->summed = memory_alloc((size_t)work->kept_width, channels);
    work->sums = memory_alloc((size_t)work->kept_width * channels, sizeof *work->sums);
    work->result = memory_alloc((size_t)work->to->width, channels);
}

void image_resample(const struct image_rows *rows, const struct image_box *box, const struct image_target *to)
{
    struct resampling work = {.rows = rows, .to = to, .rows_first = scales_rows_first(rows, to)};
    work.across = direction_create(rows->view.width, box->left, box->right, to->width);
    work.down = direction_create(rows->view.height, box->top, box->bottom, to->height);
    take_memory(&work);
    for (int64_t h = 0; h < to->height; h++) resample_row(&work, h);
    direction_free(&work.across), direction_free(&work.down);
    free(work.kept), free(work.line), free(work.summed), free(work.sums), free(work.result);
}
