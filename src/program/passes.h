/* The passes over a program beside gradient.h, and the check that none of them breaks it. */
#ifndef PROGRAM_PASSES_H
#define PROGRAM_PASSES_H

#include "program/program.h"

/* Puts the batch normalization right after a convolution or linear layer, by running statistics, into copies of that
 * layer's weight and bias: FOLD ops that run once, where the input says `refresh`. Results agree to within rounding.
 * Before program_fuse, on a program without gradients. Does nothing where the backend does not fold. */
void program_fold(struct program *program);

/* Makes one op of a batch normalization, the sum of its output and another tensor, the activation after it and the pool
 * after that, where the backend supports that and nothing else reads what is between; the sum and the pool may be missing.
 * Results are the same to the bit on the CPU. Before program_gradient. */
void program_fuse(struct program *program);

/* Puts the UPDATE of a weight right behind the CONV2D_BACKWARD that writes its gradient, which then takes the step along:
 * the gradient is in a cache. Results are the same to the bit. Does nothing where the backend must not fuse, where
 * gradients are clipped, or where the rule wants whole matrices. Before program_coalesce. For the `rewrite` of backends
 * that can do so. */
void program_attach(struct program *program);

/* Joins UPDATE ops of one elementwise rule over tensors that are neighbours in their arenas into ops over ranges. A rule
 * that wants whole tensors is left alone. */
void program_coalesce(struct program *program);

/* Lets ops of stream 0 wait for those of other streams (`join` of struct op) where they would touch what these read or
 * write. Streams are for the `rewrite` of backends that have several. */
void program_join(struct program *program);

/* The place of the op that waits for this one of another stream, and for all before it; op_count: the end of the program
 * does. */
int program_joined_at(const struct program *program, int op);

/* The first and last op in which a tensor is alive; first > last: never. A tensor of SPACE_WORK is alive from the op that
 * writes it to the last one that reads it. An op of another stream than 0 may still read and write its tensors in those
 * before program_joined_at. One that is kept, or written in the once part, is alive in all ops. */
struct program_life {
    int first, last;
};
struct program_life program_life(const struct program *program, int tensor);

/* The lives of all tensors, in a new array; free with free(). */
struct program_life *program_lives(const struct program *program);

/* Gives every tensor of SPACE_WORK its place, so that two tensors share bytes only where the life of one ends before
 * the other's begins. Sets work_bytes. `shared` false: each has bytes of its own. The last pass, after which none adds a
 * tensor. */
void program_place(struct program *program, bool shared);

/* The last passes: the backend's rewrite, program_coalesce, program_join, program_place. */
void program_finish(struct program *program, bool shared);

/* The largest sum of the bytes of the tensors of SPACE_WORK that are alive in one op: no plan takes less. */
int64_t program_work_bound(const struct program *program);

/* Writes the tensors of SPACE_WORK whose life ends with the op, at most `max`, and returns their number. A test may
 * overwrite them after the op: nothing reads them before they are written again. */
int program_dead_after(const struct program *program, int op, int *tensors, int max);

/* What a program reads and writes in the arenas: for each op and operand, how many ops wrote its bytes before it read
 * them. A pass that moves or joins ops takes it before, and compares after. */
struct program_versions;
struct program_versions *program_versions_take(const struct program *program);

/* Stops by CHECK, with the op's number and name, where
 *   an operand is missing or too many, or a shape does not fit the others,
 *   an op writes what it reads, or a tensor of an arena in part,
 *   a tensor of SPACE_WORK is read before it is written, or written twice. One that is kept may have no writer: the host
 *   writes it,
 *   a gradient of a parameter is read before the op that writes it as a whole,
 *   an UPDATE is attached to an op that does not write its dw as the gradient of a convolution's weight, or pairs w with the gradient of another,
 *   two tensors that are alive at once share bytes, once they are placed,
 *   an op of another stream runs beside one of stream 0 that writes what it touches, or reads what it writes.
 * With `before` (or NULL), which is freed, also where an op of the same kind read another version in the same slot, or
 * a tensor of an arena is written another number of times. It runs after every pass. */
void program_check(const struct program *program, struct program_versions *before);

/* The same check as a question: true where there is a fault, with the first one described in `text`. Frees nothing. */
bool program_fault(const struct program *program, const struct program_versions *before, char *text, size_t size);
void program_versions_free(struct program_versions *versions); /* NULL is allowed */

#endif
