/* Tests the search for a learning rate. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "session_support.h"
#include "train/lr_find.h"

static const char config[] = "[data]\ndataset = synthetic\nsynthetic_train = 200\nsynthetic_size = 6\n"
                             "normalization = channel\n"
                             "[model]\nhidden = 20\n"
                             "[train]\nmax_steps = 10\nbatch_size = 20\n"
                             "[schedule]\nname = cosine\nwarmup_steps = 5\n"
                             "[backend]\ndevice = cpu\n";

struct seen {
    int count;
    double last;
};

static void see(void *argument, const struct lr_point *point, int step)
{
    struct seen *seen = argument;
    cr_expect_eq(step, seen->count);
    cr_expect_gt(point->rate, seen->last);
    seen->count++, seen->last = point->rate;
}

static struct lr_find find(struct lr_range range, int threads, struct seen *seen)
{
    struct session *session = session_open(config, threads);
    struct lr_find found = lr_find_run(&session->trainer, range, seen ? see : NULL, seen);
    session_close(session);
    return found;
}

Test(lr_find, rates_grow_by_one_factor_whatever_the_schedule_says)
{
    struct seen seen = {0};
    struct lr_find found = find((struct lr_range){1e-5, 1e-2, 31}, 1, &seen);
    cr_assert_eq(found.count, 31);
    cr_expect_eq(seen.count, 31);
    cr_expect_not(found.diverged);
    for (int i = 0; i < 31; i++)
        cr_expect_float_eq(found.points[i].rate / (1e-5 * pow(10, i / 10.0)), 1, 1e-12, "%d", i);
    lr_find_free(&found);
}

/* A step of rate 0.1 is that of a run whose rate is 0.1. */
Test(lr_find, a_step_is_one_of_training)
{
    struct lr_find found = find((struct lr_range){0.05, 0.1, 20}, 2, NULL);
    struct session *session = session_open(config, 2);
    for (int i = 0; i < 20; i++) {
        session->trainer.learning_rate = found.points[i].rate;
        cr_expect_eq(session_step_loss(session), found.points[i].loss, "step %d", i);
    }
    session_close(session);
    lr_find_free(&found);
}

/* The suggestion lies where the loss falls: below the rate of the lowest loss, and above the first. */
Test(lr_find, a_rate_is_suggested_where_the_loss_falls)
{
    struct lr_find found = find((struct lr_range){1e-6, 100, 120}, 2, NULL);
    cr_assert(found.steepest > 0 && found.steepest <= found.lowest, "%d, %d", found.steepest, found.lowest);
    double rate = found.points[found.steepest].rate, lowest = found.points[found.lowest].smoothed;
    cr_expect(rate > 1e-4 && rate < 10, "%g", rate);
    cr_expect_lt(lowest, 0.9 * found.points[0].loss);
    for (int i = 0; i < found.count; i++) cr_expect_not(found.points[i].smoothed < lowest);
    lr_find_free(&found);
}

/* Where nothing is learnt nothing is suggested. */
Test(lr_find, no_rate_is_suggested_where_the_loss_grows_from_the_start)
{
    struct lr_find found = find((struct lr_range){1e3, 1e6, 20}, 1, NULL);
    cr_expect(found.diverged);
    cr_expect_eq(found.steepest, -1);
    lr_find_free(&found);
}

Test(lr_find, the_table_has_a_row_for_each_step)
{
    char *text, *line;
    size_t size;
    struct lr_find found = find((struct lr_range){1e-3, 1e-2, 20}, 1, NULL);
    FILE *out = memory_stream(&text, &size);
    lr_find_write(&found, out);
    memory_stream_close(out, &text);
    int rows = 0;
    for (line = text; (line = strchr(line, '\n')); line++) rows++;
    cr_expect_eq(rows, 21);
    cr_expect(strncmp(text, "learning_rate,loss,smoothed_loss\n0.001,", 39) == 0, "%.60s", text);
    free(text);
    lr_find_free(&found);
}
