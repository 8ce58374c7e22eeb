/* Tests the figures of processor and GPU; fake_nvml.c stands for the driver's library. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "../src/util/clock.h"
#include "report/usage.h"

/* Loads the library by its soname. The loader then finds it loaded when the program asks for it. */
static void load_fake(void)
{
    cr_assert_not_null(dlopen(FAKE_NVML, RTLD_NOW), "%s", dlerror());
}

static void refresh_after_a_second(struct usage *usage)
{
    usage->wall -= 1;
    usage_refresh(usage);
}

Test(usage, cpu_is_that_of_this_process)
{
    struct usage usage;
    usage_start(&usage, "");
    usage_refresh(&usage); /* too early to tell */
    cr_assert_str_empty(usage.cpu_text);
    for (double begin = clock_seconds(); clock_seconds() - begin < 0.2;) continue;
    /* The figures pretend that the second before was at 150% or more. */
    usage.wall = clock_seconds() - 1, usage.cpu -= 1.5;
    usage_refresh(&usage);
    int percent = 0;
    cr_assert_eq(sscanf(usage.cpu_text, "CPU %d%%", &percent), 1, "%s", usage.cpu_text);
    cr_assert(percent >= 151 && percent <= 175, "%s", usage.cpu_text);
    cr_assert_str_empty(usage.gpu_text);
    usage_stop(&usage);
}

Test(usage, gpu_is_found_by_its_address_on_the_bus)
{
    struct usage usage;
    load_fake();
    usage_start(&usage, "0000:0A:00.0");
    refresh_after_a_second(&usage);
    cr_assert_str_eq(usage.gpu_text, "GPU 73%");
    setenv("FAKE_NVML_BROKEN", "1", 1);
    refresh_after_a_second(&usage);
    cr_assert_str_empty(usage.gpu_text);
    cr_assert_eq(strncmp(usage.cpu_text, "CPU ", 4), 0);
    usage_stop(&usage);
    cr_assert_null(usage.nvml.library);
}

Test(usage, a_gpu_that_the_library_does_not_know_has_no_figures)
{
    struct usage usage;
    load_fake();
    usage_start(&usage, "0000:FF:00.0");
    cr_assert_null(usage.nvml.library);
    refresh_after_a_second(&usage);
    cr_assert_str_empty(usage.gpu_text);
    cr_assert_eq(strncmp(usage.cpu_text, "CPU ", 4), 0);
    usage_stop(&usage);
}
