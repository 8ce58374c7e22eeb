/* Tests that program_check finds every fault that it knows, in a program that is right but for that fault. */
#include <signal.h>
#include <string.h>
#include <criterion/criterion.h>

#include "program_samples.h"

static struct sample s;

static void start(void)
{
    s = sample_create();
}

static void end(void)
{
    sample_free(&s);
}

TestSuite(program_check, .init = start, .fini = end);

static struct op *op_at(int place)
{
    return &s.program->ops[place];
}

/* Fails unless there is a fault whose description has this text. Frees the versions. */
static void expect_fault(struct program_versions *before, const char *text)
{
    char fault[512] = "";
    cr_assert(program_fault(s.program, before, fault, sizeof fault), "no fault is found: %s", text);
    cr_assert(strstr(fault, text), "\"%s\" has no \"%s\"", fault, text);
    program_versions_free(before);
}

static void expect_none(struct program_versions *before)
{
    char fault[512] = "";
    cr_assert(!program_fault(s.program, before, fault, sizeof fault), "%s", fault);
    program_versions_free(before);
}

Test(program_check, a_program_without_a_fault_passes)
{
    expect_none(NULL);
    expect_none(program_versions_take(s.program));
    program_place(s.program, true);
    expect_none(program_versions_take(s.program));
    program_check(s.program, program_versions_take(s.program));
}

Test(program_check, a_fault_stops_the_program, .signal = SIGABRT)
{
    op_at(s.norm)->tensor[NORM_RSTD] = -1;
    program_check(s.program, NULL);
}

Test(program_check, the_description_names_the_op)
{
    op_at(s.norm)->tensor[NORM_RSTD] = -1;
    expect_fault(NULL, "op 3 (norm): rstd is missing");
}

/* --- operands and shapes --- */

Test(program_check, a_slot_that_the_kind_does_not_have)
{
    op_at(s.flatten)->tensor[FLATTEN_Y + 1] = s.x1;
    expect_fault(NULL, "there is no slot 2");
}

Test(program_check, a_tensor_that_the_program_does_not_have)
{
    op_at(s.flatten)->tensor[FLATTEN_X] = s.program->tensor_count;
    expect_fault(NULL, "has no tensor");
}

Test(program_check, an_op_that_writes_nothing)
{
    for (int slot = CONV2D_BACKWARD_DX; slot <= CONV2D_BACKWARD_DBIAS; slot++)
        op_at(s.conv2d_backward)->tensor[slot] = -1;
    expect_fault(NULL, "it writes nothing");
}

/* Every operand whose shape is told by the others, replaced by a tensor of a shape that is nobody's. */
Test(program_check, a_wrong_shape_in_any_slot)
{
    int odd = sample_activation(&s, "odd", 7, 11);
    s.program->tensors[odd].keep = true;
    for (int i = 1; i < s.program->op_count; i++) {
        for (int slot = 0; slot < OP_OPERANDS; slot++) {
            int was = op_at(i)->tensor[slot];
            if (was < 0 || i == s.clip || was == s.metrics) continue;
            op_at(i)->tensor[slot] = odd;
            char fault[512];
            cr_assert(program_fault(s.program, NULL, fault, sizeof fault), "op %d, slot %d", i + 1, slot);
            cr_assert(strstr(fault, "fit") || strstr(fault, "is not that of"), "op %d, slot %d: %s", i + 1, slot,
                      fault);
            op_at(i)->tensor[slot] = was;
        }
    }
    expect_none(NULL);
}

Test(program_check, a_convolution_of_another_geometry)
{
    op_at(s.conv2d)->conv2d.window.stride = 2;
    expect_fault(NULL, "op 2 (conv2d): the shape of y is not that of the other operands' result");
    op_at(s.conv2d)->conv2d.window.stride = 1;
    op_at(s.conv2d_backward)->conv2d.window.stride = 2;
    expect_fault(NULL, "(conv2d backward): the shape of dy is not that of the other operands' result");
}

