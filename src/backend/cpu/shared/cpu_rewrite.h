/* What a CPU does otherwise in a program: `rewrite` of struct backend_table. */
#ifndef CPU_REWRITE_H
#define CPU_REWRITE_H

#include <stdbool.h>

struct program;

/* Attaches updates to the convolutions that compute their gradients, and, where bytes can be multiplied, leaves a batch
 * as pixels that linear layers alone read. */
void cpu_rewrite(struct program *program, bool multiplies_bytes);

#endif
