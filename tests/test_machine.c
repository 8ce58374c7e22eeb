/* The limits of the process, read from folders that look like /proc and /sys/fs/cgroup of other machines. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "support.h"
#include "util/machine.h"
#include "util/memory.h"

struct file {
    const char *path, *text;
};

static void make_parents(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0777);
        *at = '/';
    }
}

/* Returns the result of machine_read for a folder that holds the files. */
static struct machine read_files(const struct file *files)
{
    char folder[] = "/tmp/test_machine_XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    for (; files->path; files++) {
        char *path = memory_format("%s%s", folder, files->path);
        make_parents(path);
        FILE *file = fopen(path, "w");
        cr_assert(file && fputs(files->text, file) >= 0 && fclose(file) == 0, "%s", path);
        free(path);
    }
    struct machine machine = machine_read(folder);
    char *remove = memory_format("rm -r '%s'", folder);
    cr_assert_eq(system(remove), 0);
    free(remove);
    return machine;
}

#define READ(...) read_files((const struct file[]){__VA_ARGS__, {NULL, NULL}})

#define V2_MOUNT                                                                                                       \
    {                                                                                                                  \
        "/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"              \
    }
#define V1_MOUNTS                                                                                                      \
    {                                                                                                                  \
        "/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"                                                \
                                "33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
                                "34 31 0:30 / /sys/fs/cgroup/cpuset rw shared:10 - cgroup cgroup rw,cpuset\n"          \
                                "35 31 0:32 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"          \
    }

static struct machine unlimited(void)
{
    return READ({"/nothing", ""});
}

static void expect_unlimited(struct machine found, const char *name)
{
    struct machine machine = unlimited();
    cr_expect_eq(found.cores, machine.cores, "%s: %d cores", name, found.cores);
    cr_expect_eq(found.memory, machine.memory, "%s: memory %lld", name, (long long)found.memory);
    cr_expect_eq(found.memory_and_swap, machine.memory_and_swap, "%s", name);
}

static int at_most(int cores)
{
    int all = unlimited().cores;
    return cores < all ? cores : all;
}

/* --- without limits --- */

