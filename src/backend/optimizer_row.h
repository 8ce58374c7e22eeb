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
 *
 * muon (Jordan et al. 2024; torch.optim.Muon), a `matrix` optimizer. It updates a filter (O,I,K,K) as a matrix of O rows
 * and n = I*K*K columns:
 *         m <- momentum*m + (1-momentum)*dw
 *         X = m                                      (with nesterov: momentum*m + (1-momentum)*dw)
 *         X <- X / max(|X|, 1e-7),                   |X| the root of the sum of all squares
 *         X <- (a I + b A + c A^2) X,  A = X X^T,    ns_steps times, with a = 3.4445, b = -4.7750, c = 2.0315
 *         w <- w * sqrt(O) / |w|                     (with normalize_weights; zeros stay)
 *         w <- w - lr*weight_decay*w - lr*s*X
 *         s = 0.2 sqrt(max(O, n))                    (with adjust_rate = original: sqrt(max(1, O/n)))
 *         The iterations pull every singular value of X towards 1, so that X comes close to U V^T where m = U S V^T.
 *         Vectors and the last layer's weights are updated as by adamw or sgd (`rest`), with adamw_learning_rate or
 *         sgd_learning_rate for lr at the start of the schedule, and sgd_momentum for sgd's momentum.
 */
#ifndef OPTIMIZER_ROW_H
#define OPTIMIZER_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "util/choice.h"

/* X(enumerator, name): the name is the value of optimizer.name. src/backend/optimizer_row.c has a row for each. */
#define OPTIMIZER_CHOICES(X)                                                                                           \
    X(OPTIMIZER_SGD, "sgd")                                                                                            \
    X(OPTIMIZER_ADAM, "adam")                                                                                          \
    X(OPTIMIZER_ADAMW, "adamw")                                                                                        \
    X(OPTIMIZER_LION, "lion")                                                                                          \
    X(OPTIMIZER_MUON, "muon")

enum optimizer_kind { OPTIMIZER_CHOICES(CHOICE_ENUMERATOR) };

/* The length of Muon's step, by the names of torch.optim.Muon's adjust_lr_fn. */
#define ADJUST_RATE_CHOICES(X)                                                                                         \
    X(ADJUST_RATE_ORIGINAL, "original")                                                                                \
    X(ADJUST_RATE_MATCH_RMS_ADAMW, "match_rms_adamw")
enum adjust_rate { ADJUST_RATE_CHOICES(CHOICE_ENUMERATOR) };

/* Optimizers of what muon leaves over. */
#define MUON_REST_CHOICES(X) X(MUON_REST_ADAMW, "adamw") X(MUON_REST_SGD, "sgd")
enum muon_rest { MUON_REST_CHOICES(CHOICE_ENUMERATOR) };

#define MUON_A 3.4445
#define MUON_B (-4.7750)
#define MUON_C 2.0315
#define MUON_EPSILON 1e-7

/* The parameters of all optimizers: the keys of the same names in [optimizer]. An optimizer reads weight_decay and those
 * that its row lists. */
struct optimizer_params {
    double weight_decay;
    double momentum;
    double beta1, beta2, epsilon;
    int64_t ns_steps;
    enum adjust_rate adjust_rate;
    bool nesterov, normalize_weights;
};

enum { OPTIMIZER_STATES = 2, OPTIMIZER_KEYS = 13 }; /* the most that a row has */

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
    /* It updates whole filters, which it needs as matrices. Without it a step is taken element by element, in any
     * pieces. */
    bool matrix;
};

const struct optimizer_row *optimizer_row(enum optimizer_kind kind);

/* The value of optimizer.name. */
const char *optimizer_name(enum optimizer_kind kind);

/* Returns the number of states that it keeps with these parameters. */
int optimizer_state_count(enum optimizer_kind kind, const struct optimizer_params *params);

/* Tells whether it reads that key of [optimizer]. */
bool optimizer_reads(enum optimizer_kind kind, const char *key);

/* Returns s of Muon's formula. */
double muon_scale(const struct optimizer_params *params, double o, double n);

/* Returns its own default of that key, or NULL. */
const char *optimizer_default(enum optimizer_kind kind, const char *key);

#endif
