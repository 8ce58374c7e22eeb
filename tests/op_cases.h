/* One list of cases for the operations of the op table (op.h). Known values (test_ops_known), gradient checks
 * (test_ops_gradcheck), padding (test_backend), the comparison of backends and the benchmark walk over the same list;
 * ref/make_reference.py reads it out of op_cases.c and out of the self-test's brief_cases.h, which it begins with. A new
 * case is a line there, and a run of that script. Every kind of the table is run by some case (test_ops_known compares). */
#ifndef TESTS_OP_CASES_H
#define TESTS_OP_CASES_H

#include "self_test/op_case.h"

const struct op_case *op_case_list(int *count);

#endif
