/* The file of chosen configurations (cudnn_cache.h). A line is
 *   KEY = ENGINE KNOB:VALUE KNOB:VALUE ... .
 * and ends with the dot, so that a line that was cut off shows. The file is written whole, with what it had before, by
 * who holds the lock of the folder: of two processes the second reads what the first has written. */
#include "cudnn_cache.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cuda_check.h"
#include "util/cache_folder.h"
#include "util/file_atomic.h"
#include "util/file_regular.h"
#include "util/memory.h"

enum { MOST_LINES = 4096, MOST_BYTES = 4 << 20 };

static struct cudaDeviceProp read_device(void)
{
    struct cudaDeviceProp device;
    int index = 0;
    CUDA_CHECK(cudaGetDevice(&index));
    CUDA_CHECK(cudaGetDeviceProperties(&device, index));
    return device;
}

char *cudnn_cache_path(void)
{
    struct status status;
    struct cudaDeviceProp device = read_device();
    for (char *c = device.name; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    char *folder = cache_folder_create(&status);
    char *path = folder ? memory_format("%s/cudnn-%s.txt", folder, device.name) : NULL;
    free(folder);
    return path;
}

/* Returns all that a choice depends on, in a new string. */
static char *make_key(const struct cudnn_task *task)
{
    static const char *const passes[] = {"forward", "dx", "dweight"};
    static const char *const precisions[] = {PRECISION_CHOICES(CHOICE_NAME)};
    struct cudaDeviceProp device = read_device();
    int driver = 0, runtime = 0;
    CUDA_CHECK(cudaDriverGetVersion(&driver));
    CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    return memory_format("%s sm_%d%d with %d multiprocessors, driver %d, CUDA %d, cuDNN %zu, %s, %s, %" PRId64
                         " bytes, %s, %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " to %" PRId64 ", kernel %" PRId64
                         ", stride %" PRId64 ", padding %" PRId64 ", groups %" PRId64 " =",
                         device.name, device.major, device.minor, device.multiProcessorCount, driver, runtime,
                         cudnnGetVersion(), precisions[task->precision],
                         task->deterministic ? "deterministic" : "timed", task->workspace_bytes, passes[task->pass],
                         task->x.n, task->x.c, task->x.h, task->x.w, task->output_channels, task->params.window.kernel,
                         task->params.window.stride, task->params.window.padding, task->params.groups);
}

/* --- lines --- */

/* Takes a whole number behind the character `before`. cuDNN has negative values of knobs too. */
static bool take_number(const char **text, char before, int64_t *value)
{
    char *end;
    if (**text != before) return false;
    const char *digits = *text + 1;
    if (!isdigit((unsigned char)digits[*digits == '-'])) return false;
    errno = 0;
    *value = strtoll(digits, &end, 10);
    *text = end;
    return errno == 0;
}

void cudnn_configuration_print(const struct cudnn_configuration *configuration, FILE *out)
{
    fprintf(out, " %" PRId64, configuration->engine);
    for (int i = 0; i < configuration->knob_count; i++)
        fprintf(out, " %" PRId64 ":%" PRId64, configuration->knobs[i].type, configuration->knobs[i].value);
    fprintf(out, " .");
}

bool cudnn_configuration_parse(const char *text, struct cudnn_configuration *configuration)
{
    *configuration = (struct cudnn_configuration){.engine = -1};
    if (!take_number(&text, ' ', &configuration->engine)) return false;
    while (strcmp(text, " .") != 0) {
        if (configuration->knob_count == CUDNN_MOST_KNOBS) return false;
        struct cudnn_knob *knob = &configuration->knobs[configuration->knob_count++];
        if (!take_number(&text, ' ', &knob->type) || !take_number(&text, ':', &knob->value)) return false;
    }
    return true;
}

/* Returns what stands behind the key in a line that begins with it, else NULL. */
static const char *after_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) == 0 ? line + length : NULL;
}

/* Returns the whole file in a new string, an empty one where it cannot be read. */
static char *read_text(const char *path)
{
    int descriptor;
    int64_t size = 0, got = 0;
    struct status status;
    char *text = NULL;
    if (file_regular_open(&descriptor, &size, path, &status)) {
        if (size > MOST_BYTES) size = 0;
        text = memory_alloc((size_t)size + 1, 1);
        while (got < size) {
            ssize_t more = read(descriptor, text + got, (size_t)(size - got));
            if (more <= 0) break;
            got += more;
        }
        close(descriptor);
    }
    return text ? text : memory_alloc(1, 1);
}

bool cudnn_cache_find(const struct cudnn_task *task, struct cudnn_configuration *configuration)
{
    bool found = false;
    char *path = cudnn_cache_path();
    if (!path) return false;
    char *key = make_key(task), *text = read_text(path), *rest = text;
    while (!found && rest) {
        const char *behind = after_key(strsep(&rest, "\n"), key);
        found = behind && cudnn_configuration_parse(behind, configuration);
    }
    free(text), free(key), free(path);
    return found;
}

/* --- writing --- */

/* Waits for the lock of the folder that the file is in, which ends with unlock. A folder that cannot be locked, as on some
 * network file systems, is -1: then a line may be lost, which is chosen again. */
static int lock_folder(const char *path)
{
    char *folder = memory_copy_string(path);
    *strrchr(folder, '/') = '\0';
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    while (lock >= 0 && flock(lock, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        close(lock);
        return -1;
    }
    return lock;
}

static void unlock_folder(int lock)
{
    if (lock >= 0) close(lock);
}

struct addition {
    char *text; /* the file as it was; cut up by writing */
    const char *key;
    const struct cudnn_configuration *configuration;
};

/* Prints the lines that are whole and have another key, the last ones where there are too many, and the new one. */
static void print_lines(const void *body, FILE *out)
{
    const struct addition *addition = body;
    char *rest = addition->text;
    int excess = 1 - MOST_LINES;
    for (const char *c = rest; *c; c++) excess += *c == '\n';
    while (rest) {
        const char *line = strsep(&rest, "\n"), *equals = strrchr(line, '=');
        struct cudnn_configuration other;
        if (excess-- > 0 || !equals || !cudnn_configuration_parse(equals + 1, &other) || after_key(line, addition->key))
            continue;
        fprintf(out, "%s\n", line);
    }
    fprintf(out, "%s", addition->key);
    cudnn_configuration_print(addition->configuration, out);
    fprintf(out, "\n");
}

void cudnn_cache_keep(const struct cudnn_task *task, const struct cudnn_configuration *configuration)
{
    struct status status;
    char *path = cudnn_cache_path();
    if (!path) return;
    char *key = make_key(task);
    int lock = lock_folder(path); /* of threads too: each opens it anew */
    char *text = read_text(path);
    const struct addition addition = {text, key, configuration};
    file_atomic_print(path, print_lines, &addition, &status);
    unlock_folder(lock);
    free(text), free(key), free(path);
}
