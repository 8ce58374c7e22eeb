/* Finds and prints the batches from which batch normalization takes its statistics. */
#include "train/batch_statistics.h"

#include <inttypes.h>

#include "util/thousands.h"

enum { SET_COUNT = 3 };

/* Checks a batch of n samples. `of` names the batch for people; `key` is the key that decides its size. */
static bool check_batch(const struct trainer *trainer, int64_t n, enum layer_mode mode, const char *key, const char *of,
                        struct status *status)
{
    const struct layer *layer = network_find_single_value(trainer->network, n, mode);
    if (!layer) return true;
    char name[64];
    layer_describe(layer, name, sizeof name);
    return experiment_fail(trainer->experiment, key, status,
                           "expected more than 1 sample, as layer %d (%s) normalises by the batch and would see "
                           "one value per channel, found 1 in %s",
                           layer->index, name, of);
}

bool batch_statistics_check(const struct trainer *trainer, struct status *status)
{
    const struct evaluation_set *sets[SET_COUNT] = {&trainer->train_part, &trainer->validation_set, &trainer->test_set};
    int64_t slices = trainer->experiment->train.slices, n = trainer->experiment->train.batch_size / slices;
    const char *train_key = slices > 1 ? "train.slices" : "train.batch_size";
    if (!check_batch(trainer, n, LAYER_TRAIN, train_key, slices > 1 ? "a slice" : "a training batch", status))
        return false;
    for (int i = 0; i < SET_COUNT; i++) {
        char batch[64];
        bool whole = sets[i]->full.n == sets[i]->count;
        snprintf(batch, sizeof batch, "%s%s", whole ? "the whole " : "a batch of the ",
                 sets[i]->name ? sets[i]->name : "");
        const char *key = whole ? "model.batchnorm_batch_stats_only" : "train.eval_batch_size";
        if (sets[i]->count > 0 && !check_batch(trainer, sets[i]->full.n, LAYER_EVALUATE, key, batch, status))
            return false;
    }
    return true;
}

void batch_statistics_print(const struct trainer *trainer, FILE *out)
{
    const struct evaluation_set *sets[SET_COUNT] = {&trainer->train_part, &trainer->validation_set, &trainer->test_set};
    if (!network_needs_batches(trainer->network)) return;
    fputs("batch statistics: an evaluation normalises by batches of", out);
    const char *separator = "";
    for (int i = 0; i < SET_COUNT; i++) {
        if (sets[i]->count == 0) continue;
        fprintf(out, "%s %s (%s)", separator, thousands_format(sets[i]->full.n).text, sets[i]->name);
        separator = ",";
    }
    fputc('\n', out);
}
