/* Tests the table that program_print writes. */
#include <stdlib.h>
#include <criterion/criterion.h>

#include "program/op_title.h"
#include "program_samples.h"
#include "util/memory.h"

static struct sample s;

static void start(void)
{
    s = sample_create();
}

static void end(void)
{
    sample_free(&s);
}

TestSuite(program_print, .init = start, .fini = end);

static void expect_table(const char *expected)
{
    char *text;
    size_t size;
    FILE *stream = memory_stream(&text, &size);
    program_print(s.program, stream);
    memory_stream_close(stream, &text);
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(program_print, a_line_per_op)
{
    s.program->tensors[s.x5].keep = true;
    s.program->op_count = s.updates + 1; /* one update is enough here */
    expect_table(
        " #  op                     reads                             writes                shape  MFLOP  MiB   life  layer\n"
        " 1  gather                                                   x0, labels          4x3x8x8      -    -   1-12      -\n"
        " 2  conv2d 3x3             x0, w0, b0                        x1                  4x5x8x8    0.1    -   2-11      0\n"
        " 3  norm                   x1, gamma, beta                   x2, mean, rstd      4x5x8x8      -    -   3-10      1\n"
        " 4  relu                   x2                                x3                  4x5x8x8      -    -    4-5      2\n"
        " 5  flatten                x3                                x4                    4x320      -    -    5-8      3\n"
        " 6  linear                 x4, w1, b1                        x5                     4x10      -    -   kept      4\n"
        " 7  softmax cross-entropy  x5, labels                        metrics*, dx5          4x10      -    -    7-8      -\n"
        " 8  linear backward        x4, w1, dx5                       dx4, dw1, db1         4x320    0.1  0.1    8-9      4\n"
        " 9  flatten backward       dx4                               dx3                 4x5x8x8      -    -   9-10      3\n"
        "10  relu backward          x2, dx3                           dx2                 4x5x8x8      -    -  10-11      2\n"
        "11  norm backward          x1, gamma, beta, mean, rstd, dx2  dx1, dgamma, dbeta  4x5x8x8      -    -  11-12      1\n"
        "12  conv2d 3x3 backward    x0, w0, dx1                       dw0, db0            5x3x3x3    0.1    -      -      0\n"
        "13  clip                                                     gradients..*          3,376      -    -      -      -\n"
        "14  update sgd             dw0                               w0*                 5x3x3x3      -    -      -      -\n"
        "14 ops for a batch of 4: 0.2 MFLOP; working memory: not placed, alive at once: 0.0 MiB\n");
}

/* What is updated in place moves twice. */
Test(program_print, counts_launches_where_the_backend_does)
{
    s.backend->counts_launches = true;
    s.program->op_count = s.norm;
    program_add(s.program, SAMPLE_OP(UPDATE, OPTIMIZER, -1, s.w0, s.dw0));
    s.program->tensors[s.x1].bytes = 3000000;
    s.program->tensors[s.w0].bytes = s.program->tensors[s.dw0].bytes = 2000000;
    expect_table(
        "#  op          reads       writes        shape  MFLOP  MiB  life  layer  launches  MB moved\n"
        "1  gather                  x0, labels  4x3x8x8      -    -   1-2      -         1         -\n"
        "2  conv2d 3x3  x0, w0, b0  x1          4x5x8x8    0.1  4.8     2      0         1       5.0\n"
        "3  update sgd  dw0         w0*         5x3x3x3      -  3.8     -      -         1       6.0\n"
        "3 ops for a batch of 4: 0.1 MFLOP; working memory: not placed, alive at once: 2.9 MiB; 3 launches move 11.0 MB\n");
}

Test(program_print, places_an_attached_update_and_the_once_part)
{
    int from = sample_activation(&s, "from", 320, 1), copy = sample_activation(&s, "copy", 320, 1);
    s.program->tensors[from].keep = true;
    s.program->op_count = s.norm; /* the end of the forward pass is enough here */
    program_insert(s.program, 0, SAMPLE_OP(DROPOUT, FORWARD, -1, from, copy));
    s.program->once_count = 1;
    program_add(s.program, SAMPLE_OP(UPDATE, OPTIMIZER, -1, s.w0, s.dw0));
    s.program->tensors[s.x1].name = "x", s.program->tensors[s.x1].name_index = 17;
    s.program->tensors[s.x1].bytes = 3 << 20;
    program_place(s.program, true);
    s.program->ops[3].attached = true; /* the table takes it as it is */
    expect_table("#  op          reads       writes        shape  MFLOP  MiB  life  layer\n"
                 "1  dropout 0   from        copy          4x320      -    -   1-4      -  once\n"
                 "2  gather                  x0, labels  4x3x8x8      -    -   2-3      -\n"
                 "3  conv2d 3x3  x0, w0, b0  x17         4x5x8x8    0.1  3.0     3      0\n"
                 "4  update sgd  dw0         w0*         5x3x3x3      -    -     -      -  within the op before it\n"
                 "4 ops for a batch of 4: 0.1 MFLOP; working memory: 3.0 MiB, alive at once: 3.0 MiB\n");
}

/* --- titles --- */

static void expect_title(struct op op, const char *expected)
{
    char text[64];
    op_title(s.program, &op, text, sizeof text);
    cr_assert_str_eq(text, expected);
}

Test(program_print, the_title_of_a_convolution_has_its_window)
{
    struct op op = s.program->ops[s.conv2d];
    expect_title(op, "conv2d 3x3");
    op.conv2d = (struct conv2d_params){{5, 2, 1}, 1};
    expect_title(op, "conv2d 5x5/2");
    op.conv2d.groups = 16;
    expect_title(op, "conv2d 5x5/2/g16");
    op.conv2d = (struct conv2d_params){{1, 1, 0}, 1};
    expect_title(op, "conv2d 1x1"); /* of an image */
    expect_title(s.program->ops[s.linear], "linear");
    expect_title(s.program->ops[s.linear_backward], "linear backward");
}

Test(program_print, the_title_of_a_norm_has_its_parts)
{
    struct op op = s.program->ops[s.norm];
    expect_title(op, "norm");
    op.norm.activation.kind = ACTIVATION_RELU;
    expect_title(op, "norm + relu");
    op.norm.pooled = true;
    op.norm.pool = (struct pool_params){POOL_MAX, {3, 2, 1}};
    expect_title(op, "norm + relu + max-pool 3x3/2");
    op.tensor[NORM_ADDEND] = s.x1;
    expect_title(op, "norm + addend + relu + max-pool 3x3/2");
    struct op around = s.program->ops[s.norm];
    around.norm.rectified = true, around.norm.dropout.rate = 0.25;
    expect_title(around, "relu + norm + dropout 0.25");
    struct op evaluate = SAMPLE_OP(NORM_EVALUATE, FORWARD, 0, s.x1);
    evaluate.norm = op.norm;
    expect_title(evaluate, "relu + max-pool 3x3/2"); /* the normalization is folded */
    expect_title(s.program->ops[s.norm_backward], "norm backward");
}

Test(program_print, titles_of_other_kinds)
{
    struct op op = SAMPLE_OP(POOL, FORWARD, 0, s.x1);
    op.pool = (struct pool_params){POOL_AVERAGE, {2, 2, 0}};
    expect_title(op, "average-pool 2x2/2");
    op = SAMPLE_OP(DROPOUT, FORWARD, 0, s.x1);
    op.dropout.rate = 0.25;
    expect_title(op, "dropout 0.25");
    op.phase = PHASE_BACKWARD;
    expect_title(op, "dropout 0.25 backward");
    op = SAMPLE_OP(ELEMENTWISE, FORWARD, 0, s.x1);
    op.elementwise = (struct elementwise_params){.op = ELEMENTWISE_AFFINE, .scale = 2, .shift = -1};
    expect_title(op, "2 * a + -1");
    op = SAMPLE_OP(ACTIVATION, FORWARD, 0, s.x1);
    op.activation.kind = ACTIVATION_LEAKY_RELU;
    expect_title(op, "leaky_relu");
    op = SAMPLE_OP(UPDATE, OPTIMIZER, 0, s.w0);
    op.update.kind = OPTIMIZER_ADAM;
    expect_title(op, "update adam");
    op.update.kind = OPTIMIZER_ADAMW;
    expect_title(op, "update adamw");
}

Test(program_print, a_long_title_is_cut)
{
    char text[8];
    op_title(s.program, &s.program->ops[s.loss], text, sizeof text);
    cr_assert_str_eq(text, "softmax");
}
