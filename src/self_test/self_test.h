/* The self-test of a GPU: a few cases of every kind of operation that its backend computes are compared with the reference
 * backend, before the GPU is trusted with a run. It takes seconds, of which a line on stderr tells; that a GPU has passed
 * is kept in the user's cache. A GPU that fails is tested again at the next start. */
#ifndef SELF_TEST_H
#define SELF_TEST_H

#include "self_test/op_case.h"

/* Its cases. */
const struct op_case *self_test_cases(int *count);

/* Compares the cases on a backend that computes in that precision. The error (STATUS_RUNTIME) names the device, the
 * operation, and the figures of the first value that is wrong. */
bool self_test_run(struct backend *backend, enum precision precision, struct status *status);

/* The same, unless the cache knows that this build has passed on this device with these libraries and options; notes it
 * there when it passes. `cached` (or NULL) tells whether it did. A cache that cannot be read or written does no harm. A
 * backend without `identity` is not tested: that is a pass that counts as cached. */
bool self_test_pass(struct backend *backend, const struct backend_options *options, bool *cached,
                    struct status *status);

/* Creates a backend as backend_create does, of which a GPU has passed the test. With `auto` a GPU that has not is left
 * aside for the CPU, and a line on stderr says why. */
bool self_test_backend_create(struct backend **backend, const struct backend_options *options, struct status *status);

#endif
