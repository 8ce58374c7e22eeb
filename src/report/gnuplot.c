/* Runs gnuplot as a child process without a shell, and checks that its picture is complete. */
#include "report/gnuplot.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/memory.h"
#include "util/text.h"

extern char **environ;

/* A picture takes a fraction of a second. A gnuplot that hangs must not hang a run. */
static const double patience_seconds = 60;

struct format {
    const char *ending, *terminal, *font;
    const char *last_bytes; /* the end of a complete file, without its newlines */
};

static const struct format formats[] = {
    {"png", "pngcairo", "sans", "IEND\xae\x42\x60\x82"},
    {"svg", "svg", "sans-serif", "</svg>"},
};

/* Writes a character of a string in double quotes. Single quotes would need less, but gnuplot 5.4 rejects such a string
 * that begins with a quote or has two in a row. */
static void write_character(FILE *script, char c)
{
    if (c == '`') /* gnuplot runs text in backquotes before it looks at backslashes */
        fputs("\\140", script);
    else
        fprintf(script, c == '"' || c == '\\' ? "\\%c" : "%c", c);
}

void gnuplot_write_string(FILE *script, const char *text)
{
    size_t size = strlen(text), at = 0;
    const char *problem;
    fputc('"', script);
    while (at < size) {
        size_t good = text_find_bad_byte(text + at, size - at, &problem);
        for (size_t i = at; i < at + good; i++) write_character(script, text[i]);
        at += good;
        if (at < size) fputc('?', script), at++;
    }
    fputc('"', script);
}

/* Starts gnuplot in a process group of its own, so that a ^C for the run does not end the picture of it. */
static int spawn_gnuplot(FILE *script, FILE *picture, FILE *errors, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        char *arguments[] = {"gnuplot", "-d", "-", NULL}; /* -d: no settings of the user's */
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, fileno(picture), STDOUT_FILENO);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
        if (!error) error = posix_spawnp(child, "gnuplot", &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Waits for the child's end; returns false where it had to be killed. */
static bool wait_for(pid_t child, int *result)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    double started = clock_seconds();
    for (;;) {
        pid_t ended = waitpid(child, result, WNOHANG);
        if (ended == child) return true;
        if (ended < 0 && errno != EINTR) return false;
        if (clock_seconds() - started > patience_seconds) {
            kill(child, SIGKILL);
            waitpid(child, result, 0);
            return false;
        }
        nanosleep(&pause, NULL);
    }
}

/* Reads gnuplot's last line with words in it, for an error message; warnings and the command may stand before it. */
static void read_complaint(FILE *errors, char *complaint, size_t size)
{
    char line[256];
    snprintf(complaint, size, "no reason given");
    rewind(errors);
    while (fgets(line, sizeof line, errors)) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *words = line + strspn(line, " \t^");
        if (*words) snprintf(complaint, size, "%s", words);
    }
}

static bool run_gnuplot(FILE *script, FILE *picture, const char *path, struct status *status)
{
    FILE *errors = tmpfile();
    if (!errors) return status_fail(status, STATUS_RUNTIME, "%s: no temporary file: %s", path, strerror(errno));
    pid_t child;
    int result = 0, error = spawn_gnuplot(script, picture, errors, &child);
    bool good = false;
    if (error) {
        status_fail(status, STATUS_RUNTIME, "%s: not drawn, cannot run gnuplot: %s", path, strerror(error));
    } else if (!wait_for(child, &result)) {
        status_fail(status, STATUS_RUNTIME, "%s: not drawn, gnuplot took more than %.0f seconds", path,
                    patience_seconds);
    } else if (!WIFEXITED(result) || WEXITSTATUS(result) != 0) {
        char line[256];
        read_complaint(errors, line, sizeof line);
        status_fail(status, STATUS_RUNTIME, "%s: not drawn, gnuplot failed: %s", path, line);
    } else {
        good = true;
    }
    fclose(errors);
    return good;
}

/* Checks the end of the file, because gnuplot does not say when the disk is full. */
static bool is_complete(FILE *picture, const struct format *format)
{
    char tail[16];
    size_t size = sizeof tail, wanted = strlen(format->last_bytes);
    if (fseek(picture, -(long)size, SEEK_END) != 0 || fread(tail, 1, size, picture) != size) return false;
    while (size > 0 && tail[size - 1] == '\n') size--;
    return size >= wanted && memcmp(tail + size - wanted, format->last_bytes, wanted) == 0;
}

static bool draw_script(FILE *script, const char *path, const struct format *format, struct status *status)
{
    char *partial = memory_format("%s.part", path);
    FILE *picture = fopen(partial, "w+b");
    if (!picture) {
        status_fail(status, STATUS_RUNTIME, "%s: cannot create the file: %s", partial, strerror(errno));
        free(partial);
        return false;
    }
    bool good = run_gnuplot(script, picture, path, status);
    if (good && !is_complete(picture, format))
        good =
            status_fail(status, STATUS_RUNTIME, "%s: not drawn, gnuplot left it incomplete: is the disk full?", path);
    fclose(picture);
    if (good && rename(partial, path) != 0) good = status_fail(status, STATUS_RUNTIME, "%s: %s", path, strerror(errno));
    if (!good) unlink(partial);
    free(partial);
    return good;
}

static FILE *write_script(const struct format *format, int width, int height,
                          void (*write_body)(const void *body, FILE *script), const void *body)
{
    FILE *script = tmpfile();
    if (!script) return NULL;
    fprintf(script, "set encoding utf8\nset terminal %s noenhanced background '#ffffff' size %d,%d font '%s,11'\n",
            format->terminal, width, height, format->font);
    write_body(body, script);
    fputs("\nunset output\n", script);
    if (fflush(script) == 0 && fseek(script, 0, SEEK_SET) == 0) return script;
    int cause = errno;
    fclose(script);
    errno = cause;
    return NULL;
}

bool gnuplot_draw(const char *base, int width, int height, void (*write_body)(const void *body, FILE *script),
                  const void *body, struct status *status)
{
    bool good = true;
    for (size_t i = 0; good && i < sizeof formats / sizeof *formats; i++) {
        char *path = memory_format("%s.%s", base, formats[i].ending);
        FILE *script = write_script(&formats[i], width, height, write_body, body);
        if (script) {
            good = draw_script(script, path, &formats[i], status);
            fclose(script);
        } else {
            good = status_fail(status, STATUS_RUNTIME, "%s: no temporary file: %s", path, strerror(errno));
        }
        free(path);
    }
    return good;
}
