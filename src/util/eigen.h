/* Eigenvalues of small symmetric matrices. */
#ifndef EIGEN_H
#define EIGEN_H

#include <stdint.h>

/* Makes of a symmetric matrix (n,n) its eigenvectors, one a row, each of length 1, and writes the eigenvalues to values
 * (n), the largest first. All entries must be finite. Takes some 20 n^3 multiplications (the cyclic method of Jacobi,
 * Golub and Van Loan, "Matrix Computations", section 8.5), and always the same ones for the same matrix. */
void eigen_symmetric(int64_t n, double *matrix, double *values);

#endif
