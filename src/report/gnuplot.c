#include "report/gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer/memory.h"

extern char **environ;

void gnuplot_write_string(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', script);
        fputc(*text == '\n' ? ' ' : *text, script);
    }
    fputc('\'', script);
}

/* Starts gnuplot with the script as its standard input; its words of complaint go to `errors`. */
static int spawn_gnuplot(FILE *script, FILE *errors, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDOUT_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
    char *arguments[] = {"gnuplot", "-d", "-", NULL}; /* -d: no settings of the user's */
    if (!error) error = posix_spawnp(child, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The first line with words in it, for an error message. */
static void read_complaint(FILE *errors, char *line, size_t size)
{
    rewind(errors);
    line[0] = '\0';
    while (fgets(line, (int)size, errors)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[strspn(line, " \t^")]) return;
    }
}

static bool run_gnuplot(FILE *script, const char *output, struct status *status)
{
    FILE *errors = tmpfile();
    if (!errors) return status_fail(status, STATUS_RUNTIME, "%s: no temporary file: %s", output, strerror(errno));
    rewind(script);
    pid_t child;
    int error = spawn_gnuplot(script, errors, &child), result = 0;
    bool good = false;
    if (error) {
        status_fail(status, STATUS_RUNTIME, "%s: not drawn, cannot run gnuplot: %s", output, strerror(error));
    } else {
        while (waitpid(child, &result, 0) < 0 && errno == EINTR) continue;
        good = WIFEXITED(result) && WEXITSTATUS(result) == 0;
        char line[256];
        read_complaint(errors, line, sizeof line);
        if (!good) status_fail(status, STATUS_RUNTIME, "%s: not drawn, gnuplot failed: %s", output, line);
    }
    fclose(errors);
    return good;
}

/* Draws into a file beside the final one, which it replaces when it is complete. */
static bool draw_file(const char *path, const char *terminal, void (*write_body)(const void *, FILE *),
                      const void *body, struct status *status)
{
    FILE *script = tmpfile();
    if (!script) return status_fail(status, STATUS_RUNTIME, "%s: no temporary file: %s", path, strerror(errno));
    char *partial = memory_format("%s.part", path);
    fprintf(script, "set encoding utf8\nset terminal %s\nset output ", terminal);
    gnuplot_write_string(script, partial);
    fputc('\n', script);
    write_body(body, script);
    fprintf(script, "\nunset output\n");
    bool good = fflush(script) == 0 || status_fail(status, STATUS_RUNTIME, "%s: %s", path, strerror(errno));
    good = good && run_gnuplot(script, path, status);
    if (good && rename(partial, path) != 0) good = status_fail(status, STATUS_RUNTIME, "%s: %s", path, strerror(errno));
    if (!good) unlink(partial);
    fclose(script);
    free(partial);
    return good;
}

bool gnuplot_draw(const char *base, int width, int height, void (*write_body)(const void *body, FILE *script),
                  const void *body, struct status *status)
{
    char *png = memory_format("%s.png", base), *svg = memory_format("%s.svg", base);
    char *png_terminal =
        memory_format("pngcairo noenhanced background '#ffffff' size %d,%d font 'DejaVu Sans,11'", width, height);
    char *svg_terminal =
        memory_format("svg noenhanced background '#ffffff' size %d,%d font 'DejaVu Sans,11'", width, height);
    bool good = draw_file(png, png_terminal, write_body, body, status) &&
                draw_file(svg, svg_terminal, write_body, body, status);
    free(png);
    free(svg);
    free(png_terminal);
    free(svg_terminal);
    return good;
}
