/* Linux tells a process its limits in three places: the affinity mask, which already holds the limits of a `cpuset`
 * group; /proc/self/cgroup, the process's group in each hierarchy; and /proc/self/mountinfo, the folders where the
 * hierarchies are mounted. A group is the folder (mount point)/(path of the group below the mount's root), and a limit
 * of any group above it counts too. Inside a container the mount's root often is the container's own group. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "util/machine.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

struct limits {
    double cores;
    int64_t memory, swap;
    int64_t memory_and_swap; /* version 1 limits the sum */
};

/* One line of mountinfo: the folder `root` of a hierarchy is seen at `point`. */
struct mount {
    char root[PATH_MAX], point[PATH_MAX];
    char type[16];
    char options[256]; /* "rw,cpu,cpuacct": version 1 names its controllers here */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t sum(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* --- the files of one group --- */

static bool read_text(const char *folder, const char *name, char *text, int size)
{
    char path[2 * PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
    FILE *file = fopen(path, "re");
    bool good = file && fgets(text, size, file);
    if (file) fclose(file);
    return good;
}

/* A number of bytes; INT64_MAX where there is none, which is what "max" says too. */
static int64_t read_bytes(const char *folder, const char *name)
{
    char text[64], *end;
    if (!read_text(folder, name, text, sizeof text)) return INT64_MAX;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool whole = end != text && (*end == '\n' || *end == '\0');
    return whole && value >= 0 && errno == 0 ? value : INT64_MAX;
}

static void limit_cores(struct limits *limits, long long quota, long long period)
{
    if (quota > 0 && period > 0) limits->cores = fmin(limits->cores, (double)quota / (double)period);
}

static void read_cpu_v1(const char *folder, struct limits *limits)
{
    int64_t quota = read_bytes(folder, "cpu.cfs_quota_us"); /* -1: none */
    int64_t period = read_bytes(folder, "cpu.cfs_period_us");
    if (quota < INT64_MAX && period < INT64_MAX) limit_cores(limits, quota, period);
}

static void read_memory_v1(const char *folder, struct limits *limits)
{
    limits->memory = smaller(limits->memory, read_bytes(folder, "memory.limit_in_bytes"));
    limits->memory_and_swap = smaller(limits->memory_and_swap, read_bytes(folder, "memory.memsw.limit_in_bytes"));
}

static void read_v2(const char *folder, struct limits *limits)
{
    char text[64];
    long long quota, period;
    if (read_text(folder, "cpu.max", text, sizeof text) && sscanf(text, "%lld %lld", &quota, &period) == 2)
        limit_cores(limits, quota, period);
    limits->memory = smaller(limits->memory, read_bytes(folder, "memory.max"));
    limits->memory = smaller(limits->memory, read_bytes(folder, "memory.high"));
    limits->swap = smaller(limits->swap, read_bytes(folder, "memory.swap.max"));
}

/* --- from the process to its groups --- */

/* True where the comma-separated list holds the word. */
static bool list_holds(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    }
    return false;
}

/* The path of the process's group in the hierarchy of the controller; NULL stands for version 2. A line of the file is
 * number:controllers:path, and version 2 has neither number nor controllers: "0::path". */
static bool find_group(const char *root, const char *controller, char path[PATH_MAX])
{
    char name[PATH_MAX], line[PATH_MAX + 256];
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    FILE *file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0', controllers++;
        found = controller ? list_holds(controllers, controller) : *controllers == '\0';
        if (found) snprintf(path, PATH_MAX, "%s", group);
    }
    if (file) fclose(file);
    return found;
}

/* The part of the group's path below the mount's root. A group outside of it is not visible here: then only the mount
 * point itself is looked at. */
static const char *below_mount(const struct mount *mount, const char *group)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    bool below = strncmp(group, mount->root, length) == 0 && (group[length] == '/' || group[length] == '\0');
    if (!below || strstr(group, "/..")) return "";
    return strcmp(group + length, "/") == 0 ? "" : group + length;
}

/* Reads every group from the process's own up to the mount point. */
static void read_groups(const char *root, const struct mount *mount, const char *controller,
                        void (*read)(const char *folder, struct limits *limits), struct limits *limits)
{
    char group[PATH_MAX], folder[3 * PATH_MAX];
    if (!find_group(root, controller, group)) return;
    int top = snprintf(folder, sizeof folder, "%s%s", root, mount->point);
    snprintf(folder + top, sizeof folder - (size_t)top, "%s", below_mount(mount, group));
    read(folder, limits);
    for (char *slash; (slash = strrchr(folder + top, '/'));) {
        *slash = '\0';
        read(folder, limits);
    }
}

static void read_mount(const char *root, const struct mount *mount, struct limits *limits)
{
    if (strcmp(mount->type, "cgroup2") == 0) {
        read_groups(root, mount, NULL, read_v2, limits);
    } else if (strcmp(mount->type, "cgroup") == 0) {
        if (list_holds(mount->options, "cpu")) read_groups(root, mount, "cpu", read_cpu_v1, limits);
        if (list_holds(mount->options, "memory")) read_groups(root, mount, "memory", read_memory_v1, limits);
    }
}

/* mountinfo writes a blank in a path as \040, and so on. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        unsigned code;
        if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to = (char)code, from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "31 23 0:28 root point options [optional fields] - type source options" */
static bool parse_mount(const char *line, struct mount *mount)
{
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", mount->root, mount->point) != 2) return false;
    if (sscanf(rest + 3, "%15s %*s %255s", mount->type, mount->options) != 2) return false;
    decode_octal(mount->root);
    decode_octal(mount->point);
    return true;
}

static void read_mounts(const char *root, struct limits *limits)
{
    char name[PATH_MAX], line[3 * PATH_MAX];
    struct mount mount;
    snprintf(name, sizeof name, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(name, "re");
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, " - cgroup") && parse_mount(line, &mount)) read_mount(root, &mount, limits);
    if (file) fclose(file);
}

/* --- the whole --- */

/* The kernel refuses a mask that is smaller than its own, which may have more than the 1,024 bits of a cpu_set_t. */
static int affinity_count(void)
{
    for (unsigned bits = 1024; bits <= 1 << 20; bits *= 2) {
        size_t bytes = CPU_ALLOC_SIZE(bits);
        cpu_set_t *set = CPU_ALLOC(bits);
        if (!set) break;
        bool known = sched_getaffinity(0, bytes, set) == 0, again = !known && errno == EINVAL;
        int count = known ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
        if (!again) break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

struct machine machine_read(const char *root)
{
    struct sysinfo info;
    bool known = sysinfo(&info) == 0;
    struct limits limits = {
        .cores = affinity_count(),
        .memory = known ? (int64_t)info.totalram * info.mem_unit : INT64_MAX,
        .swap = known ? (int64_t)info.totalswap * info.mem_unit : INT64_MAX,
        .memory_and_swap = INT64_MAX,
    };
    read_mounts(root, &limits);
    return (struct machine){
        .cores = (int)ceil(limits.cores),
        .memory = limits.memory,
        .memory_and_swap = smaller(limits.memory_and_swap, sum(limits.memory, limits.swap)),
    };
}

void machine_processor_name(const char *root, char *name, size_t size)
{
    char path[PATH_MAX], line[512];
    *name = '\0';
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    FILE *file = fopen(path, "re");
    while (file && *name == '\0' && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", colon + 1 + strspn(colon + 1, " "));
    }
    if (file) fclose(file);
}
