/* The optimizers. OPTIMIZER_CHOICES lists their names, a row says what the program must know of each, and the arithmetic is in
 * the backends (cpu_optimizer.c, cuda_optimizer.cu). These are the definitions that every backend cites. w is a weight,
 * dw its gradient, lr the learning rate, t = step + 1; the other letters are states, 0 at the start, and keys of the
 * section [optimizer].
 *
 * sgd:    g = dw + weight_decay*w
 *         v <- momentum*v + g
 *         w <- w - lr*v                              (with nesterov: w - lr*(g + momentum*v))
 *         At the first step v = g, as in PyTorch (dampening 0).
 *
 * adam (Kingma and Ba 2015), adamw (Loshchilov and Hutter 2019):
 *         g = dw + weight_decay*w                    (adamw: g = dw, and first w <- w - lr*weight_decay*w)
 *         m <- beta1*m + (1-beta1)*g
 *         v <- beta2*v + (1-beta2)*g^2
 *         w <- w - lr * (m / (1-beta1^t)) / (sqrt(v / (1-beta2^t)) + epsilon)
 *
 * lion (Chen et al. 2023):
 *         u = sign(beta1*m + (1-beta1)*dw)           (sign(0) = 0; NaN stays NaN)
 *         w <- w - lr * (u + weight_decay*w)
 *         m <- beta2*m + (1-beta2)*dw
 */
#ifndef TRAINER_OPTIMIZER_ROW_H
#define TRAINER_OPTIMIZER_ROW_H

#include <stdbool.h>

#include "trainer/choice.h"

/* X(enumerator, name): the name is the value of optimizer.name. src/backend/optimizer_row.c has a row for each. */
#define OPTIMIZER_CHOICES(X)                                                                                           \
    X(OPTIMIZER_SGD, "sgd")                                                                                            \
    X(OPTIMIZER_ADAM, "adam")                                                                                          \
    X(OPTIMIZER_ADAMW, "adamw")                                                                                        \
    X(OPTIMIZER_LION, "lion")

enum optimizer_kind { OPTIMIZER_CHOICES(CHOICE_ENUMERATOR) };

/* The parameters of all optimizers: the keys of the same names in [optimizer]. An optimizer reads weight_decay and
 * those that its row lists. */
struct optimizer_params {
    double weight_decay;
    double momentum;
    bool nesterov;
    double beta1, beta2, epsilon;
};

enum { OPTIMIZER_STATES = 2, OPTIMIZER_KEYS = 4 }; /* the most that a row has */

/* A key of [optimizer] that an optimizer reads. */
struct optimizer_key {
    const char *name;
    const char *own_default; /* NULL: that of the table of keys */
};

struct optimizer_row {
    /* The keys that it reads beside name, learning_rate and weight_decay. The name after the last is NULL. */
    struct optimizer_key keys[OPTIMIZER_KEYS + 1];
    /* PyTorch's names of its states, which a checkpoint uses. Each has an element for each weight. NULL after the
     * last. */
    const char *states[OPTIMIZER_STATES + 1];
    bool stateless_without_momentum; /* it keeps no state where momentum is 0 */
};

const struct optimizer_row *optimizer_row(enum optimizer_kind kind);

/* The value of optimizer.name. */
const char *optimizer_name(enum optimizer_kind kind);

/* Returns the number of states that it keeps with these parameters. */
int optimizer_state_count(enum optimizer_kind kind, const struct optimizer_params *params);

/* Tells whether it reads that key of [optimizer]. */
bool optimizer_reads(enum optimizer_kind kind, const char *key);

/* Returns its own default of that key, or NULL. */
const char *optimizer_default(enum optimizer_kind kind, const char *key);

#endif
