/* The gradients of the rows: each writes the backward ops of one forward op (gradient.h). */
#ifndef PROGRAM_OP_GRADIENT_H
#define PROGRAM_OP_GRADIENT_H

struct gradient;

void conv2d_gradient(struct gradient *gradient, int op);
void norm_gradient(struct gradient *gradient, int op);
void pool_gradient(struct gradient *gradient, int op);
void global_pool_gradient(struct gradient *gradient, int op);
void gate_gradient(struct gradient *gradient, int op);
void activation_gradient(struct gradient *gradient, int op);
void dropout_gradient(struct gradient *gradient, int op);
void flatten_gradient(struct gradient *gradient, int op);
void softmax_gradient(struct gradient *gradient, int op);
void cross_entropy_gradient(struct gradient *gradient, int op);
void softmax_cross_entropy_gradient(struct gradient *gradient, int op);
void add_gradient(struct gradient *gradient, int op);
void elementwise_gradient(struct gradient *gradient, int op);
void channel_sum_gradient(struct gradient *gradient, int op);
void channel_broadcast_gradient(struct gradient *gradient, int op);

#endif
