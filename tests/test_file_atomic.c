/* Tests files that appear whole or not at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_support.h"
#include "util/file_atomic.h"

TestSuite(file_atomic, .init = enter_folder, .fini = leave_folder);

static void write_word(const void *body, FILE *out)
{
    fputs(body, out);
}

static void expect_text(const char *path, const char *expected)
{
    char *text = support_file_read(path, NULL);
    cr_assert(text, "%s", path);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(file_atomic, a_file_is_replaced_and_nothing_is_left)
{
    struct status status = {0};
    cr_assert(file_atomic_print("a", write_word, "first", &status), "%s", status.message);
    cr_assert(file_atomic_print("a", write_word, "second", &status), "%s", status.message);
    expect_text("a", "second");
    cr_expect_eq(system("test \"$(ls)\" = a"), 0);
}

/* In containers on two machines that share the folder two processes may have one number. */
Test(file_atomic, the_part_of_a_process_with_the_same_number_is_left_alone)
{
    struct status status = {0};
    struct file_atomic own;
    char *part = memory_format("a.%ld.part", (long)getpid()), *command;
    support_file_write(part, "another's", 9);
    cr_assert(file_atomic_open(&own, "a", &status), "%s", status.message);
    cr_expect_str_neq(own.part, part);
    command = memory_format("case %s in a.%ld-????????.part) ;; *) exit 1 ;; esac", own.part, (long)getpid());
    cr_expect_eq(system(command), 0, "%s", own.part);
    cr_assert(file_atomic_write(&own, "own", 3, &status) && file_atomic_commit(&own, &status), "%s", status.message);
    expect_text("a", "own");
    expect_text(part, "another's");
    free(part), free(command);
}
