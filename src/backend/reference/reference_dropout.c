/* Dropout, forward and backward alike: to = mask from / (1 - rate). The mask is 0 with probability `rate`, else 1. It is
 * drawn from counters (struct dropout_params), so both directions find the same one. */
#include "backend/reference/reference.h"
#include "util/check.h"
#include "util/philox.h"

/* True where element (n,c,h,w) is dropped, with n counted from the first sample of the whole batch. */
static bool is_dropped(const struct dropout_params *params, uint64_t step, struct shape s, int64_t n, int64_t c,
                       int64_t h, int64_t w)
{
    int64_t channels = (s.c + 15) / 16 * 16;
    uint64_t index = (uint64_t)(((n * s.h + h) * s.w + w) * channels + c);
    struct philox_words words = philox_draw(params->seed, params->stream, (uint32_t)step, index / 4);
    return philox_uniform(words.word[index % 4]) < (float)params->rate;
}

void reference_dropout(struct backend *backend, const struct op_call *call)
{
    const struct dropout_params *params = &call->op->dropout;
    const struct tensor *from = &call->tensor[DROPOUT_FROM], *to = &call->tensor[DROPOUT_TO];
    struct shape s = from->shape;
    const struct step_state *state = &call->input->state;
    (void)backend;
    CHECK(shape_equal(s, to->shape) && params->rate >= 0 && params->rate < 1);
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t c = 0; c < s.c; c++)
            for (int64_t h = 0; h < s.h; h++)
                for (int64_t w = 0; w < s.w; w++) {
                    double kept = *reference_at(from, n, c, h, w) / (1 - params->rate);
                    bool dropped = is_dropped(params, state->step, s, state->slice_first + n, c, h, w);
                    *reference_at(to, n, c, h, w) = dropped ? 0 : kept;
                }
}
