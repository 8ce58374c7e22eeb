/* Tests the lives of a program's tensors, and that their places share memory where lives allow it, and only there. */
#include <stdlib.h>
#include <criterion/criterion.h>

#include "program/gradient.h"
#include "program_samples.h"
#include "util/philox.h"

enum { HUGE_PAGE = 2 << 20 };

static struct sample s;

static void start(void)
{
    s = sample_create();
}

static void end(void)
{
    sample_free(&s);
}

TestSuite(program_place, .init = start, .fini = end);

static void expect_no_fault(const struct program *program)
{
    char fault[512] = "";
    cr_assert(!program_fault(program, NULL, fault, sizeof fault), "%s", fault);
}

static void expect_life(int tensor, int first, int last)
{
    struct program_life life = program_life(s.program, tensor);
    cr_assert(life.first == first && life.last == last, "%s lives from %d to %d", s.program->tensors[tensor].name,
              life.first, life.last);
}

Test(program_place, a_tensor_lives_from_its_writer_to_its_last_reader)
{
    expect_life(s.x0, 0, s.conv2d_backward);
    expect_life(s.x1, s.conv2d, s.norm_backward);
    expect_life(s.x3, s.activation, s.flatten);
    expect_life(s.dx5, s.loss, s.linear_backward);
    expect_life(s.dx1, s.norm_backward, s.conv2d_backward);
}

Test(program_place, a_tensor_without_a_reader_lives_where_it_is_written)
{
    program_remove(s.program, s.norm_backward);
    expect_life(s.rstd, s.norm, s.norm);
}

Test(program_place, a_tensor_without_an_op_never_lives)
{
    int idle = sample_activation(&s, "idle", 1000, 1000);
    struct program_life life = program_life(s.program, idle);
    cr_assert_gt(life.first, life.last);
    program_place(s.program, false);
    cr_assert_lt(s.program->work_bytes, (int64_t)s.program->tensors[idle].bytes);
}

Test(program_place, a_kept_tensor_shares_nothing)
{
    int last = s.program->op_count - 1;
    s.program->tensors[s.x5].keep = true;
    expect_life(s.x5, 0, last);
    int host = sample_activation(&s, "host", 30, 1);
    s.program->tensors[host].keep = true;
    expect_life(host, 0, last);
    program_place(s.program, true);
    expect_no_fault(s.program);
}

Test(program_place, the_once_part_writes_for_all_runs)
{
    int from = sample_activation(&s, "from", 320, 1), copy = sample_activation(&s, "copy", 320, 1);
    s.program->tensors[from].keep = true;
    program_insert(s.program, 0, SAMPLE_OP(DROPOUT, FORWARD, -1, from, copy));
    expect_life(copy, 0, 0);
    s.program->once_count = 1;
    expect_life(copy, 0, s.program->op_count - 1);
    for (int i = 0, dead[200]; i < s.program->op_count; i++)
        for (int k = program_dead_after(s.program, i, dead, 200) - 1; k >= 0; k--) cr_assert_neq(dead[k], copy);
}

Test(program_place, lives_that_do_not_meet_share_memory)
{
    program_place(s.program, true);
    expect_no_fault(s.program);
    int64_t shared = s.program->work_bytes;
    program_place(s.program, false);
    expect_no_fault(s.program);
    cr_assert_lt(shared, s.program->work_bytes);
    cr_assert_geq(shared, program_work_bound(s.program));
}

static bool meet(const struct program_tensor *a, const struct program_tensor *b)
{
    return a->offset < b->offset + (int64_t)b->bytes && b->offset < a->offset + (int64_t)a->bytes;
}

Test(program_place, without_sharing_every_tensor_has_its_own_memory)
{
    program_place(s.program, false);
    for (int a = 0; a < s.program->tensor_count; a++)
        for (int b = 0; b < a; b++) {
            const struct program_tensor *x = &s.program->tensors[a], *y = &s.program->tensors[b];
            if (x->space == SPACE_WORK && y->space == SPACE_WORK)
                cr_assert_not(meet(x, y), "%s and %s", x->name, y->name);
        }
}

Test(program_place, a_program_without_working_memory)
{
    struct program *empty = program_create(s.backend, SAMPLE_N);
    program_place(empty, true);
    cr_assert_eq(empty->work_bytes, 0);
    cr_assert_eq(program_work_bound(empty), 0);
    program_free(empty);
}

/* --- which tensors are dead --- */

Test(program_place, every_tensor_dies_once_behind_its_last_reader)
{
    s.program->tensors[s.x5].keep = true;
    int died[200] = {0}, dead[200];
    for (int i = 0; i < s.program->op_count; i++) {
        int count = program_dead_after(s.program, i, dead, 200);
        for (int k = 0; k < count; k++) {
            died[dead[k]]++;
            cr_assert(op_reads(&s.program->ops[i], dead[k]) || op_writes(&s.program->ops[i], dead[k]));
            for (int later = i + 1; later < s.program->op_count; later++)
                cr_assert_not(op_reads(&s.program->ops[later], dead[k]));
        }
    }
    for (int t = 0; t < s.program->tensor_count; t++)
        cr_assert_eq(died[t], s.program->tensors[t].space == SPACE_WORK && t != s.x5, "%s", s.program->tensors[t].name);
}

