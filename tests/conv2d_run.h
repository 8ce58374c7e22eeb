/* A convolution and its backward pass on given tensors, as a program of two operations: the backward one may use what
 * the forward one has kept. */
#ifndef TESTS_CONV2D_RUN_H
#define TESTS_CONV2D_RUN_H

#include "backend/prepared.h"

/* The tensors, for the largest batch. bias, dx and dbias may be NULL: left out. */
struct conv2d_tensors {
    const struct tensor *x;       /* (N,I,H,W) */
    const struct tensor *weight;  /* (O,I,K,K) */
    const struct tensor *bias;    /* (O) */
    const struct tensor *dy, *y;  /* (N,O,P,Q) */
    const struct tensor *dx;      /* (N,I,H,W) */
    const struct tensor *dweight; /* (O,I,K,K) */
    const struct tensor *dbias;   /* (O) */
};

struct conv2d_run {
    struct program *program;
    struct prepared *prepared;
};

/* The tensors must outlive it; close with conv2d_run_close. */
struct conv2d_run conv2d_run_open(struct backend *backend, struct window window, const struct conv2d_tensors *tensors);
void conv2d_run_close(struct conv2d_run *run);

/* Computes y, dx, dweight and dbias of n samples. For fewer than the largest batch the memory of x, dy, y and dx is
 * that of tensors with n samples. */
void conv2d_run_batch(struct conv2d_run *run, int64_t n);

/* The same once, for the largest batch. */
void conv2d_run_once(struct backend *backend, struct window window, const struct conv2d_tensors *tensors);

#endif
