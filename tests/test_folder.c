/* Tests locks of folders, and folders that change under their holder. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config_support.h"
#include "util/folder.h"

TestSuite(folder, .init = enter_folder, .fini = leave_folder);

/* The flock below takes the place of the C library's. It fails with this error, as a file system without locks does. */
static int flock_error;

int flock(int descriptor, int operation);
int flock(int descriptor, int operation)
{
    if (flock_error == 0) return (int)syscall(SYS_flock, descriptor, operation);
    errno = flock_error;
    return -1;
}

static char *expect_text(const char *path, const char *expected)
{
    char *text = support_file_read(path, NULL);
    cr_assert(text);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    return text;
}

Test(folder, a_file_system_without_locks_gets_a_warning)
{
    const int errors[] = {ENOLCK, EOPNOTSUPP, ENOSYS};
    for (int i = 0; i < 3; i++) {
        int lock;
        struct status status = {0};
        cr_assert(freopen("stderr.txt", "w", stderr));
        flock_error = errors[i];
        cr_expect(folder_lock("a", "run", &lock, &status), "%s", status.message);
        fflush(stderr);
        char *expected = memory_format("trainer: a: this file system has no locks (%s), so a second run in this folder "
                                       "would not be noticed\n",
                                       strerror(errors[i]));
        free(expect_text("stderr.txt", expected));
        free(expected);
        cr_expect(folder_check("a", "run", lock, &status));
        folder_unlock(&lock);
        cr_expect_eq(lock, -1);
    }
}

Test(folder, another_error_of_a_lock_is_one)
{
    int lock;
    struct status status = {0};
    flock_error = EBADF;
    cr_expect_not(folder_lock("a", "run", &lock, &status));
    cr_expect_str_eq(status.message, "a: cannot lock: Bad file descriptor");
    cr_expect_eq(lock, -1);
}

Test(folder, a_second_holder_is_refused)
{
    int lock, second;
    struct status status = {0};
    cr_assert(folder_lock("a/b", "run", &lock, &status), "%s", status.message);
    cr_expect_not(folder_lock("a/b", "run", &second, &status));
    cr_expect_str_eq(status.message, "a/b: another run is running in this folder");
    cr_expect_eq(second, -1);
    folder_unlock(&lock);
    cr_assert(folder_lock("a/b", "run", &second, &status), "%s", status.message);
    folder_unlock(&second);
}

static void expect_changed(int lock, const char *message)
{
    struct status status = {0};
    cr_expect_not(folder_check("a", "run", lock, &status));
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_str_eq(status.message, message, "%s", status.message);
}

Test(folder, a_holder_notices_that_it_was_moved_or_removed)
{
    int lock;
    struct status status = {0};
    char *here = getcwd(NULL, 0);
    char *moved =
        memory_format("a: the folder of this run was moved to %s/b while it was going on, so it ends here", here);
    cr_assert(folder_lock("a", "run", &lock, &status), "%s", status.message);
    cr_expect(folder_check("a", "run", lock, &status));
    cr_assert_eq(rename("a", "b"), 0);
    expect_changed(lock, moved);
    cr_assert_eq(mkdir("a", 0777), 0);
    expect_changed(lock, moved);
    cr_assert_eq(rmdir("a"), 0);
    cr_assert_eq(rename("b", "a"), 0);
    cr_expect(folder_check("a", "run", lock, &status), "it is back");
    cr_assert_eq(rmdir("a"), 0);
    const char removed[] = "a: the folder of this run was removed or replaced while it was going on, so it ends here";
    expect_changed(lock, removed);
    cr_assert_eq(mkdir("a", 0777), 0);
    expect_changed(lock, removed);
    folder_unlock(&lock);
    free(here), free(moved);
}

static bool is_mark(const char *folder, const char *name)
{
    (void)folder;
    return strcmp(name, "mark") == 0;
}

Test(folder, only_an_empty_or_a_marked_one_is_taken)
{
    struct status status = {0};
    cr_assert_eq(mkdir("a", 0777), 0);
    cr_expect(folder_check_marks("a", "run", is_mark, &status), "empty");
    support_file_write("a/z", "", 0);
    support_file_write("a/b", "", 0);
    cr_expect_not(folder_check_marks("a", "run", is_mark, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, "a: is not the folder of a run: it holds \"b\" and nothing of a run; choose a new "
                                     "or empty folder with --out FOLDER");
    support_file_write("a/mark", "", 0);
    cr_expect(folder_check_marks("a", "run", is_mark, &status));
    cr_assert_eq(mkdir("log", 0777), 0);
    cr_assert(freopen("log/log.txt", "w", stderr));
    cr_expect(folder_check_marks("log", "run", is_mark, &status), "the process prints there");
}
