/* Tests the cache of decoded pictures: when it is taken, when it is made anew, and what happens where it cannot be. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/pack.h"
#include "picture_support.h"

static void enter(void)
{
    enter_folder();
    cr_assert(freopen("stderr.txt", "w", stderr));
    for (int i = 0; i < 6; i++) {
        char *path = memory_format("set/%s/%d.png", i < 3 ? "cat" : "dog", i);
        write_grey(path, 10 * i);
        free(path);
    }
}

TestSuite(picture_cache, .init = enter, .fini = leave_folder);

/* Checks what was printed to the standard error since the last call. */
static void expect_lines(const char *expected)
{
    fflush(stderr);
    char *text = support_file_read("stderr.txt", NULL);
    cr_expect_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    free(text);
    cr_assert(freopen("stderr.txt", "w", stderr));
}

/* Loads the set and checks the first pixel of each sample, -1 at the end. */
static void expect_pixels(const char *lines, const int *expected)
{
    struct dataset dataset;
    int64_t count = 0;
    load_good(&dataset, lines);
    while (expected[count] >= 0) count++;
    cr_assert_eq(dataset.train.count, count, "%d samples", (int)dataset.train.count);
    for (int64_t i = 0; i < count; i++) {
        int found = *image_set_pixels(&dataset.train, i, 16);
        cr_expect_eq(found, expected[i], "sample %d: %d, not %d", (int)i, found, expected[i]);
    }
    dataset_free(&dataset);
}

#define PIXELS(...) ((const int[]){__VA_ARGS__, -1})
#define AS_WRITTEN PIXELS(0, 10, 20, 30, 40, 50)

/* Returns the number of files of the cache whose names end so; `path` becomes that of one of them, in a new string. */
static int find_files(const char *ending, char **path)
{
    int count = 0;
    DIR *entries = opendir(".cache/trainer");
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t size = strlen(entry->d_name), length = strlen(ending);
        if (size < length || strcmp(entry->d_name + size - length, ending) != 0) continue;
        count++;
        if (path && !*path) *path = memory_format(".cache/trainer/%s", entry->d_name);
    }
    if (entries) closedir(entries);
    return count;
}

static char *cache_file(void)
{
    char *path = NULL;
    cr_assert_eq(find_files(".pack", &path), 1);
    return path;
}

/* Replaces a picture's bytes by others that are no picture, and keeps size and time. Who looks at the bytes notices it. */
static void spoil(const char *path)
{
    struct stat info;
    cr_assert(stat(path, &info) == 0);
    char *bytes = memory_alloc((size_t)info.st_size, 1);
    support_file_write(path, bytes, (size_t)info.st_size);
    free(bytes);
    cr_assert(utimensat(AT_FDCWD, path, (struct timespec[]){info.st_atim, info.st_mtim}, 0) == 0);
}

/* --- hits --- */

Test(picture_cache, the_second_start_reads_no_picture)
{
    expect_pixels("", AS_WRITTEN);
    for (int i = 0; i < 6; i++) {
        char *path = memory_format("set/%s/%d.png", i < 3 ? "cat" : "dog", i);
        spoil(path);
        free(path);
    }
    expect_pixels("", AS_WRITTEN);
    expect_lines("");
    cr_expect_eq(find_files(".pack", NULL), 1);
    cr_expect_eq(find_files(".part", NULL), 0);
}

/* The identity of the data must not depend on where they come from. */
Test(picture_cache, the_data_are_the_same_with_and_without)
{
    struct dataset first, second, without;
    load_good(&first, ""), load_good(&second, ""), load_good(&without, "cache = false\n");
    cr_expect_null(dataset_digest_difference(&first.digest, &second.digest));
    cr_expect_null(dataset_digest_difference(&first.digest, &without.digest));
    cr_expect_str_eq(image_set_name(&second.train, 5), "dog/5.png");
    dataset_free(&first), dataset_free(&second), dataset_free(&without);
}

Test(picture_cache, other_settings_have_a_file_of_their_own)
{
    expect_pixels("", AS_WRITTEN);
    expect_pixels("image_size = 4\n", AS_WRITTEN);
    expect_pixels("image_size = 4\nbackground = 0\n", AS_WRITTEN);
    expect_pixels("image_size = 4\nresize = pad\n", AS_WRITTEN);
    cr_expect_eq(find_files(".pack", NULL), 4);
}

Test(picture_cache, none_is_made_where_the_config_says_so)
{
    expect_pixels("cache = false\n", AS_WRITTEN);
    cr_expect(access(".cache", F_OK) != 0);
}

/* --- changes --- */

