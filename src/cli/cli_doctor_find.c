/* Collects what `trainer doctor` prints (cli_doctor.h). */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/cpu/shared/cpu_create.h"
#include "cli/cli_doctor.h"
#include "comm/comm.h"
#include "io/formats.h"
#include "self_test/self_test.h"
#include "util/check.h"
#include "util/machine.h"
#include "util/memory.h"
#include "util/nvml.h"

static struct cli_finding *add(struct cli_findings *findings, const char *group, const char *name, char *text)
{
    CHECK(findings->count < CLI_FINDINGS_MAX);
    struct cli_finding *finding = &findings->all[findings->count++];
    *finding = (struct cli_finding){.group = group, .name = name, .text = text};
    return finding;
}

static void add_missing(struct cli_findings *findings, const char *group, const char *name, const char *text,
                        const char *remedy)
{
    struct cli_finding *finding = add(findings, group, name, memory_copy_string(text));
    finding->missing = true;
    finding->remedy = memory_copy_string(remedy);
}

/* --- processor and memory --- */

static char *isa_names(void)
{
    static const char *const names[] = {CPU_ISA_CHOICES(CHOICE_NAME)};
    char text[128] = "";
    for (enum cpu_isa isa = CPU_ISA_AMX; isa <= CPU_ISA_PORTABLE; isa++) {
        size_t used = strlen(text);
        if (cpu_isa_usable(isa)) snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", names[isa]);
    }
    return memory_copy_string(text);
}

/* The line that a run prints about its device. */
static char *describe_device(enum device device)
{
    const struct backend_options options = {.device = device, .precision = PRECISION_FP32};
    struct status status = {.code = STATUS_OK};
    struct backend *backend;
    if (!self_test_backend_create(&backend, &options, &status)) return memory_copy_string(status.message);
    char *text = memory_copy_string(backend->description);
    backend_destroy(backend);
    return text;
}

static void add_processor(struct cli_findings *findings, const char *root)
{
    char name[256];
    struct machine machine = machine_read(root);
    machine_processor_name(root, name, sizeof name);
    add(findings, "processor", "model", memory_copy_string(*name ? name : "the kernel does not tell"));
    add(findings, "processor", "cores", memory_format("%d that this process may use", machine.cores));
    add(findings, "processor", "instruction sets", isa_names());
    add(findings, "processor", "computes as", describe_device(DEVICE_CPU));
    add(findings, "memory", "usable", memory_format("%.1f GiB", (double)machine.memory / 0x1p30));
    add(findings, "memory", "with swap", memory_format("%.1f GiB", (double)machine.memory_and_swap / 0x1p30));
}

/* --- GPUs --- */

static bool file_says(const char *folder, const char *entry, const char *name, const char *beginning)
{
    char path[PATH_MAX], text[32];
    snprintf(path, sizeof path, "%s/%s/%s", folder, entry, name);
    FILE *file = fopen(path, "re");
    bool good = file && fgets(text, sizeof text, file) && strncmp(text, beginning, strlen(beginning)) == 0;
    if (file) fclose(file);
    return good;
}

/* True where a display controller (class 03) of NVIDIA's (vendor 10de) is on the bus, with or without a driver. */
static bool has_nvidia_card(const char *root)
{
    char *folder = memory_format("%s/sys/bus/pci/devices", root);
    DIR *entries = opendir(folder);
    bool found = false;
    for (const struct dirent *entry; entries && !found && (entry = readdir(entries));)
        found =
            file_says(folder, entry->d_name, "vendor", "0x10de") && file_says(folder, entry->d_name, "class", "0x03");
    if (entries) closedir(entries);
    free(folder);
    return found;
}

/* Returns the number of GPUs that the driver knows. */
static int add_driver(struct cli_findings *findings, const char *root)
{
    struct nvml nvml;
    char version[96];
    if (!nvml_open(&nvml)) {
        if (has_nvidia_card(root))
            add_missing(findings, "GPU", "driver", "an NVIDIA GPU is there, but no driver that answers",
                        "Debian's package nvidia-driver");
        else
            add(findings, "GPU", "driver", memory_copy_string("no NVIDIA GPU, and no driver of one"));
        return 0;
    }
    nvml_driver_version(&nvml, version, sizeof version);
    add(findings, "GPU", "driver", memory_copy_string(*version ? version : "of unknown version"));
    int count = nvml_gpu_count(&nvml);
    for (int i = 0; i < count && findings->count < CLI_FINDINGS_MAX / 2; i++) {
        struct nvml_gpu gpu = nvml_gpu_read(&nvml, i);
        add(findings, "GPU", "found",
            memory_format("%s, sm_%d%d, %.1f GiB", gpu.name, gpu.major, gpu.minor, (double)gpu.memory_bytes / 0x1p30));
    }
    nvml_close(&nvml);
    return count;
}