/* --- a network of the size of configs/convnet.ini --- */

struct convnet {
    struct program *program;
    int64_t channels, size, arena;
    int x;
};

static int add_parameter(struct convnet *net, enum tensor_kind kind, struct shape shape)
{
    struct program_tensor tensor = {
        .name = "g", .name_index = -1, .kind = kind, .shape = shape, .space = SPACE_GRADIENTS, .gradient = -1};
    tensor.offset = net->arena;
    int gradient = program_tensor_add(net->program, tensor);
    tensor.name = "p", tensor.space = SPACE_PARAMETERS, tensor.gradient = gradient;
    net->arena += (int64_t)net->program->tensors[gradient].bytes;
    return program_tensor_add(net->program, tensor);
}

static void add_conv2d(struct convnet *net, int64_t outputs, struct window window)
{
    struct op op = op_make(OP_CONV2D);
    op.conv2d = (struct conv2d_params){window, 1};
    op.tensor[CONV2D_X] = net->x;
    op.tensor[CONV2D_WEIGHT] =
        add_parameter(net, TENSOR_FILTER, (struct shape){outputs, net->channels, window.kernel, window.kernel});
    op.tensor[CONV2D_BIAS] = add_parameter(net, TENSOR_VECTOR, shape_vector(outputs));
    net->x = program_output(net->program, op);
    net->channels = outputs;
}

/* Batch normalization with an activation, and a pool where `pool`. */
static void add_norm(struct convnet *net, bool pool)
{
    struct op op = op_make(OP_NORM);
    struct shape channels = shape_vector(net->channels);
    op.norm.activation.kind = ACTIVATION_RELU;
    op.norm.pooled = pool;
    op.norm.pool = (struct pool_params){POOL_MAX, {3, 2, 1}};
    op.tensor[NORM_X] = net->x;
    op.tensor[NORM_GAMMA] = add_parameter(net, TENSOR_VECTOR, channels);
    op.tensor[NORM_BETA] = add_parameter(net, TENSOR_VECTOR, channels);
    op.tensor[NORM_MEAN] = program_vector(net->program, "mean", net->channels);
    op.tensor[NORM_RSTD] = program_vector(net->program, "rstd", net->channels);
    if (pool) {
        net->size /= 2;
        op.tensor[NORM_SAVED] = program_activation(net->program, "saved", net->channels, net->size, net->size);
    }
    net->x = program_output(net->program, op);
}

static void add_loss(struct convnet *net, int labels)
{
    struct op op = op_make(OP_SOFTMAX_CROSS_ENTROPY);
    op.tensor[SOFTMAX_CROSS_ENTROPY_LOGITS] = net->x;
    op.tensor[SOFTMAX_CROSS_ENTROPY_LABELS] = labels;
    struct program_tensor metrics = {.name = "metrics", .name_index = -1, .kind = TENSOR_METRICS, .bytes = 24};
    metrics.shape = shape_vector(3), metrics.space = SPACE_METRICS, metrics.gradient = -1;
    op.tensor[SOFTMAX_CROSS_ENTROPY_METRICS] = program_tensor_add(net->program, metrics);
    program_add(net->program, op);
}

/* The ConvNet's training step up to the gradients, with dropout behind each block of layers. */
static struct program *make_convnet(struct backend *backend, int64_t n, double dropout)
{
    static const int64_t features[] = {64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0};
    struct convnet net = {.program = program_create(backend, n), .channels = 3, .size = 32};
    struct op gather = op_make(OP_GATHER), flatten = op_make(OP_FLATTEN);
    net.x = gather.tensor[GATHER_X] = program_activation(net.program, "x", 3, 32, 32);
    struct program_tensor labels = {.name = "labels", .name_index = -1, .kind = TENSOR_LABELS, .bytes = (size_t)n * 4};
    labels.shape = (struct shape){n, 1, 1, 1}, labels.space = SPACE_WORK, labels.gradient = -1;
    gather.tensor[GATHER_LABELS] = program_tensor_add(net.program, labels);
    program_add(net.program, gather);
    for (int i = 0; i < 12; i++) {
        if (features[i] == 0) continue;
        add_conv2d(&net, features[i], (struct window){3, 1, 1});
        add_norm(&net, features[i + 1] == 0);
        if (dropout == 0) continue;
        struct op drop = op_make(OP_DROPOUT);
        drop.dropout.rate = dropout;
        drop.tensor[DROPOUT_FROM] = net.x;
        net.x = program_output(net.program, drop);
    }
    flatten.tensor[FLATTEN_X] = net.x;
    net.x = program_output(net.program, flatten);
    add_conv2d(&net, 10, (struct window){1, 1, 0});
    add_loss(&net, gather.tensor[GATHER_LABELS]);
    program_gradient(net.program, NULL);
    return net.program;
}

