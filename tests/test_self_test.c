/* Tests the self-test of a device: it covers every kind of operation, passes where the device is right, names the operation
 * where it is not, and remembers who passed. Where there is no CUDA device, the tests of one are skipped; on the emulated
 * device (emulation.h) they all run. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "self_test/op_run.h"
#include "self_test/self_test.h"
#include "support.h"
#include "util/warning.h"

static char *cache;

static void use_cache(void)
{
    cache = support_folder();
    setenv("XDG_CACHE_HOME", cache, 1);
}

static void drop_cache(void)
{
    support_folder_remove(cache);
}

TestSuite(self_test, .init = use_cache, .fini = drop_cache, .timeout = 300);

static const struct backend_options on_gpu = {.device = DEVICE_CUDA, .precision = PRECISION_FP32};

/* Creates the backend and tells whether the cache knew it; skips the test where there is no CUDA device. */
static struct backend *create_gpu(enum precision precision, bool *cached)
{
    struct backend_options options = on_gpu;
    struct status status = {.code = STATUS_OK};
    struct backend *backend;
    options.precision = precision;
    if (!backend_create(&backend, &options, &status)) cr_skip_test("no CUDA device");
    cr_assert(self_test_pass(backend, &options, cached, &status), "%s", status.message);
    return backend;
}

static bool is_emulated(const struct backend *backend)
{
    return strstr(backend->description, "emulated") != NULL;
}

Test(self_test, covers_every_kind)
{
    struct backend *reference = reference_create();
    uint64_t kinds = 0;
    int count;
    const struct op_case *cases = self_test_cases(&count);
    for (int i = 0; i < count; i++) {
        struct op_arrays inputs, outputs;
        op_case_inputs(&cases[i], &inputs);
        kinds |= op_case_run(&cases[i], reference, (struct op_run_options){0}, &inputs, &outputs).kinds;
        op_arrays_free(&inputs), op_arrays_free(&outputs);
    }
    for (int kind = 0; kind < OP_KIND_COUNT; kind++)
        cr_expect(kinds >> kind & 1, "no case runs %s", op_row((enum op_kind)kind)->name);
    backend_destroy(reference);
}

Test(self_test, the_cpu_would_pass)
{
    for (int precision = PRECISION_FP32; precision <= PRECISION_BF16; precision++) {
        struct backend_options options = {.device = DEVICE_CPU, .precision = (enum precision)precision, .threads = 1};
        struct status status = {.code = STATUS_OK};
        struct backend *backend;
        if (precision == PRECISION_TF32) continue;
        cr_assert(backend_create(&backend, &options, &status), "%s", status.message);
        cr_expect(self_test_run(backend, (enum precision)precision, &status), "%s", status.message);
        backend_destroy(backend);
    }
}

Test(self_test, a_cpu_is_not_tested)
{
    struct backend_options options = {.device = DEVICE_CPU};
    struct status status = {.code = STATUS_OK};
    struct backend *backend;
    bool cached = false;
    cr_assert(self_test_backend_create(&backend, &options, &status), "%s", status.message);
    cr_expect_str_empty(backend->identity);
    cr_expect(self_test_pass(backend, &options, &cached, &status) && cached);
    backend_destroy(backend);
}

/* A device whose NORM is wrong, whatever it is. */
static void run_nothing(struct backend *backend, const struct op_call *call)
{
    (void)backend, (void)call;
}

Test(self_test, an_operation_that_does_nothing_is_named)
{
    struct backend *backend = reference_create();
    struct op_function functions[OP_KIND_COUNT];
    struct status status = {.code = STATUS_OK};
    memcpy(functions, backend->functions, sizeof functions);
    functions[OP_SOFTMAX_BACKWARD].run = run_nothing;
    const struct op_function *own = backend->functions;
    backend->functions = functions;
    cr_expect_not(self_test_run(backend, PRECISION_BF16, &status));
    backend->functions = own;
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_not_null(
        strstr(status.message, "fails its self-test in softmax, SOFTMAX(7, 17, 1), dx: 119 of 119 differ"), "%s",
        status.message);
    cr_expect_null(strchr(status.message, '\n'), "%s", status.message);
    backend_destroy(backend);
}

