/* Tests what `trainer doctor` finds: on machines that exist only as a folder, with fake_nvml.c for a driver, and its
 * output for programs. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../src/cli/cli_doctor.h"
#include "backend/backend.h"
#include "comm/comm.h"
#include "support.h"
#include "util/memory.h"
#include "util/nvml.h"

static const struct cli_finding *find(const struct cli_findings *findings, const char *group, const char *name)
{
    for (int i = 0; i < findings->count; i++)
        if (strcmp(findings->all[i].group, group) == 0 && strcmp(findings->all[i].name, name) == 0)
            return &findings->all[i];
    cr_assert_fail("no %s, %s", group, name);
    return NULL;
}

static void expect_text(const struct cli_findings *findings, const char *group, const char *name, const char *part)
{
    const char *text = find(findings, group, name)->text;
    cr_expect_not_null(strstr(text, part), "%s, %s: \"%s\" lacks \"%s\"", group, name, text, part);
}

/* Writes root/folder/name; the folders may be there already. */
static void put(const char *root, const char *folder, const char *name, const char *text)
{
    char *path = memory_format("%s/%s/%s", root, folder, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    support_file_write(path, text, strlen(text));
    free(path);
}

static char *make_machine(void)
{
    char *root = support_folder();
    put(root, "proc", "cpuinfo", "processor\t: 0\nmodel name\t: Stand-In 9000 @ 1 GHz\nflags\t\t: none\n");
    put(root, "proc/self", "mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put(root, "proc/self", "cgroup", "0::/\n");
    put(root, "sys/fs/cgroup", "memory.max", "1610612736\n");
    put(root, "sys/fs/cgroup", "memory.swap.max", "0\n");
    put(root, "sys/bus/pci/devices/0000:00:01.0", "vendor", "0x8086\n");
    put(root, "sys/bus/pci/devices/0000:00:01.0", "class", "0x030000\n");
    return root;
}

Test(doctor, processor_and_memory_are_those_of_the_system)
{
    struct cli_findings findings;
    char *root = make_machine();
    cli_findings_collect(&findings, root);
    cr_expect_str_eq(find(&findings, "processor", "model")->text, "Stand-In 9000 @ 1 GHz");
    cr_expect_str_eq(find(&findings, "memory", "usable")->text, "1.5 GiB");
    cr_expect_str_eq(find(&findings, "memory", "with swap")->text, "1.5 GiB");
    expect_text(&findings, "processor", "instruction sets", "portable");
    expect_text(&findings, "processor", "computes as", "cpu, ");
    cli_findings_free(&findings);
    support_folder_remove(root);
}

Test(doctor, a_card_without_a_driver_names_the_package)
{
    struct cli_findings findings;
    struct nvml nvml;
    if (nvml_open(&nvml)) cr_skip_test("there is a driver");
    char *root = make_machine();
    cli_findings_collect(&findings, root);
    cr_expect_not(find(&findings, "GPU", "driver")->missing, "another vendor's card needs no driver of NVIDIA's");
    cli_findings_free(&findings);
    put(root, "sys/bus/pci/devices/0000:0a:00.0", "vendor", "0x10de\n");
    put(root, "sys/bus/pci/devices/0000:0a:00.0", "class", "0x040300\n"); /* its sound */
    cli_findings_collect(&findings, root);
    cr_expect_not(find(&findings, "GPU", "driver")->missing);
    cli_findings_free(&findings);
    put(root, "sys/bus/pci/devices/0000:0a:00.0", "class", "0x030200\n");
    cli_findings_collect(&findings, root);
    cr_expect(find(&findings, "GPU", "driver")->missing);
    cr_expect_not_null(strstr(find(&findings, "GPU", "driver")->remedy, "nvidia-driver"));
    cli_findings_free(&findings);
    support_folder_remove(root);
}

Test(doctor, gpus_are_those_of_the_driver)
{
    struct cli_findings findings;
    cr_assert_not_null(dlopen(FAKE_NVML, RTLD_NOW), "%s", dlerror());
    char *root = make_machine();
    cli_findings_collect(&findings, root);
    cr_expect_str_eq(find(&findings, "GPU", "driver")->text, "580.82.07");
    cr_expect_str_eq(find(&findings, "GPU", "found")->text, "NVIDIA Stand-In, sm_90, 24.0 GiB");
    bool built = backend_cuda_facts().built;
    cr_expect_eq(find(&findings, "GPU", "built with")->missing, !built, "a GPU that the build cannot use is missed");
    expect_text(&findings, "GPU", "built with", built ? "cuDNN 9." : "no CUDA");
    cli_findings_free(&findings);
    support_folder_remove(root);
}

Test(doctor, programs_that_are_missing_name_their_package)
{
    struct cli_findings findings;
    char *root = make_machine();
    put(root, "bin", "gnuplot", "#!/bin/sh\n");
    char *bin = support_path(root, "bin"), *gnuplot = support_path(bin, "gnuplot");
    cr_assert_eq(chmod(gnuplot, 0755), 0);
    setenv("PATH", bin, 1);
    cli_findings_collect(&findings, root);
    expect_text(&findings, "programs", "gnuplot", gnuplot);
    cr_expect(find(&findings, "programs", "curl")->missing);
    cr_expect_str_eq(find(&findings, "programs", "curl")->remedy, "Debian's package curl");
    cr_expect_not(find(&findings, "programs", "gnuplot")->missing);
    cli_findings_free(&findings);
    free(bin), free(gnuplot);
    support_folder_remove(root);
}

/* Returns what the program prints, with nothing in PATH. */
static char *run(const char *options)
{
    char *command = memory_format("PATH= '%s' doctor %s", TRAINER_PROGRAM, options);
    char text[1 << 14];
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t size = fread(text, 1, sizeof text - 1, pipe);
    int code = pclose(pipe);
    cr_expect(WIFEXITED(code) && WEXITSTATUS(code) == 0, "exit code %d where something is missing", code);
    text[size] = '\0';
    free(command);
    return memory_copy_string(text);
}

Test(doctor, prints_for_people)
{
    char *text = run("");
    cr_expect_not_null(strstr(text, "\nprocessor\n"), "%s", text);
    cr_expect_not_null(strstr(text, "gnuplot           MISSING: draws the curves of runs"), "%s", text);
    const char *remedies = strstr(text, "\nmissing, and what brings it\n");
    cr_assert_not_null(remedies, "%s", text);
    cr_expect_not_null(strstr(remedies, "gnuplot           Debian's package gnuplot-nox"), "%s", text);
    free(text);
}

Test(doctor, prints_for_programs)
{
    char *text = run("--json");
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    cr_assert_not_null(json, "%s: %s", error.text, text);
    const json_t *findings = json_object_get(json, "findings"), *finding;
    bool seen = false;
    size_t i;
    json_array_foreach(findings, i, finding)
    {
        const char *name = json_string_value(json_object_get(finding, "name"));
        if (strcmp(name, "gnuplot") != 0) continue;
        seen = true;
        cr_expect_str_eq(json_string_value(json_object_get(finding, "group")), "programs");
        cr_expect(json_is_true(json_object_get(finding, "missing")));
        cr_expect_str_eq(json_string_value(json_object_get(finding, "remedy")), "Debian's package gnuplot-nox");
    }
    cr_expect(seen, "%s", text);
    json_decref(json);
    free(text);
}

Test(doctor, tells_of_nccl_where_the_build_has_cuda)
{
    struct cli_findings findings;
    char *problem, *name = backend_nccl_name(&problem);
    cli_findings_collect(&findings, "");
    cr_expect_eq(name == NULL, problem != NULL);
    if (backend_cuda_facts().built) expect_text(&findings, "GPU", "ranks", name ? name : problem);
    for (int i = 0; i < findings.count; i++)
        if (strcmp(findings.all[i].name, "ranks") == 0) cr_expect(backend_cuda_facts().built);
    cli_findings_free(&findings);
    free(name), free(problem);
}

Test(doctor, tells_of_mpi)
{
    struct cli_findings findings;
    char *problem, *name = comm_transport_name(&problem);
    cli_findings_collect(&findings, "");
    const struct cli_finding *mpi = find(&findings, "several machines", "MPI");
    cr_expect_eq(mpi->missing, name == NULL);
    expect_text(&findings, "several machines", "MPI", name ? name : problem);
    cr_expect(name || strcmp(mpi->remedy, "Debian's libopenmpi-dev, then a new build") == 0);
    cli_findings_free(&findings);
    free(name), free(problem);
}
