/* The order of ops on several streams (passes.h, struct op). */
#include "program/check_private.h"

static bool is_beside(const struct op *op)
{
    return op->stream > 0;
}

int program_joined_at(const struct program *program, int op)
{
    int at = op + 1;
    while (at < program->op_count && !program->ops[at].join) at++;
    return at;
}

/* True where an op of stream 0 may not run beside one of another stream since the last join. */
static bool must_wait(const struct program *program, int op, int since)
{
    for (int other = since; other < op; other++)
        if (is_beside(&program->ops[other]) && program_ops_collide(program, other, op)) return true;
    return false;
}

static bool has_streams(const struct program *program)
{
    for (int i = 0; i < program->op_count; i++)
        if (is_beside(&program->ops[i]) || program->ops[i].join) return true;
    return false;
}

void program_join(struct program *program)
{
    int since = 0;
    if (!has_streams(program)) return;
    for (int i = 0; i < program->op_count; i++) {
        struct op *op = &program->ops[i];
        op->join = !is_beside(op) && must_wait(program, i, since);
        if (op->join) since = i;
    }
    program_check(program, NULL);
}
