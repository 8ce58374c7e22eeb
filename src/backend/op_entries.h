/* Computes the ops of a program by the entries of a backend's table. */
#ifndef BACKEND_OP_ENTRIES_H
#define BACKEND_OP_ENTRIES_H

#include "backend/prepared.h"

extern const struct op_function op_entries[OP_KIND_COUNT];

#endif
