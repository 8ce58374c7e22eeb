/* Tests names in printed commands: a shell must read them back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config_support.h"
#include "util/memory.h"
#include "util/shell.h"

TestSuite(shell, .init = enter_folder, .fini = leave_folder);

static void expect_word(const char *path, const char *expected)
{
    char *word = shell_quote_path(path);
    cr_expect_str_eq(word, expected, "%s", word);
    free(word);
}

Test(shell, quotes_where_it_must)
{
    expect_word("runs/quickstart", "runs/quickstart");
    expect_word("/a/B.c_d-e:f@g%h+1,2", "/a/B.c_d-e:f@g%h+1,2");
    expect_word("my run", "'my run'");
    expect_word("exp #2", "'exp #2'");
    expect_word("~", "'~'");
    expect_word("it's", "'it'\\''s'");
    expect_word("", "''");
    expect_word("a=b", "'a=b'");
    expect_word("-rf", "./-rf");
    expect_word("- x", "./'- x'");
    expect_word("two\nlines", "$'two\\012lines'");
    expect_word("tab\t'\\", "$'tab\\011\\'\\\\'");
    expect_word("Gr\xc3\xb6\xc3\x9f", "'Gr\xc3\xb6\xc3\x9f'");
}

/* bash reads every byte that a name can hold, alone and beside a letter. */
Test(shell, bash_reads_the_path_back)
{
    char *script;
    size_t size;
    FILE *out = memory_stream(&script, &size);
    fputs("check() { [[ $1 == \"$(printf \"$2.\")\" || $1. == \"$(printf \"$2.\")\" ]] || exit $3; }\n", out);
    for (int byte = 1; byte < 256; byte++) {
        const char path[] = {(char)byte, 'a', (char)byte, '\0'};
        char *word = shell_quote_path(path);
        const char *before = byte == '-' ? "./" : "";
        fprintf(out, "check %s '%s\\%03oa\\%03o' 1\n", word, before, byte, byte);
        free(word);
    }
    memory_stream_close(out, &script);
    support_file_write("script", script, size);
    free(script);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        setenv("LC_ALL", "C", 1);
        execl("/bin/bash", "bash", "script", (char *)NULL);
        _exit(99);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}