Test(program_check, a_filter_of_another_size)
{
    op_at(s.conv2d)->conv2d.window.kernel = 5;
    expect_fault(NULL, "its operands do not fit together");
}

/* --- reading and writing --- */

Test(program_check, an_op_that_writes_what_it_reads)
{
    op_at(s.activation_backward)->tensor[ACTIVATION_BACKWARD_DX] = s.dx3;
    expect_fault(NULL, "it writes dx, which shares bytes with its dy");
}

Test(program_check, an_op_that_writes_one_tensor_twice)
{
    op_at(s.norm)->tensor[NORM_RSTD] = s.mean;
    expect_fault(NULL, "it writes mean, which shares bytes with its rstd");
}

Test(program_check, operands_that_share_bytes_of_an_arena)
{
    s.program->tensors[s.db1].offset = s.program->tensors[s.dw1].offset + 8;
    expect_fault(NULL, "shares bytes with its");
}

Test(program_check, a_read_before_the_write)
{
    sample_move(s.program, s.activation, s.norm);
    expect_fault(NULL, "x is read before");
}

Test(program_check, a_tensor_that_nothing_writes)
{
    program_remove(s.program, 0);
    expect_fault(NULL, "no op writes x (tensor");
    s.program->tensors[s.x0].keep = s.program->tensors[s.labels].keep = true;
    expect_none(NULL);
}

/* The values of a run before would be read. */
Test(program_check, a_kept_tensor_is_not_read_before_the_op_that_writes_it)
{
    s.program->tensors[s.x2].keep = true;
    sample_move(s.program, s.activation, s.norm);
    expect_fault(NULL, "x is read before");
}

Test(program_check, a_second_write)
{
    program_insert(s.program, s.flatten, *op_at(s.activation));
    expect_fault(NULL, "is written a second time");
}

/* A fold runs once. What it wrote would be gone in the second run. */
Test(program_check, a_write_over_the_once_part)
{
    int kept = sample_activation(&s, "kept", 320, 1), copy = sample_activation(&s, "copy", 320, 1);
    s.program->tensors[kept].keep = true;
    struct op once = SAMPLE_OP(DROPOUT, FORWARD, -1, kept, copy), again = SAMPLE_OP(DROPOUT, FORWARD, -1, s.x4, copy);
    program_insert(s.program, 0, once);
    s.program->once_count = 1;
    expect_none(NULL);
    program_insert(s.program, s.linear + 2, again);
    expect_fault(NULL, "is written a second time");
}

Test(program_check, the_once_part_reads_nothing_that_comes_later)
{
    int copy = sample_activation(&s, "copy", 5, 8);
    program_insert(s.program, 0, SAMPLE_OP(DROPOUT, FORWARD, -1, s.x2, copy));
    s.program->once_count = 1;
    expect_fault(NULL, "from is read before");
}

/* The gradients of the first convolution would be clipped before they are there. */
Test(program_check, a_range_that_is_read_before_all_of_it_is_written)
{
    sample_move(s.program, s.clip, s.conv2d_backward);
    expect_fault(NULL, "x is read before");
}

/* A parameter, unlike a gradient, has its value of the step before. */
Test(program_check, a_parameter_is_read_before_the_op_that_writes_it)
{
    program_add(s.program, SAMPLE_OP(DROPOUT, OPTIMIZER, -1, s.dw0, s.w0));
    expect_none(NULL);
}

Test(program_check, a_part_of_a_tensor_is_not_written)
{
    int half = sample_tensor(&s, "half", TENSOR_FLAT, shape_vector(8), SPACE_GRADIENTS);
    op_at(s.clip)->tensor[CLIP_X] = half;
    expect_fault(NULL, "x covers only a part of tensor");
    s.program->tensors[half].bytes = s.program->tensors[s.dw0].bytes;
    expect_none(NULL);
}

/* --- updates --- */

