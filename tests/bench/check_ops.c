/* Compares every case of op_cases.c on a device, in each of its precisions, with the reference. It is one process
 * without a test framework, for tools that watch a process: compute-sanitizer, cuda-gdb.
 *
 * usage: check_ops [--device cpu|cuda] [--only WORD]     WORD: in the name of a case, e.g. BATCHNORM */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op_reference.h"
#include "op_cases.h"
#include "self_test/op_run.h"
#include "support.h"

static bool check(const struct op_reference *reference, const struct variant *variant, struct backend *backend,
                  struct backend *exact, const struct op_case *c)
{
    char message[512];
    struct op_arrays inputs, outputs, expected;
    op_case_inputs(c, &inputs);
    for (int k = 0; k < inputs.count; k++)
        support_round(variant, inputs.array[k].values, shape_count(inputs.array[k].shape));
    op_case_run(c, backend, (struct op_run_options){0}, &inputs, &outputs);
    op_case_run(c, exact, (struct op_run_options){0}, &inputs, &expected);
    bool same = op_reference_same(reference, c, &outputs, &expected, variant->roundoff, message, sizeof message);
    if (!same) printf("%s, %s: %s\n", variant->name, c->name, message);
    op_arrays_free(&inputs), op_arrays_free(&outputs), op_arrays_free(&expected);
    return same;
}

int main(int count, char **words)
{
    enum device device = DEVICE_CPU;
    const char *only = "";
    int variants, cases, run = 0, wrong = 0;
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--device") == 0) device = strcmp(words[i + 1], "cuda") == 0 ? DEVICE_CUDA : DEVICE_CPU;
        if (strcmp(words[i], "--only") == 0) only = words[i + 1];
    }
    const struct variant *list = variant_list(&variants);
    const struct op_case *all = op_case_list(&cases);
    struct op_reference *reference = op_reference_load();
    struct backend *exact = reference_create();
    for (int v = 0; v < variants; v++) {
        if (list[v].device != device) continue;
        struct backend *backend = variant_create(&list[v], 1);
        for (int i = 0; backend && i < cases; i++) {
            bool comparable = op_case_offered(&all[i], backend) && op_case_comparable(&all[i], backend);
            if (!strstr(all[i].name, only) || !comparable) continue;
            run++, wrong += !check(reference, &list[v], backend, exact, &all[i]);
        }
        backend_destroy(backend);
    }
    backend_destroy(exact);
    op_reference_free(reference);
    printf("%d cases, %d wrong\n", run, wrong);
    return run == 0 || wrong > 0;
}
