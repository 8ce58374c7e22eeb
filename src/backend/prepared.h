/* A program that a backend has prepared to run: addresses are bound, algorithms chosen, memory taken. This file has
 * what backends share: the loop over the ops, and a table of functions per kind. */
#ifndef PREPARED_H
#define PREPARED_H

#include "program/program.h"

/* What changes from run to run. */
struct run_input {
    struct step_state state;
    int64_t n;                         /* samples in the batch, 1..max_n */
    int64_t skipped;                   /* first samples that the metrics leave out */
    const struct device_dataset *data; /* GATHER's; NULL where the program has none */
    bool refresh;                      /* run the once part: weights or their addresses have changed */
};

/* An operation with the tensors at hand. data is NULL in an empty slot. */
struct op_call {
    const struct op *op;
    struct tensor tensor[OP_OPERANDS];
    void *plan;                     /* made by `prepare` of its kind */
    const struct op_call *attached; /* the UPDATE that this CONV2D_BACKWARD takes along; NULL: none */
    const struct run_input *input;
};

struct prepared;

/* What an op starts on a device: kernels, and calls of libraries, each of which counts as one. They read and write the
 * op's operands once each, those that it updates twice, and so many bytes more. For the program's largest batch. */
struct op_launches {
    int count;
    int64_t more_bytes;
};

/* How a backend computes a kind of op. */
struct op_function {
    void (*run)(struct backend *backend, const struct op_call *call); /* NULL: the kind is not supported */
    /* All optional. False for parameters and operands that the backend does not compute; NULL: it computes all. */
    bool (*supports)(const struct backend *backend, const struct op *op);
    /* The bytes of the slot `saved`, for an output y of that shape; NULL: none. */
    size_t (*saved_bytes)(const struct backend *backend, const struct op *op, struct shape y);
    /* Makes what the op keeps between runs, from the call with the largest batch. The calls of the ops before it are
     * prepared already. */
    void *(*prepare)(const struct prepared *prepared, const struct op_call *call);
    void (*release)(struct backend *backend, void *plan);
    /* For a backend that counts launches (struct backend). NULL: one launch, no more bytes. */
    struct op_launches (*launches)(const struct program *program, const struct op *op);
};

/* True where the backend computes the op, of which the parameters and which slots are empty count. */
bool backend_supports(const struct backend *backend, const struct op *op);

/* The bytes that the op, POOL or NORM, saves for its backward pass where its output has that shape. */
size_t backend_saved_bytes(const struct backend *backend, const struct op *op, struct shape y);

/* Runs one op outside of programs; operands[slot] is NULL where the slot is empty. Not for
 * OP_CONV2D_BACKWARD and OP_NORM_BACKWARD, which belong to a forward op. `input` needs no n. */
void backend_run_op(struct backend *backend, struct op op, struct run_input input,
                    const struct tensor *const operands[OP_OPERANDS]);
#define OPERANDS(...) ((const struct tensor *const[OP_OPERANDS]){__VA_ARGS__})

enum { PREPARED_BATCHES = 16 };

/* A batch size, data set and so on that the program has run with; a backend records its ops under this address. */
struct prepared_batch {
    struct prepared *prepared;
    struct run_input input;
};

struct prepared {
    const struct program *program;
    struct backend *backend;
    const struct op_function *functions; /* [OP_KIND_COUNT] */
    struct op_call *calls;               /* [op_count] */
    void *rounded, *rounded_gradients;   /* SPACE_ROUNDED and SPACE_ROUNDED_GRADIENTS; NULL: nothing is there */
    int64_t n;                           /* batch that the calls' shapes have */
    int batch_count;
    struct prepared_batch batches[PREPARED_BATCHES]; /* beyond these, a batch is not recorded */
};

/* Binds the program to the base addresses of its spaces and prepares every op. The program must outlive it. The memory of
 * SPACE_ROUNDED and SPACE_ROUNDED_GRADIENTS is made here. A program with a once part must first run with `refresh`. */
struct prepared *prepared_create(const struct program *program, struct backend *backend, void *const base[SPACES]);
void prepared_free(struct prepared *prepared); /* NULL is allowed */

/* The call of the forward op that a CONV2D_BACKWARD or NORM_BACKWARD belongs to: of those before it, the one with its
 * weight, or with its rstd. For `prepare`: backward may use what forward keeps in its plan. */
const struct op_call *prepared_forward_call(const struct prepared *prepared, const struct op_call *backward);

/* Runs the program. The backend may record the ops of a batch size and data set, and replay them afterwards. The once
 * part and the GATHER at the beginning are started anew in each run. */
void prepared_run(struct prepared *prepared, const struct run_input *input);

/* Runs the ops one by one, none recorded. done (or NULL) is called after each. */
void prepared_watch(struct prepared *prepared, const struct run_input *input,
                    void (*done)(void *argument, const struct prepared *prepared, int op), void *argument);

/* An op to run alone and many times, to measure it. A backend records it under this address. */
struct prepared_repeat {
    struct prepared *prepared;
    int op, count;
};

/* Runs it with the input of the first batch that prepared_run was given; a GATHER is not recorded. Not for an attached
 * UPDATE. */
void prepared_run_repeat(struct prepared_repeat *repeat);

/* Runs the ops of the phases up to `last` once, the once part too: a forward pass alone, or everything that takes memory
 * at its first use and leaves the weights as they are. */
void prepared_run_phases(struct prepared *prepared, const struct run_input *input, enum op_phase last);

#endif