/* Only what is new is decoded: the pictures that are spoiled keep their pixels. */
Test(picture_cache, changes_are_told_and_the_rest_is_kept)
{
    expect_pixels("", AS_WRITTEN);
    spoil("set/cat/0.png"), spoil("set/dog/5.png");
    write_grey("set/cat/1.png", 11);
    write_grey("set/cat/7.png", 70);
    cr_assert(unlink("set/dog/3.png") == 0);
    cr_assert(utimensat(AT_FDCWD, "set/cat/1.png", (struct timespec[]){{1, 5}, {1, 5}}, 0) == 0);
    expect_pixels("", PIXELS(0, 11, 20, 70, 40, 50));
    expect_lines(
        "trainer: set: 1 pictures changed, 1 added, 1 removed since they were decoded; decoding what is new\n");
    expect_pixels("", PIXELS(0, 11, 20, 70, 40, 50));
    expect_lines("");
}

Test(picture_cache, a_picture_of_another_class_is_a_change)
{
    expect_pixels("", AS_WRITTEN);
    cr_assert(rename("set/cat/2.png", "set/dog/2.png") == 0);
    expect_pixels("", PIXELS(0, 10, 20, 30, 40, 50));
    expect_lines(
        "trainer: set: 0 pictures changed, 1 added, 1 removed since they were decoded; decoding what is new\n");
    struct dataset dataset;
    load_good(&dataset, "");
    cr_expect_eq(dataset.train.labels[2], 1);
    dataset_free(&dataset);
}

/* Of a nanosecond, as two writes within a second have. */
Test(picture_cache, a_change_of_the_time_alone_is_one)
{
    struct stat info;
    expect_pixels("", AS_WRITTEN);
    cr_assert(stat("set/cat/0.png", &info) == 0);
    info.st_mtim.tv_nsec += info.st_mtim.tv_nsec < 999999999 ? 1 : -1;
    cr_assert(utimensat(AT_FDCWD, "set/cat/0.png", (struct timespec[]){info.st_atim, info.st_mtim}, 0) == 0);
    expect_pixels("", AS_WRITTEN);
    expect_lines(
        "trainer: set: 1 pictures changed, 0 added, 0 removed since they were decoded; decoding what is new\n");
}

Test(picture_cache, pictures_that_cannot_be_read_are_known_with_their_reasons)
{
    struct dataset first, second;
    write_text("set/cat/bad.png", "no picture");
    write_text("set/dog/empty.png", "");
    load_good(&first, "max_skipped = 0.5\n"), load_good(&second, "max_skipped = 0.5\n");
    cr_assert_eq(first.skipped_count, 2);
    cr_assert_eq(second.skipped_count, 2);
    for (int i = 0; i < 2; i++) {
        cr_expect_str_eq(first.skipped[i].path, second.skipped[i].path);
        cr_expect_str_eq(first.skipped[i].reason, second.skipped[i].reason);
        cr_expect(second.skipped[i].picture);
    }
    cr_expect_eq(second.train.count, 6);
    dataset_free(&first), dataset_free(&second);
    write_grey("set/cat/bad.png", 90);
    cr_assert(unlink("set/dog/empty.png") == 0);
    expect_pixels("", PIXELS(0, 10, 20, 90, 30, 40, 50));
}

/* --- a cache that is damaged, or cannot be --- */

Test(picture_cache, a_damaged_file_is_made_anew)
{
    size_t size;
    expect_pixels("", AS_WRITTEN);
    char *path = cache_file(), *bytes = support_file_read(path, &size);
    const size_t places[] = {PACK_HEADER + 20, 50, size - 3};
    const char *const words[] = {"damaged: the pixels of cat/1.png differ", "", "damaged: the SHA-256"};
    for (int i = 0; i < 3; i++) {
        bytes[places[i]] ^= 1;
        support_file_write(path, bytes, size);
        bytes[places[i]] ^= 1;
        expect_pixels("", AS_WRITTEN);
        fflush(stderr);
        char *text = support_file_read("stderr.txt", NULL), *end = strchr(text, '\n');
        cr_expect(strstr(text, words[i]) && strstr(text, "; decoding again\n"), "%s", text);
        cr_expect(end && end[1] == '\0', "one line: %s", text);
        free(text);
        cr_assert(freopen("stderr.txt", "w", stderr));
        expect_pixels("", AS_WRITTEN);
        expect_lines("");
    }
    free(path), free(bytes);
}

Test(picture_cache, without_a_home_there_is_none)
{
    unsetenv("XDG_CACHE_HOME"), unsetenv("HOME");
    expect_pixels("", AS_WRITTEN);
    expect_lines("trainer: decoded pictures are not kept for the next start: neither XDG_CACHE_HOME nor HOME names a "
                 "folder\n");
    setenv("HOME", test_folder, 1);
    expect_pixels("", AS_WRITTEN);
    cr_expect_eq(find_files(".pack", NULL), 1);
}