Test(machine, without_groups_it_is_the_machine)
{
    struct machine machine = unlimited();
    cr_expect(machine.cores >= 1 && machine.cores <= sysconf(_SC_NPROCESSORS_ONLN));
    cr_expect_eq(machine.memory, (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    cr_expect_geq(machine.memory_and_swap, machine.memory);
}

Test(machine, groups_without_limits)
{
    expect_unlimited(READ(V2_MOUNT, {"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "max 100000\n"},
                          {"/sys/fs/cgroup/a/memory.max", "max\n"}, {"/sys/fs/cgroup/a/memory.high", "max\n"},
                          {"/sys/fs/cgroup/a/memory.swap.max", "max\n"}),
                     "v2");
    expect_unlimited(READ(V1_MOUNTS, {"/proc/self/cgroup", "4:memory:/a\n3:cpuset:/\n2:cpu,cpuacct:/a\n"},
                          {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"},
                          {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"},
                          {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"},
                          {"/sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes", "9223372036854771712\n"}),
                     "v1");
}

Test(machine, files_without_a_number_set_no_limit)
{
    const char *texts[] = {"",      "\n",       "hello\n",    "-5 100000\n",
                           "0 0\n", "100000\n", "100000 0\n", "99999999999999999999 x\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_unlimited(READ(V2_MOUNT, {"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", texts[i]}),
                         texts[i]);
    const char *numbers[] = {"", "hello\n", "-1\n", "1e3\n", "5 6\n", "99999999999999999999\n"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        expect_unlimited(READ(V2_MOUNT, {"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", numbers[i]}),
                         numbers[i]);
}

Test(machine, lines_that_are_none_are_passed_over)
{
    const char *mounts[] = {"", "garbage\n", " - cgroup2\n", "1 2 3 - cgroup2 x y\n",
                            "30 23 0:26 / - cgroup2 cgroup2 rw\n"};
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
        expect_unlimited(READ({"/proc/self/mountinfo", mounts[i]}, {"/proc/self/cgroup", "0::/\n"}), mounts[i]);
    const char *groups[] = {"", "garbage\n", "0:\n", "::\n", "4:memory:/\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        expect_unlimited(READ(V2_MOUNT, {"/proc/self/cgroup", groups[i]}), groups[i]);
}

/* --- quotas --- */

static void expect_cores(const char *quota, int cores)
{
    struct machine machine = READ(V2_MOUNT, {"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", quota});
    cr_expect_eq(machine.cores, at_most(cores), "%s: %d", quota, machine.cores);
}

Test(machine, a_quota_is_rounded_up)
{
    expect_cores("1000 100000\n", 1);
    expect_cores("100000 100000\n", 1);
    expect_cores("100001 100000\n", 2);
    expect_cores("150000 100000\n", 2);
    expect_cores("20000 10000\n", 2);
    expect_cores("100000000000 1000\n", INT32_MAX);
}

Test(machine, the_smallest_quota_on_the_path_counts)
{
    struct file files[] = {V2_MOUNT,
                           {"/proc/self/cgroup", "1:name=systemd:/elsewhere\n0::/a/b/c\n"},
                           {"/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"},
                           {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"},
                           {"/sys/fs/cgroup/a/cpu.max", "90000 100000\n"},
                           {"/sys/fs/cgroup/cpu.max", "300000 100000\n"},
                           {"/sys/fs/cgroup/elsewhere/cpu.max", "1 100000\n"},
                           {NULL, NULL}};
    cr_expect_eq(read_files(files).cores, 1);
    files[4].text = "max 100000\n";
    cr_expect_eq(read_files(files).cores, at_most(3));
}

Test(machine, version_1_has_a_hierarchy_for_each_controller)
{
    struct machine machine =
        READ(V1_MOUNTS, {"/proc/self/cgroup", "4:memory:/m/n\n3:cpuset:/\n2:cpu,cpuacct:/c/d\n0::/\n"},
             {"/sys/fs/cgroup/cpu,cpuacct/c/d/cpu.cfs_quota_us", "-1\n"},
             {"/sys/fs/cgroup/cpu,cpuacct/c/d/cpu.cfs_period_us", "100000\n"},
             {"/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n"},
             {"/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n"},
             {"/sys/fs/cgroup/memory/m/n/memory.limit_in_bytes", "300000000\n"},
             {"/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "200000000\n"},
             {"/sys/fs/cgroup/memory/m/memory.memsw.limit_in_bytes", "250000000\n"});
    cr_expect_eq(machine.cores, 1);
    cr_expect_eq(machine.memory, 200000000);
    cr_expect_leq(machine.memory_and_swap, 250000000);
    cr_expect_geq(machine.memory_and_swap, 200000000);
}

/* --- memory --- */

Test(machine, the_smallest_memory_limit_counts)
{
    struct machine machine =
        READ(V2_MOUNT, {"/proc/self/cgroup", "0::/a/b\n"}, {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
             {"/sys/fs/cgroup/a/memory.max", "209715200\n"}, {"/sys/fs/cgroup/a/memory.swap.max", "0\n"},
             {"/sys/fs/cgroup/memory.max", "309715200\n"});
    cr_expect_eq(machine.memory, 209715200);
    cr_expect_eq(machine.memory_and_swap, 209715200);
}

Test(machine, memory_high_counts_as_well)
{
    struct machine machine =
        READ(V2_MOUNT, {"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", "209715200\n"},
             {"/sys/fs/cgroup/memory.high", "104857600\n"});
    cr_expect_eq(machine.memory, 104857600);
}

/* --- mounts --- */

/* In a container the mount often shows only the container's own group. The path of the process then is the one from
 * outside. */
Test(machine, a_mount_may_show_a_part_of_the_hierarchy)
{
    const char *groups[] = {"0::/docker/1234\n", "0::/docker/1234/child\n", "0::/docker/12345\n", "0::/other\n",
                            "0::/../other\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct machine machine =
            READ({"/proc/self/mountinfo", "30 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
                 {"/proc/self/cgroup", groups[i]}, {"/sys/fs/cgroup/memory.max", "300000000\n"},
                 {"/sys/fs/cgroup/child/memory.max", "200000000\n"}, {"/sys/fs/cgroup/5/memory.max", "1\n"},
                 {"/sys/fs/cgroup/other/memory.max", "1\n"}, {"/sys/fs/other/memory.max", "1\n"});
        cr_expect_eq(machine.memory, i == 1 ? 200000000 : 300000000, "%s", groups[i]);
    }
}

Test(machine, blanks_in_the_path_of_a_mount)
{
    struct machine machine = READ({"/proc/self/mountinfo", "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup rw\n"},
                                  {"/proc/self/cgroup", "0::/a\n"}, {"/my groups/a/memory.max", "1234567\n"});
    cr_expect_eq(machine.memory, 1234567);
}

/* --- affinity --- */

/* Each test is a process of its own, and the program inherits the mask. */
static void use_one_core(void)
{
    cpu_set_t all, one;
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    size_t first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
}

Test(machine, the_affinity_mask_counts)
{
    use_one_core();
    cr_expect_eq(machine_read("").cores, 1);
    cr_expect_eq(unlimited().cores, 1);
}

static char *output_of(const char *command)
{
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    char *text = memory_alloc(1, 65536);
    size_t length = fread(text, 1, 65535, pipe);
    text[length] = '\0';
    cr_expect_eq(pclose(pipe), 0, "%s", text);
    return text;
}

static void expect_output(const char *arguments, const char *expected)
{
    char *command = memory_format("'%s' %s 2>&1", TRAINER_PROGRAM, arguments), *text = output_of(command);
    cr_expect_not_null(strstr(text, expected), "%s: expected \"%s\" in %s", arguments, expected, text);
    free(command);
    free(text);
}

Test(machine, the_program_takes_a_thread_for_each_core_that_it_may_use)
{
    use_one_core();
    expect_output("bench '" CONFIG_FOLDER "/mlp.ini' --steps 1", "backend: cpu, 1 thread, ");
    expect_output("bench '" CONFIG_FOLDER "/mlp.ini' --steps 1 --set backend.threads=3", "cpu, 3 threads on 1 core, ");
}