Test(self_test, a_gpu_passes_in_every_precision)
{
    for (int precision = PRECISION_FP32; precision <= PRECISION_BF16; precision++)
        if (precision != PRECISION_FP64) backend_destroy(create_gpu((enum precision)precision, NULL));
}

Test(self_test, a_gpu_is_tested_once)
{
    bool cached = true;
    struct backend *backend = create_gpu(PRECISION_FP32, &cached);
    bool emulated = is_emulated(backend);
    backend_destroy(backend);
    cr_expect_not(cached, "the first time");
    backend_destroy(create_gpu(PRECISION_FP32, &cached));
    cr_expect(cached, "the second time");
    backend_destroy(create_gpu(PRECISION_BF16, &cached));
    cr_expect_not(cached, "in another precision");
    if (!emulated) return;
    setenv("CUDA_EMULATION_DRIVER", "13010", 1);
    backend_destroy(create_gpu(PRECISION_FP32, &cached));
    cr_expect_not(cached, "with another driver");
}

Test(self_test, a_cache_that_cannot_be_written_does_no_harm)
{
    bool cached = true;
    setenv("XDG_CACHE_HOME", "/dev/null/nowhere", 1);
    backend_destroy(create_gpu(PRECISION_FP32, &cached));
    cr_expect_not(cached);
}

/* Makes the emulated device compute 1/sqrt(x) wrongly. */
static void break_gpu(void)
{
    struct status status = {.code = STATUS_OK};
    struct backend *backend;
    if (!backend_create(&backend, &on_gpu, &status)) cr_skip_test("no CUDA device");
    bool emulated = is_emulated(backend);
    backend_destroy(backend);
    if (!emulated) cr_skip_test("a device that is not emulated cannot be broken");
    setenv("CUDA_EMULATION_FAULT", "rsqrt", 1);
}

Test(self_test, a_broken_gpu_is_refused)
{
    struct backend *backend;
    struct status status = {.code = STATUS_OK};
    break_gpu();
    for (int i = 0; i < 2; i++) { /* a failure is not remembered as a pass */
        cr_assert_not(self_test_backend_create(&backend, &on_gpu, &status));
        cr_expect_null(backend);
        cr_expect_eq(status.code, STATUS_RUNTIME);
        cr_expect_not_null(strstr(status.message, "emulated on the CPU"), "%s", status.message);
        cr_expect_not_null(strstr(status.message, "self-test in norm, BATCHNORM("), "%s", status.message);
        cr_expect_not_null(strstr(status.message, "use backend.device = cpu"), "%s", status.message);
    }
}

/* What made it fail may be gone: the next start tests it again, and uses it. */
Test(self_test, a_gpu_that_was_broken_is_used_again)
{
    struct backend *backend;
    struct status status = {0};
    break_gpu();
    cr_assert_not(self_test_backend_create(&backend, &on_gpu, &status));
    unsetenv("CUDA_EMULATION_FAULT");
    cr_assert(self_test_backend_create(&backend, &on_gpu, &status), "%s", status.message);
    cr_expect(strstr(backend->description, "cuda"), "%s", backend->description);
    backend_destroy(backend);
}

/* The first start says that it takes some seconds; the second has nothing to say. */
Test(self_test, a_first_start_says_so)
{
    for (int start = 0; start < 2; start++) {
        warning_collect();
        backend_destroy(create_gpu(PRECISION_FP32, NULL));
        char *said = warning_take();
        cr_expect_eq(said != NULL, start == 0);
        if (said) cr_expect(strstr(said, "note: testing cuda, ") && !strchr(said, '\n'), "%s", said);
        free(said);
    }
}

Test(self_test, auto_takes_the_cpu_for_a_broken_gpu)
{
    struct backend *backend;
    struct backend_options options = {.device = DEVICE_AUTO, .precision = PRECISION_FP32};
    struct status status = {.code = STATUS_OK};
    break_gpu();
    cr_assert(self_test_backend_create(&backend, &options, &status), "%s", status.message);
    cr_expect_eq(strncmp(backend->description, "cpu, ", 5), 0, "%s", backend->description);
    cr_expect_not_null(strstr(backend->description, "the GPU fails its self-test"), "%s", backend->description);
    backend_destroy(backend);
}