Test(picture_cache, a_place_that_cannot_be_written)
{
    setenv("XDG_CACHE_HOME", "/proc/nothing", 1);
    expect_pixels("", AS_WRITTEN);
    expect_lines(
        "trainer: decoded pictures are not kept for the next start: /proc/nothing: cannot create the folder: No "
        "such file or directory\n");
}

Test(picture_cache, a_full_disk)
{
    const rlim_t limits[] = {0, PACK_HEADER + 16, PACK_HEADER + 6 * 16 + 3};
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
    for (int i = 0; i < 3; i++) {
        struct dataset dataset;
        struct status status = {0};
        struct experiment experiment = set_experiment("");
        cr_assert(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limits[i], before.rlim_max}) == 0);
        bool good = dataset_from_experiment(&dataset, &experiment, NULL, &status);
        cr_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
        experiment_free(&experiment);
        cr_assert(good, "%s", status.message);
        cr_expect_eq(*image_set_pixels(&dataset.train, 5, 16), 50);
        dataset_free(&dataset);
        cr_expect_eq(find_files(".pack", NULL), 0);
        cr_expect_eq(find_files(".part", NULL), 0);
    }
    expect_pixels("", AS_WRITTEN);
    cr_expect_eq(find_files(".pack", NULL), 1);
}

/* --- several processes --- */

/* `lock` is a descriptor that the child must not keep, or -1: a lock lasts until the last copy is closed. */
static pid_t start_loading(int lock)
{
    struct experiment experiment = set_experiment("");
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child > 0) experiment_free(&experiment);
    if (child > 0) return child;
    if (lock >= 0) close(lock);
    struct dataset dataset;
    struct status status = {0};
    _exit(dataset_from_experiment(&dataset, &experiment, NULL, &status) && dataset.train.count >= 6 ? 0 : 1);
}

static void write_many(int count)
{
    for (int i = 0; i < count; i++) {
        char *path = memory_format("set/cat/many%d.png", i);
        write_colour(path, 4, 4, (uint8_t)i, (uint8_t)(i / 3), 200);
        free(path);
    }
}

Test(picture_cache, the_second_process_waits_for_the_first)
{
    expect_pixels("", AS_WRITTEN);
    char *path = cache_file(), *lock_path = memory_format("%s.lock", path);
    int lock = open(lock_path, O_RDWR);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0);
    write_grey("set/cat/9.png", 90);
    pid_t child = start_loading(lock);
    int status = -1;
    for (int i = 0; i < 200; i++) {
        char *text = support_file_read("stderr.txt", NULL);
        bool told = strstr(text, "another process decodes these pictures; waiting for it\n");
        free(text);
        if (told) break;
        usleep(50000);
    }
    cr_expect_eq(waitpid(child, &status, WNOHANG), 0, "it waits");
    close(lock);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    free(path), free(lock_path);
}

Test(picture_cache, many_processes_at_once_leave_one_good_file)
{
    enum { PROCESSES = 6 };
    pid_t children[PROCESSES];
    write_many(200);
    for (int i = 0; i < PROCESSES; i++) children[i] = start_loading(-1);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_expect_eq(status, 0);
    }
    cr_expect_eq(find_files(".pack", NULL), 1);
    cr_expect_eq(find_files(".part", NULL), 0);
}

/* A process that is killed leaves no file that another one takes, and what it left beside is removed. */
Test(picture_cache, a_killed_process_leaves_nothing_wrong)
{
    write_many(300);
    for (int i = 0; i < 6; i++) {
        pid_t child = start_loading(-1);
        usleep((useconds_t)(4000 * i * i));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct dataset first, second;
        load_good(&first, "cache = false\n"), load_good(&second, "");
        cr_expect_null(dataset_digest_difference(&first.digest, &second.digest));
        cr_expect_eq(find_files(".part", NULL), 0, "%d", i);
        dataset_free(&first), dataset_free(&second);
        char *path = cache_file();
        cr_assert(unlink(path) == 0);
        free(path);
    }
}

Test(picture_cache, a_part_that_a_killed_process_left_is_removed)
{
    expect_pixels("", AS_WRITTEN);
    char *path = cache_file(), *part = memory_format("%s.12345.part", path);
    support_file_write(part, "x", 1);
    cr_assert(unlink(path) == 0);
    expect_pixels("", AS_WRITTEN);
    cr_expect(access(part, F_OK) != 0);
    free(path), free(part);
}