/* Where a batch is a power of two, large tensors fill whole huge pages, and the plan is what is alive at once. Of other
 * batches each leaves a part of a page, which only small tensors fill. */
Test(program_place, a_convnet_takes_little_more_than_what_is_alive_at_once)
{
    static const struct {
        int64_t n;
        double most;
    } batches[] = {{1, 1.01}, {8, 1.01}, {32, 1.01}, {128, 1.01}, {50, 1.15}, {100, 1.15}};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        for (int dropout = 0; dropout < 2; dropout++) {
            struct program *program = make_convnet(s.backend, batches[i].n, 0.25 * dropout);
            program_place(program, true);
            expect_no_fault(program);
            double bound = (double)program_work_bound(program), bytes = (double)program->work_bytes;
            cr_assert_leq(bytes, batches[i].most * bound, "batch %d: %.0f bytes, %.0f alive", (int)batches[i].n, bytes,
                          bound);
            program_place(program, false);
            cr_assert_geq((double)program->work_bytes, 1.7 * bound);
            program_free(program);
        }
}

Test(program_place, places_are_aligned)
{
    struct program *program = make_convnet(s.backend, 50, 0.25);
    for (int shared = 0; shared < 2; shared++) {
        program_place(program, shared);
        int large = 0;
        for (int t = 0; t < program->tensor_count; t++) {
            const struct program_tensor *tensor = &program->tensors[t];
            if (tensor->space != SPACE_WORK) continue;
            large += tensor->bytes >= HUGE_PAGE;
            cr_assert_eq(tensor->offset % (tensor->bytes >= HUGE_PAGE ? HUGE_PAGE : 64), 0, "tensor %d", t);
        }
        cr_assert_gt(large, 4);
    }
    program_free(program);
}

/* --- programs by chance --- */

struct chance {
    uint64_t seed, index;
};

static int64_t draw(struct chance *chance, int64_t below)
{
    return philox_draw(chance->seed, 0, 0, chance->index++).word[0] % below;
}

/* Of four tensors one fills more than a huge page, and of eight one is kept. */
static int add_any_tensor(struct program *program, struct chance *chance)
{
    int tensor = program_activation(program, "x", 1, 1, 1);
    program->tensors[tensor].bytes = (size_t)(draw(chance, 4) == 0 ? draw(chance, 5 << 20) : 1 + draw(chance, 9999));
    program->tensors[tensor].keep = tensor == 0 || draw(chance, 8) == 0;
    return tensor;
}

/* Sums of tensors that are near in the list, or far. The first two are in the once part. */
static struct program *make_any(struct backend *backend, struct chance *chance)
{
    struct program *program = program_create(backend, 1);
    add_any_tensor(program, chance);
    for (int i = 0; i < 40; i++) {
        struct op add = op_make(OP_ADD);
        int reach = draw(chance, 3) == 0 ? program->tensor_count : 3;
        if (reach > program->tensor_count) reach = program->tensor_count;
        for (int slot = ADD_A; slot <= ADD_C; slot++)
            add.tensor[slot] = program->tensor_count - 1 - (int)draw(chance, reach);
        add.tensor[ADD_Y] = add_any_tensor(program, chance);
        program_add(program, add);
    }
    program->once_count = 2;
    return program;
}

/* Marks every line of 64 bytes with the tensor that was written there last, and checks the marks at each reading. */
static void run_with_marks(const struct program *program, int *marks, int first)
{
    for (int i = first; i < program->op_count; i++)
        for (int slot = ADD_A; slot <= ADD_Y; slot++) {
            int t = program->ops[i].tensor[slot];
            if (t < 0) continue;
            int64_t line = program->tensors[t].offset / 64;
            int64_t end = program->tensors[t].offset + (int64_t)program->tensors[t].bytes;
            bool good = true;
            for (; line * 64 < end; line++) {
                good &= slot == ADD_Y || marks[line] == t;
                marks[line] = t;
            }
            cr_assert(good, "op %d does not find tensor %d", i + 1, t);
        }
}

Test(program_place, programs_by_chance_find_what_they_wrote)
{
    double sum = 0; /* of the plans' bytes, in what is alive at once */
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct chance chance = {seed, 0};
        struct program *program = make_any(s.backend, &chance);
        program_place(program, true);
        expect_no_fault(program);
        cr_assert_geq(program->work_bytes, program_work_bound(program));
        sum += (double)program->work_bytes / (double)program_work_bound(program);
        int *marks = calloc((size_t)program->work_bytes / 64 + 1, sizeof *marks); /* the host has written tensor 0 */
        for (int64_t line = 0; line < program->work_bytes / 64; line++) marks[line] = -1;
        for (int64_t line = 0; line * 64 < (int64_t)program->tensors[0].bytes; line++)
            marks[program->tensors[0].offset / 64 + line] = 0;
        run_with_marks(program, marks, 0);
        run_with_marks(program, marks, program->once_count);
        free(marks);
        program_free(program);
    }
    cr_assert_leq(sum, 50 * 1.14, "%.3f", sum / 50); /* the rest are gaps before huge pages */
}
