/* Tests the update of a weight within the op that computes its gradient: for every convolution of op_cases.c, with every
 * optimizer that steps element by element, it gives the bits of an update of its own. */
#include <string.h>
#include <criterion/criterion.h>

#include "backend/prepared.h"
#include "op_cases.h"
#include "program/passes.h"
#include "support.h"

enum { STEPS = 2, TENSORS = 10 };

static const struct update updates[] = {
    {.kind = OPTIMIZER_SGD, .rate = 1},
    {.kind = OPTIMIZER_SGD, .params = {.momentum = 0.9, .nesterov = true, .weight_decay = 0.1}, .rate = 0.5},
    {.kind = OPTIMIZER_ADAM, .params = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1}, .rate = 1},
    {.kind = OPTIMIZER_ADAMW, .params = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1}, .rate = 1},
    {.kind = OPTIMIZER_LION, .params = {.beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1}, .rate = 1},
};
enum { UPDATES = sizeof updates / sizeof *updates };

/* A convolution, its gradients and the update of its weight, as a program. */
struct trial {
    struct backend *backend;
    struct program *program;
    struct prepared *prepared;
    int count;
    const char *names[TENSORS];
    struct tensor tensors[TENSORS];
};

/* Adds a tensor like one of the inputs, zeroed or with its values, and returns its number; -1 where there is no such
 * input. */
static int add(struct trial *trial, const char *name, const struct op_array *like, bool values)
{
    if (!like) return -1;
    cr_assert_lt(trial->count, TENSORS);
    trial->names[trial->count] = name;
    trial->tensors[trial->count] =
        support_tensor(trial->backend, like->kind, like->shape, values ? like->values : NULL);
    return support_external(trial->program, name, &trial->tensors[trial->count++], like->kind == TENSOR_ACTIVATION, 0);
}

static int add_input(struct trial *trial, const struct op_arrays *inputs, const char *name)
{
    return add(trial, name, op_arrays_find(inputs, name), true);
}

static void write_update(struct trial *trial, const struct update *update, const struct op_array *weight, int w, int dw)
{
    static const char *const names[] = {"the first state", "the second state"};
    struct op op = op_make(OP_UPDATE);
    op.phase = PHASE_OPTIMIZER;
    op.update = *update;
    op.tensor[UPDATE_W] = w, op.tensor[UPDATE_DW] = dw;
    for (int i = 0; i < optimizer_state_count(update->kind, &update->params); i++)
        op.tensor[UPDATE_STATE_0 + i] = add(trial, names[i], weight, false);
    program_add(trial->program, op);
}

static struct trial trial_open(struct backend *backend, const struct op_case *c, const struct op_arrays *inputs,
                               const struct update *update, bool want_dx)
{
    struct trial trial = {.backend = backend, .program = program_create(backend, c->x.n)};
    const struct op_array *weight = op_arrays_find(inputs, "weight"), *dy = op_arrays_find(inputs, "dy");
    struct op forward = op_make(OP_CONV2D), backward = op_make(OP_CONV2D_BACKWARD);
    void *base[SPACES] = {NULL};
    forward.conv2d = backward.conv2d = (struct conv2d_params){c->conv2d.window, c->conv2d.groups};
    forward.phase = PHASE_FORWARD, backward.phase = PHASE_BACKWARD;
    int x = add_input(&trial, inputs, "x"), w = add_input(&trial, inputs, "weight");
    forward.tensor[CONV2D_X] = backward.tensor[CONV2D_BACKWARD_X] = x;
    forward.tensor[CONV2D_WEIGHT] = backward.tensor[CONV2D_BACKWARD_WEIGHT] = w;
    forward.tensor[CONV2D_BIAS] = add_input(&trial, inputs, "bias");
    forward.tensor[CONV2D_Y] = add(&trial, "y", dy, false);
    backward.tensor[CONV2D_BACKWARD_DY] = add_input(&trial, inputs, "dy");
    if (want_dx) backward.tensor[CONV2D_BACKWARD_DX] = add(&trial, "dx", op_arrays_find(inputs, "x"), false);
    int dw = backward.tensor[CONV2D_BACKWARD_DWEIGHT] = add(&trial, "dweight", weight, false);
    backward.tensor[CONV2D_BACKWARD_DBIAS] = add(&trial, "dbias", op_arrays_find(inputs, "bias"), false);
    program_add(trial.program, forward);
    program_add(trial.program, backward);
    write_update(&trial, update, weight, w, dw);
    if (backend->table->rewrite)
        backend->table->rewrite(backend, trial.program); /* attaches where backend->fuse is set */
    trial.prepared = prepared_create(trial.program, backend, base);
    for (int step = 0; step < STEPS; step++) {
        struct step_state state = {.step = (uint64_t)step, .learning_rate = op_case_learning_rate(step)};
        prepared_run(trial.prepared, &(struct run_input){.state = state, .n = c->x.n});
    }
    return trial;
}

static void trial_close(struct trial *trial)
{
    prepared_free(trial->prepared);
    program_free(trial->program);
    for (int i = 0; i < trial->count; i++) tensor_free(trial->backend, &trial->tensors[i]);
}

static bool is_attached(const struct trial *trial)
{
    return trial->program->ops[trial->program->op_count - 1].attached;
}

/* alone and team are the same variant with one thread and with three. Returns whether the backend attaches. */
static bool compare(struct backend *alone, struct backend *team, const struct variant *variant, const struct op_case *c,
                    int update, bool want_dx)
{
    struct op_arrays inputs;
    op_case_inputs(c, &inputs);
    alone->fuse = false, team->fuse = true;
    struct trial apart = trial_open(alone, c, &inputs, &updates[update], want_dx);
    struct trial within = trial_open(team, c, &inputs, &updates[update], want_dx);
    bool attached = is_attached(&within);
    cr_expect_not(is_attached(&apart));
    for (int i = 0; i < apart.count; i++) {
        size_t bytes = tensor_bytes(alone, apart.tensors[i].kind, apart.tensors[i].shape);
        cr_expect_eq(memcmp(apart.tensors[i].data, within.tensors[i].data, bytes), 0, "%s, %s, update %d: %s",
                     variant->name, c->name, update, apart.names[i]);
    }
    trial_close(&apart), trial_close(&within);
    op_arrays_free(&inputs);
    return attached;
}

Test(attach, an_update_within_a_backward_pass_gives_the_bits_of_one_of_its_own)
{
    int variant_count, case_count;
    const struct variant *variants = variant_list(&variant_count);
    const struct op_case *cases = op_case_list(&case_count);
    for (int v = 0; v < variant_count; v++) {
        struct backend *alone = variant_create(&variants[v], 1), *team = variant_create(&variants[v], 3);
        for (int i = 0; alone && variants[v].host_memory && i < case_count; i++)
            for (int update = 0; cases[i].kind == OP_CONV2D && update < UPDATES; update++)
                cr_expect(compare(alone, team, &variants[v], &cases[i], update, (i + update) % 2), "%s does not attach",
                          variants[v].name);
        backend_destroy(alone), backend_destroy(team);
    }
}
