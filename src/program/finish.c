/* The last passes over a program (passes.h). */
#include "program/passes.h"

void program_finish(struct program *program, bool shared)
{
    struct backend *backend = program->backend;
    if (backend->table->rewrite) backend->table->rewrite(backend, program);
    program_coalesce(program);
    program_join(program);
    program_place(program, shared);
}