/* Joins the updates of all parameters to one, as program_coalesce does, with a gap of `shift` bytes. */
static void join_updates(int64_t shift)
{
    struct shape all = s.program->tensors[s.gradients].shape;
    int w = sample_tensor(&s, "w", TENSOR_FLAT, all, SPACE_PARAMETERS);
    int dw = sample_tensor(&s, "dw", TENSOR_FLAT, all, SPACE_GRADIENTS);
    s.program->tensors[dw].offset = shift;
    for (int i = 0; i < 6; i++) program_remove(s.program, s.updates);
    program_add(s.program, SAMPLE_OP(UPDATE, OPTIMIZER, -1, w, dw));
}

Test(program_check, joined_updates_write_the_versions_of_single_ones)
{
    int range = sample_tensor(&s, "range", TENSOR_FLAT, s.program->tensors[s.gradients].shape, SPACE_PARAMETERS);
    int average = sample_tensor(&s, "average", TENSOR_FLAT, s.program->tensors[s.gradients].shape, SPACE_AVERAGE);
    program_add(s.program, SAMPLE_OP(AVERAGE, OPTIMIZER, -1, average, range));
    struct program_versions *before = program_versions_take(s.program);
    struct op last = *op_at(s.program->op_count - 1);
    program_remove(s.program, s.program->op_count - 1);
    join_updates(0);
    program_add(s.program, last);
    expect_none(before);
    before = program_versions_take(s.program);
    sample_move(s.program, s.program->op_count - 1, s.updates);
    expect_fault(before, "(average): w reads version 0 of tensor");
}

Test(program_check, joined_updates_by_gradients_of_others)
{
    join_updates(64);
    expect_fault(NULL, "dw has the gradient of tensor");
}

Test(program_check, an_update_that_got_lost)
{
    struct program_versions *before = program_versions_take(s.program);
    program_remove(s.program, s.updates + 2);
    expect_fault(before, "(gamma) is written 0 times, and was 1 times");
}

/* As a fold does, which reads what a normalization read. */
Test(program_check, an_op_of_a_new_kind_is_compared_with_none)
{
    int copy = sample_tensor(&s, "copy", TENSOR_FILTER, s.program->tensors[s.w0].shape, SPACE_WORK);
    struct program_versions *before = program_versions_take(s.program);
    program_insert(s.program, s.clip, SAMPLE_OP(DROPOUT, FORWARD, -1, s.w0, copy));
    expect_none(before);
}

/* A new range within a tensor changes nothing of what is compared. */
Test(program_check, an_update_that_got_lost_beside_a_new_range)
{
    struct program_versions *before = program_versions_take(s.program);
    int half = sample_tensor(&s, "half", TENSOR_FLAT, shape_vector(8), SPACE_PARAMETERS);
    s.program->tensors[half].offset = s.program->tensors[s.w1].offset;
    program_remove(s.program, s.updates + 4);
    expect_fault(before, "(w1) is written 0 times, and was 1 times");
}

Test(program_check, an_update_that_is_done_twice)
{
    struct program_versions *before = program_versions_take(s.program);
    program_add(s.program, *op_at(s.updates + 5));
    expect_fault(before, "w reads version 1 of tensor");
}

/* The fault that trains, slightly worse: the gradient of the input reads the weight after its update. */
Test(program_check, an_update_before_the_input_gradient)
{
    program_remove(s.program, s.clip);
    struct op input = *op_at(s.linear_backward), weight = input;
    input.tensor[CONV2D_BACKWARD_DWEIGHT] = input.tensor[CONV2D_BACKWARD_DBIAS] = -1;
    weight.tensor[CONV2D_BACKWARD_DX] = -1;
    *op_at(s.linear_backward) = weight;
    program_insert(s.program, s.linear_backward + 1, input);
    struct program_versions *before = program_versions_take(s.program);
    expect_none(NULL);
    int update = s.updates + 4; /* of w1 */
    cr_assert_eq(op_at(update)->tensor[UPDATE_W], s.w1);
    sample_move(s.program, update, s.linear_backward + 1);
    expect_none(NULL); /* by itself the list is in order */
    expect_fault(before, "(conv2d backward): weight reads version 1 of tensor");
}

