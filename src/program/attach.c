/* Lets a weight be updated by the op that computes its gradient (passes.h). */
#include "program/passes.h"

/* The CONV2D_BACKWARD that writes the tensor as its dweight; -1: there is none. */
static int find_host(const struct program *program, int dw)
{
    int host = program_writer(program, dw);
    bool found = host >= 0 && program->ops[host].kind == OP_CONV2D_BACKWARD &&
                 program->ops[host].tensor[CONV2D_BACKWARD_DWEIGHT] == dw;
    return found ? host : -1;
}

/* A limit of the norm must see every gradient before the first update. */
static bool has_clip(const struct program *program)
{
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == OP_CLIP) return true;
    return false;
}

void program_attach(struct program *program)
{
    if (!program->backend->fuse || has_clip(program)) return;
    struct program_versions *before = program_versions_take(program);
    for (int i = 0; i < program->op_count; i++) {
        struct op update = program->ops[i];
        if (update.kind != OP_UPDATE || update.attached || optimizer_row(update.update.kind)->matrix) continue;
        int host = find_host(program, update.tensor[UPDATE_DW]);
        if (host < 0) continue;
        update.attached = true;
        program_remove(program, i);
        program_insert(program, host + 1, update);
    }
    program_check(program, before);
}
