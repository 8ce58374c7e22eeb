/* A program: a list of operations on tensors, for one backend and batches of up to max_n samples. A network is built as
 * such lists once, passed through passes that change a list, prepared by the backend and then run:
 *
 *   training    forward ops -> fuse -> gradient -> clip, update, average -> finish -> prepare
 *   evaluation  forward ops -> fold -> fuse                              -> finish -> prepare
 *
 * Programs share parameters, gradients and statistics by a space and an offset in it; whoever runs a program gives each
 * space its base address. Tensors of SPACE_WORK live from the op that writes them to the last one that reads them, and
 * share memory (passes.h). */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdio.h>

#include "program/op.h"

enum space {
    SPACE_PARAMETERS,
    SPACE_GRADIENTS,
    SPACE_STATISTICS, /* running means and variances */
    SPACE_MOMENT_0,   /* state of the optimizer, laid out as the parameters */
    SPACE_MOMENT_1,
    SPACE_AVERAGE, /* moving average of the parameters, and that of the statistics */
    SPACE_AVERAGE_STATISTICS,
    SPACE_ROUNDED,           /* parameters and gradients in the type of activations, each at the place of its */
    SPACE_ROUNDED_GRADIENTS, /* elements in the arena: the own memory of a prepared program (prepared.h) */
    SPACE_CONSTANTS,         /* class weights */
    SPACE_METRICS,
    SPACE_WORK,
    SPACE_EXTERNAL, /* base NULL: the offset is an address */
    SPACES,
};

struct program_tensor {
    const char *name; /* for people and messages, as "dx"; a string that outlives the program */
    int name_index;   /* number that follows the name in a listing; -1: none */
    enum tensor_kind kind;
    struct shape shape; /* where it scales with the batch, n is the program's largest */
    bool batch;         /* n is the batch at hand when the program runs */
    enum space space;
    int64_t offset; /* bytes from the base of its space; SPACE_WORK: set by program_place */
    size_t bytes;   /* for the largest batch */
    int gradient;   /* parameters: the tensor of SPACE_GRADIENTS that gets its gradient; -1: none is wanted */
    bool keep;      /* lives through the whole program, and nothing shares its memory */
};

struct program {
    struct backend *backend; /* tells sizes and what it supports */
    int64_t max_n;
    struct program_tensor *tensors;
    int tensor_count, tensor_capacity;
    struct op *ops;
    int op_count, op_capacity;
    int once_count;     /* ops[0 .. once_count-1] run only where the input says `refresh` */
    int64_t work_bytes; /* of SPACE_WORK; set by program_place */
};

struct program *program_create(struct backend *backend, int64_t max_n);
void program_free(struct program *program); /* NULL is allowed */

/* Add a tensor and return its number. program_tensor_add takes it as it is and fills in `bytes`. The others make one
 * of SPACE_WORK: an activation (max_n,C,H,W), which scales with the batch; a vector (C); one like another tensor. */
int program_tensor_add(struct program *program, struct program_tensor tensor);
int program_activation(struct program *program, const char *name, int64_t c, int64_t h, int64_t w);
int program_vector(struct program *program, const char *name, int64_t c);
int program_like(struct program *program, const char *name, int tensor);

/* Adds an op at the end. An empty slot of the op's main output becomes a new tensor of SPACE_WORK with the shape that
 * the row tells. Returns the number of the op. */
int program_add(struct program *program, struct op op);

/* Adds the op and returns the tensor of its main output. */
int program_output(struct program *program, struct op op);

/* Puts the op at a place, and those from there on behind it. */
void program_insert(struct program *program, int place, struct op op);
void program_remove(struct program *program, int place);

/* Puts tensor `to` in every slot that has `from`. */
void program_replace(struct program *program, int from, int to);

/* The number of ops that read the tensor, and the one that writes it; -1: none (a parameter), or the first of
 * several. */
int program_readers(const struct program *program, int tensor);
int program_writer(const struct program *program, int tensor);

/* The last op that touches bytes first .. last - 1 of a space; -1: none. */
int program_last_touch(const struct program *program, enum space space, int64_t first, int64_t last);

/* The bytes of an element of an arena. */
size_t program_element_size(const struct program *program, enum space space);

/* The shape of the tensor in a slot; all zero for an empty slot. */
struct shape program_shape(const struct program *program, const struct op *op, int slot);

/* The floating-point operations of an op for the largest batch, and the bytes of all its tensors. */
double program_flops(const struct program *program, const struct op *op);
int64_t program_bytes(const struct program *program, const struct op *op);

/* What an op starts on the device, and the bytes that this moves, for the largest batch; all zero on a backend that does not
 * count launches. */
struct program_launches {
    int count;
    int64_t bytes;
};
struct program_launches program_launches(const struct program *program, const struct op *op);

/* The sum over the ops behind the once part: a step, or the evaluation of a batch. */
struct program_launches program_launches_sum(const struct program *program);

/* Writes a tensor's name for people: "x3", and "w0.." for a range of an arena that begins with w0. */
void program_tensor_name(const struct program *program, int tensor, char *text, size_t size);

/* Prints a line per op: what it reads and writes, the shape of its main result, FLOPs, bytes of its tensors, the ops
 * from which to which its main result is alive, the layers that it computes, and whether it runs once, within the op
 * before it or after all ops before it on every stream. A tensor with a * is changed in place. The last line sums up. A
 * backend that counts launches adds two columns: the launches of each op, and the 10^6 bytes that these move. A program of
 * several streams adds that of each op, counted from 1. For programs that program_check passes. */
void program_print(const struct program *program, FILE *out);

#endif