/* Versions are 13000 for 13.0, 91900 for 9.19.0 and 130100 for 13.1.0. */
static void add_libraries(struct cli_findings *findings, const struct backend_cuda *cuda, int gpus)
{
    if (cuda->built) {
        add(findings, "GPU", "built with",
            memory_format("CUDA %d.%d, cuDNN %zu.%zu.%zu, cuBLASLt %zu.%zu.%zu", cuda->runtime / 1000,
                          cuda->runtime % 1000 / 10, cuda->cudnn / 10000, cuda->cudnn / 100 % 100, cuda->cudnn % 100,
                          cuda->cublas / 10000, cuda->cublas / 100 % 100, cuda->cublas % 100));
    } else if (gpus > 0) {
        add_missing(findings, "GPU", "built with", "no CUDA, so the GPU is not used",
                    "NVIDIA's packages cuda-toolkit and cudnn, then a new build, which says what it found");
    } else {
        add(findings, "GPU", "built with", memory_copy_string("no CUDA"));
    }
}

/* A single GPU is joined to others on other machines alone. */
static void add_nccl(struct cli_findings *findings, int gpus)
{
    char *problem, *name = backend_nccl_name(&problem);
    if (name)
        add(findings, "GPU", "ranks", memory_format("exchange from GPU to GPU by %s", name));
    else if (gpus > 1)
        add_missing(findings, "GPU", "ranks", problem,
                    "NVIDIA's package libnccl2; until then they exchange through the memory of their hosts");
    else
        add(findings, "GPU", "ranks", memory_format("exchange through the memory of their hosts: %s", problem));
    free(name), free(problem);
}

/* Tests the GPU in fp32, unless it has passed before. */
static void add_self_test(struct cli_findings *findings)
{
    const struct backend_options options = {.device = DEVICE_CUDA, .precision = PRECISION_FP32};
    struct status status = {.code = STATUS_OK};
    struct backend *backend;
    bool cached;
    if (!backend_create(&backend, &options, &status)) {
        add(findings, "GPU", "self-test", memory_copy_string(status.message));
    } else {
        if (self_test_pass(backend, &options, &cached, &status))
            add(findings, "GPU", "self-test", memory_format("passed in fp32%s", cached ? ", in an earlier run" : ""));
        else
            add_missing(findings, "GPU", "self-test", status.message,
                        "another driver or cuDNN; until then backend.device = auto takes the CPU");
        backend_destroy(backend);
    }
}

static void add_gpus(struct cli_findings *findings, const char *root)
{
    struct backend_cuda cuda = backend_cuda_facts();
    int gpus = add_driver(findings, root);
    add_libraries(findings, &cuda, gpus);
    add(findings, "GPU", "device = auto", describe_device(DEVICE_AUTO));
    if (!cuda.unavailable) add_self_test(findings);
    if (cuda.built) add_nccl(findings, gpus);
}

/* --- formats, programs, data --- */

static void add_formats(struct cli_findings *findings)
{
    for (const struct io_format *format = io_formats; format->name; format++) {
        if (format->built) {
            add(findings, "formats", format->name, memory_copy_string(format->use));
            continue;
        }
        char *text = memory_format("not built in: %s", format->use);
        char *remedy = memory_format("Debian's %s, then a new build", format->packages);
        add_missing(findings, "formats", format->name, text, remedy);
        free(text), free(remedy);
    }
}

/* Returns the path of a program in PATH in a new string, or NULL. */
static char *find_program(const char *name)
{
    const char *folders = getenv("PATH");
    for (const char *at = folders; at && *at;) {
        size_t length = strcspn(at, ":");
        char *path = memory_format("%.*s/%s", (int)length, at, name);
        if (length > 0 && access(path, X_OK) == 0) return path;
        free(path);
        at += length + (at[length] == ':');
    }
    return NULL;
}

static void add_programs(struct cli_findings *findings)
{
    static const struct {
        const char *name, *use, *package;
    } programs[] = {{"gnuplot", "draws the curves of runs", "gnuplot-nox"}, {"curl", "fetches CIFAR-10", "curl"}};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char *path = find_program(programs[i].name);
        char *remedy = memory_format("Debian's package %s", programs[i].package);
        if (path)
            add(findings, "programs", programs[i].name, memory_format("%s %s", path, programs[i].use));
        else
            add_missing(findings, "programs", programs[i].name, programs[i].use, remedy);
        free(path), free(remedy);
    }
}

static void add_ranks(struct cli_findings *findings)
{
    char *problem, *name = comm_transport_name(&problem);
    if (name) {
        add(findings, "several machines", "MPI", memory_format("%s, for runs of mpirun and srun", name));
        char *path = find_program("mpirun");
        if (path)
            add(findings, "several machines", "mpirun", path);
        else
            add_missing(findings, "several machines", "mpirun", "starts a run on several machines",
                        "Debian's package openmpi-bin; SLURM's srun needs none");
    } else {
        add_missing(findings, "several machines", "MPI", problem, "Debian's libopenmpi-dev, then a new build");
    }
    free(name), free(problem);
}

void cli_findings_collect(struct cli_findings *findings, const char *root)
{
    findings->count = 0;
    add_processor(findings, root);
    add_gpus(findings, root);
    add_formats(findings);
    add_programs(findings);
    add_ranks(findings);
}

void cli_findings_free(struct cli_findings *findings)
{
    for (int i = 0; i < findings->count; i++) free(findings->all[i].text), free(findings->all[i].remedy);
    findings->count = 0;
}