/* The backward pass of a batch normalization computes the activation's input anew, by gamma and beta. */
Test(program_check, an_update_of_beta_before_the_backward_pass_that_reads_it)
{
    program_remove(s.program, s.clip);
    struct op first = *op_at(s.norm_backward), second = first;
    first.tensor[NORM_BACKWARD_DX] = -1;
    second.tensor[NORM_BACKWARD_DGAMMA] = second.tensor[NORM_BACKWARD_DBETA] = -1;
    *op_at(s.norm_backward) = first;
    program_insert(s.program, s.norm_backward + 1, second);
    struct program_versions *before = program_versions_take(s.program);
    int update = s.updates + 3;
    cr_assert_eq(op_at(update)->tensor[UPDATE_W], s.beta);
    sample_move(s.program, update, s.norm_backward + 1);
    expect_fault(before, "(norm backward): beta reads version 1 of tensor");
}

Test(program_check, an_update_before_the_clip)
{
    struct program_versions *before = program_versions_take(s.program);
    sample_move(s.program, s.clip, s.program->op_count - 1);
    expect_fault(before, "(update): dw reads version 1 of tensor");
}

Test(program_check, an_update_that_is_attached)
{
    program_remove(s.program, s.clip);
    struct program_versions *before = program_versions_take(s.program);
    int weight = s.updates - 1, place = s.conv2d_backward + 1;
    sample_move(s.program, weight, place);
    op_at(place)->attached = true;
    expect_none(before);
    sample_move(s.program, weight + 1, place + 1); /* the bias */
    op_at(place + 1)->attached = true;
    expect_fault(NULL, "only an update behind a convolution's backward pass is attached");
}

Test(program_check, an_update_that_is_attached_to_another_layers_op)
{
    program_remove(s.program, s.clip);
    int update = s.updates - 1; /* of w0 */
    op_at(update)->attached = true;
    expect_none(NULL);
    op_at(update)->tensor[UPDATE_W] = s.b1;
    op_at(update)->tensor[UPDATE_DW] = s.db1;
    expect_fault(NULL, "it is attached to an op that does not write its dw as a dweight");
}

Test(program_check, an_update_that_is_attached_to_an_op_of_another_kind)
{
    op_at(s.updates)->attached = true; /* behind the clip */
    expect_fault(NULL, "only an update behind a convolution's backward pass is attached");
}

Test(program_check, only_an_update_is_attached)
{
    op_at(s.clip)->attached = true; /* behind a convolution's backward pass */
    expect_fault(NULL, "only an update behind a convolution's backward pass is attached");
}

/* --- places --- */

Test(program_check, a_gradient_in_the_memory_of_the_one_that_it_is_computed_from)
{
    program_place(s.program, true);
    s.program->tensors[s.dx2].offset = s.program->tensors[s.dx3].offset;
    expect_fault(NULL, "(dx2) and");
}

Test(program_check, a_tensor_in_the_memory_of_one_that_is_read_later)
{
    program_place(s.program, true);
    s.program->tensors[s.x4].offset = s.program->tensors[s.x2].offset;
    expect_fault(NULL, "are alive and share bytes");
}

Test(program_check, a_tensor_that_was_added_after_the_places)
{
    program_place(s.program, true);
    int late = sample_activation(&s, "late", 10, 1);
    program_insert(s.program, s.loss, SAMPLE_OP(DROPOUT, FORWARD, -1, s.x5, late));
    expect_fault(NULL, "are alive and share bytes");
}

Test(program_check, a_tensor_behind_the_end_of_the_block)
{
    program_place(s.program, true);
    s.program->tensors[s.x3].offset = s.program->work_bytes - 8;
    expect_fault(NULL, "(x3) is not in the block");
}
