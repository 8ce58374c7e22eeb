/* Runs the program as a user does, in the current folder, and keeps its output and its exit code. Include after
 * criterion. */
#ifndef TESTS_PROGRAM_SUPPORT_H
#define TESTS_PROGRAM_SUPPORT_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <criterion/criterion.h>

#include "support.h"

struct program_result {
    int code; /* the exit code, or -1: the program did not exit by itself */
    char *out, *error;
};

static inline void program_redirect(int descriptor, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(99);
    close(file);
}

/* Runs the program with the arguments, which end with NULL. */
static inline struct program_result program_run(const char *first, ...)
{
    char *argv[32] = {"trainer", (char *)first};
    va_list arguments;
    va_start(arguments, first);
    for (int i = 2; argv[i - 1]; i++) argv[i] = va_arg(arguments, char *);
    va_end(arguments);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        program_redirect(STDOUT_FILENO, "stdout.txt");
        program_redirect(STDERR_FILENO, "stderr.txt");
        execv(TRAINER_PROGRAM, argv);
        _exit(99);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    struct program_result result = {.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1};
    result.out = support_file_read("stdout.txt", NULL);
    result.error = support_file_read("stderr.txt", NULL);
    return result;
}

/* Checks a result's exit code and whole output, and frees the result. */
static inline void program_expect(struct program_result result, int code, const char *out, const char *error)
{
    cr_expect_eq(result.code, code, "exit code %d, not %d: %s", result.code, code, result.error);
    cr_expect_str_eq(result.out, out, "\"%s\", not \"%s\"", result.out, out);
    cr_expect_str_eq(result.error, error, "\"%s\", not \"%s\"", result.error, error);
    free(result.out);
    free(result.error);
}

#endif
