/* Dropout: to = mask * from / (1 - rate), the mask drawn anew from its counters in both directions (struct
 * dropout_params in backend.h), so nothing is stored. */
#include "backend/cpu/cpu_install.h"

#include "trainer/philox.h"

enum { WORDS = 4 };

struct dropout_task {
    const struct dropout_params *params;
    uint32_t step;
    struct shape shape;
    const real *from;
    real *to;
};

/* Iterations are the rows [block][h][w], of N x 16 elements. */
static void dropout_rows(void *argument, int64_t first, int64_t last)
{
    const struct dropout_task *task = argument;
    const struct dropout_params *params = task->params;
    struct shape s = task->shape;
    int64_t plane = s.h * s.w, blocks = cpu_blocks(s.c);
    float rate = (float)params->rate;
    real scale = (real)(1 / (1 - params->rate));
    for (int64_t row = first; row < last; row++) {
        int64_t block = row / plane, pixel = row % plane;
        for (int64_t n = 0; n < s.n; n++) {
            uint64_t index = (uint64_t)(((n * plane + pixel) * blocks + block) * CPU_BLOCK);
            int64_t at = (row * s.n + n) * CPU_BLOCK;
            for (int lane = 0; lane < CPU_BLOCK; lane += WORDS) {
                struct philox_words words =
                    philox_draw(params->seed, params->stream, task->step, (index + (uint64_t)lane) / WORDS);
                for (int i = 0; i < WORDS; i++) {
                    real value = task->from[at + lane + i] * scale;
                    task->to[at + lane + i] = philox_uniform(words.word[i]) < rate ? 0 : value;
                }
            }
        }
    }
}

static void cpu_dropout(struct backend *backend, const struct dropout_params *params, const struct tensor *from,
                        const struct tensor *to)
{
    CHECK(shape_equal(from->shape, to->shape));
    CHECK(params->rate >= 0 && params->rate < 1);
    struct shape s = from->shape;
    uint32_t step = (uint32_t)cpu_backend_of(backend)->state.step;
    struct dropout_task task = {params, step, s, from->data, to->data};
    enum { PHILOX_COST = 10 };
    cpu_for(backend, cpu_blocks(s.c) * s.h * s.w, s.n * CPU_BLOCK * PHILOX_COST, dropout_rows, &task);
}

void CPU_EXPORT(cpu_dropout_install)(struct backend_ops *ops)
{
    ops->dropout = cpu_dropout;
}
