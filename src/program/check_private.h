/* What the parts of program_check share. */
#ifndef PROGRAM_CHECK_PRIVATE_H
#define PROGRAM_CHECK_PRIVATE_H

#include "program/passes.h"

/* Where the description of a fault is written. */
struct fault_text {
    char *text;
    size_t size;
};

/* Describes a fault of an op, behind the op's number and name. Returns true, for `return fault(...)`. */
bool program_fault_at(const struct program *program, int op, const struct fault_text *fault, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* True where two tensors have bytes in common before any placement: they are one, or share a part of an arena. */
bool program_overlap(const struct program *program, int a, int b);

/* True where the tensor's bytes are all in those of `within`. */
bool program_contains(const struct program *program, int within, int tensor);

/* True where two tensors of one space have bytes in common by their places. */
bool program_share_bytes(const struct program_tensor *x, const struct program_tensor *y);

/* True where one of two ops writes bytes that the other reads or writes. */
bool program_ops_collide(const struct program *program, int a, int b);

/* True where the op has a stream that it must not have, or runs beside one with which it collides. */
bool program_streams_wrong(const struct program *program, int op, const struct fault_text *fault);

/* True where a tensor of the op has not the shape that the others tell. */
bool program_shapes_misfit(const struct program *program, int op, const struct fault_text *fault);

/* True where the program reads or writes other versions than `before`. */
bool program_versions_differ(const struct program *program, const struct program_versions *before,
                             const struct fault_text *fault);

#endif
