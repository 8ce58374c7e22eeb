/* Tests the order of ops on two streams: where one waits for the other, how long tensors live, and which faults
 * program_check finds. */
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "program_samples.h"
#include "util/memory.h"

static struct sample s;
static int
    beside; /* the op on stream 1: the filter's gradient of the linear layer, whose place those behind it share */

/* The sample with the backward pass of its linear layer as two ops, dw and db of them on stream 1. Those behind it have
 * moved by one place. */
static void start(void)
{
    s = sample_create();
    beside = s.linear_backward;
    struct op filter = s.program->ops[beside];
    filter.tensor[CONV2D_BACKWARD_DX] = -1;
    filter.stream = 1;
    program_insert(s.program, beside, filter);
    s.program->ops[beside + 1].tensor[CONV2D_BACKWARD_DWEIGHT] = -1;
    s.program->ops[beside + 1].tensor[CONV2D_BACKWARD_DBIAS] = -1;
    s.clip++, s.updates++;
}

static void end(void)
{
    sample_free(&s);
}

TestSuite(program_streams, .init = start, .fini = end);

static struct op *op_at(int place)
{
    return &s.program->ops[place];
}

static void expect_fault(const char *text)
{
    char fault[512] = "";
    cr_assert(program_fault(s.program, NULL, fault, sizeof fault), "no fault is found: %s", text);
    cr_assert(strstr(fault, text), "\"%s\" has no \"%s\"", fault, text);
}

static void expect_join(int place)
{
    program_join(s.program);
    for (int i = 0; i < s.program->op_count; i++)
        cr_expect_eq(op_at(i)->join, i == place, "op %d (%s)", i + 1, op_row(op_at(i)->kind)->name);
    cr_expect_eq(program_joined_at(s.program, beside), place);
    program_check(s.program, NULL);
}

/* --- where streams meet --- */

Test(program_streams, the_first_reader_waits)
{
    expect_join(s.clip);
}

Test(program_streams, without_a_limit_the_update_waits)
{
    program_remove(s.program, s.clip);
    cr_assert_eq(op_at(s.updates + 3)->tensor[UPDATE_W], s.w1);
    expect_join(s.updates + 3);
}

/* The update of a weight that the other stream still reads. */
Test(program_streams, a_writer_of_what_is_read_waits)
{
    program_remove(s.program, s.clip);
    op_at(beside)->tensor[CONV2D_BACKWARD_WEIGHT] = s.w1;
    int other = sample_tensor(&s, "other", TENSOR_FILTER, s.program->tensors[s.w1].shape, SPACE_AVERAGE);
    program_add(s.program, SAMPLE_OP(AVERAGE, OPTIMIZER, -1, s.w1, other));
    for (int i = 0; i < 6; i++) program_remove(s.program, s.updates - 1);
    expect_join(s.program->op_count - 1);
}

/* An op that reads what the other stream reads does not wait, and what nothing waits for ends with the program. */
Test(program_streams, readers_do_not_wait)
{
    s.program->op_count = s.clip;
    expect_join(s.program->op_count);
}

Test(program_streams, one_stream_has_no_joins)
{
    program_join(s.program);
    op_at(beside)->stream = 0;
    expect_join(s.program->op_count);
}

/* One wait is for all that came before; what comes later is waited for anew. */
Test(program_streams, a_later_op_is_waited_for_again)
{
    struct op second = *op_at(s.clip - 1);
    cr_assert_eq(second.kind, OP_CONV2D_BACKWARD);
    int db0 = sample_tensor(&s, "again", TENSOR_VECTOR, shape_vector(5), SPACE_WORK);
    second.tensor[CONV2D_BACKWARD_DWEIGHT] = -1;
    second.tensor[CONV2D_BACKWARD_DBIAS] = db0;
    second.stream = 1;
    program_insert(s.program, s.clip + 1, second);
    int copy = sample_tensor(&s, "copy", TENSOR_VECTOR, shape_vector(5), SPACE_WORK);
    program_add(s.program, SAMPLE_OP(DROPOUT, OPTIMIZER, -1, db0, copy));
    program_join(s.program);
    for (int i = 0; i < s.program->op_count; i++)
        cr_expect_eq(op_at(i)->join, i == s.clip || op_at(i)->tensor[UPDATE_W] == s.w0, "op %d", i + 1);
}

/* --- memory --- */

static void expect_life(int tensor, int first, int last)
{
    struct program_life life = program_life(s.program, tensor);
    cr_expect(life.first == first && life.last == last, "%s lives from %d to %d", s.program->tensors[tensor].name,
              life.first, life.last);
}

Test(program_streams, tensors_live_until_the_streams_meet)
{
    program_join(s.program);
    expect_life(s.x4, s.flatten, s.clip - 1);
    expect_life(s.dx5, s.loss, s.clip - 1);
    expect_life(s.x3, s.activation, s.flatten); /* not of the op */
    op_at(beside)->stream = 0;
    expect_life(s.dx5, s.loss, beside + 1);
}

static void move_tensor(int tensor, int to)
{
    s.program->tensors[tensor].offset = s.program->tensors[to].offset;
}

Test(program_streams, memory_is_not_used_again_before_that)
{
    program_join(s.program);
    program_place(s.program, true);
    move_tensor(s.dx2, s.dx5); /* dx5 is read by the two ops before dx2 is written */
    expect_fault("it may run beside op 8 (conv2d backward), with which it shares bytes");
}

/* --- faults --- */

Test(program_streams, a_missing_join)
{
    program_join(s.program);
    op_at(s.clip)->join = false;
    expect_fault("(clip): it may run beside op 8 (conv2d backward), with which it shares bytes");
}

Test(program_streams, a_join_that_comes_too_late)
{
    program_join(s.program);
    op_at(s.clip)->join = false, op_at(s.updates)->join = true;
    expect_fault("(clip): it may run beside");
}

Test(program_streams, streams_that_an_op_cannot_have)
{
    program_join(s.program);
    op_at(s.clip)->stream = OP_STREAMS;
    expect_fault("there is no stream 3");
    op_at(s.clip)->stream = -1;
    expect_fault("there is no stream 0");
    op_at(s.clip)->stream = 1, op_at(s.clip)->join = true;
    expect_fault("an op of stream 1 alone may wait");
    op_at(s.clip)->stream = 0;
    op_at(0)->stream = 1;
    expect_fault("(gather): an op of the once part, a gather or an attached one");
}

/* --- for people --- */

Test(program_streams, the_listing_names_them)
{
    char *text;
    size_t size;
    program_join(s.program);
    FILE *stream = memory_stream(&text, &size);
    program_print(s.program, stream);
    memory_stream_close(stream, &text);
    cr_expect(strstr(text, "life  layer  stream\n"), "%s", text);
    cr_expect(strstr(text, " 10x320      -  0.1      -      4       2\n"), "%s", text);
    cr_expect(strstr(text, "       1  waits for every stream\n"), "%s", text);
    free(text);
}
