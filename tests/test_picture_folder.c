/* Tests which pictures a folder's data set has: its two forms, names, order, and all that is not a picture. */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "picture_support.h"

TestSuite(picture_folder, .init = enter_folder, .fini = leave_folder);

/* --- the two forms --- */

static void write_classes(const char *folder, int value)
{
    const char *const names[] = {"cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"};
    for (int i = 0; i < 4; i++) {
        char *path = memory_format("%s/%s", folder, names[i]);
        write_grey(path, value + i);
        free(path);
    }
}

Test(picture_folder, parts_with_a_folder_per_class)
{
    struct dataset dataset;
    write_classes("set/train", 10);
    write_classes("set/test", 20);
    write_classes("set/valid", 30);
    load_good(&dataset, "");
    cr_expect(dataset.channels == 1 && dataset.height == 4 && dataset.width == 4 && dataset.classes == 2);
    cr_expect_str_eq(dataset.class_names[0], "cat");
    cr_expect_str_eq(dataset.class_names[1], "dog");
    expect_samples(&dataset.train, "train/cat/1.png 0, train/cat/2.png 0, train/dog/1.png 1, train/dog/2.png 1");
    expect_samples(&dataset.test, "test/cat/1.png 0, test/cat/2.png 0, test/dog/1.png 1, test/dog/2.png 1");
    expect_samples(&dataset.validation, "valid/cat/1.png 0, valid/cat/2.png 0, valid/dog/1.png 1, valid/dog/2.png 1");
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(*image_set_pixels(&dataset.train, i, 16), 10 + i);
        cr_expect_eq(*image_set_pixels(&dataset.test, i, 16), 20 + i);
        cr_expect_eq(*image_set_pixels(&dataset.validation, i, 16), 30 + i);
    }
    dataset_free(&dataset);
}

Test(picture_folder, names_of_parts_in_any_case)
{
    struct dataset dataset;
    write_classes("set/Training", 10);
    write_classes("set/TEST", 20);
    write_classes("set/Val", 30);
    load_good(&dataset, "");
    cr_expect(dataset.train.count == 4 && dataset.test.count == 4 && dataset.validation.count == 4);
    dataset_free(&dataset);
}

Test(picture_folder, class_folders_alone)
{
    struct dataset dataset;
    write_classes("set", 10);
    load_good(&dataset, "");
    expect_samples(&dataset.train, "cat/1.png 0, cat/2.png 0, dog/1.png 1, dog/2.png 1");
    cr_expect(dataset.test.count == 0 && dataset.validation.count == 0);
    dataset_free(&dataset);
}

/* A train is a thing too. */
Test(picture_folder, a_class_with_the_name_of_a_part)
{
    struct dataset dataset;
    write_grey("set/train/1.png", 1);
    write_grey("set/bus/1.png", 2);
    load_good(&dataset, "");
    expect_samples(&dataset.train, "bus/1.png 0, train/1.png 1");
    dataset_free(&dataset);
}

Test(picture_folder, the_order_is_that_of_bytes)
{
    struct dataset dataset;
    const char *const names[] = {"2/b.png", "10/Z.png",       "10/a.png",    "2/a/x.png",
                                 "2/a.png", "2/\xC3\xA9.png", "2/B.JPEG.png"};
    for (int i = 6; i >= 0; i--) {
        char *path = memory_format("set/%s", names[i]);
        write_grey(path, i);
        free(path);
    }
    load_good(&dataset, "");
    expect_samples(&dataset.train, "10/Z.png 0, 10/a.png 0, 2/B.JPEG.png 1, 2/a.png 1, 2/a/x.png 1, 2/b.png 1, "
                                   "2/\xC3\xA9.png 1");
    dataset_free(&dataset);
}

Test(picture_folder, other_names_for_the_classes)
{
    struct dataset dataset;
    write_classes("set", 10);
    load_good(&dataset, "class_names = Felis, Canis\nclasses = 2\n");
    cr_expect_str_eq(dataset.class_names[0], "Felis");
    cr_expect_str_eq(dataset.class_names[1], "Canis");
    dataset_free(&dataset);
    expect_refused("class_names = a, b, c\n", STATUS_USAGE,
                   "x.ini:5: data.class_names: 3 class names, expected 2: one for each class of set");
    expect_refused("classes = 3\n", STATUS_USAGE,
                   "x.ini:5: data.classes: expected 2, the number of classes of set, found 3");
}

/* --- refused --- */

Test(picture_folder, nothing_there)
{
    struct status status = {0};
    struct dataset dataset;
    cr_assert_not(load_set(&dataset, "", &status));
    cr_expect(strstr(status.message, "set: no such folder, expected pictures there"), "%s", status.message);
    write_text("set", "");
    cr_assert_not(load_set(&dataset, "", &status));
    cr_expect(strstr(status.message, "set: is a file, expected the folder that holds pictures"), "%s", status.message);
}

static void expect_bad_layout(const char *message)
{
    char *line = memory_format("set: %s", message);
    struct dataset dataset;
    struct status status = {0};
    cr_assert_not(load_set(&dataset, "", &status), "%s", line);
    cr_expect_eq(status.code, STATUS_RUNTIME);
    cr_expect_eq(strncmp(status.message, line, strlen(line)), 0, "\"%s\", not \"%s\"", status.message, line);
    free(line);
    cr_assert_eq(system("rm -r set"), 0);
}

Test(picture_folder, no_classes)
{
    make_folders("set", true);
    expect_bad_layout("holds no folders, expected one for each class");
    write_grey("set/1.png", 1);
    expect_bad_layout("holds no folders, expected one for each class");
    write_grey("set/cat/1.png", 1);
    expect_bad_layout("one class only, the folder \"cat\", expected at least 2 folders");
    write_grey("set/pets/cat/1.png", 1);
    expect_bad_layout("one class only, the folder \"pets\", expected at least 2 folders; or data.path = set/pets");
    make_folders("set/cat", true), make_folders("set/dog", true);
    expect_bad_layout("no training picture, expected .png, .jpg or .jpeg files");
}

Test(picture_folder, doubtful_parts)
{
    write_classes("set/train", 1), write_classes("set/Train", 1);
    expect_bad_layout("both Train/ and train/ may be the training set, expected one of them");
    write_classes("set/train", 1), write_classes("set/val", 1), write_classes("set/valid", 1);
    expect_bad_layout("both val/ and valid/ may be the validation set, expected one of them");
    write_classes("set/val", 1), write_classes("set/test", 1);
    expect_bad_layout("holds val/ and no train/, expected both, or a folder per class");
    write_classes("set/train", 1), write_classes("set/bus", 1);
    expect_bad_layout("holds train/ with folders of its own, and bus/ beside it: expected train/, test/ and val/ "
                      "alone, or a folder per class");
}

/* Pictures that lie in train/ and test1/ without a folder per class are not two classes. */
Test(picture_folder, parts_without_classes)
{
    write_grey("set/train/1.png", 1), write_grey("set/test1/1.png", 1);
    expect_refused("", STATUS_RUNTIME, "set/train: holds no folders, expected one for each class");
    write_classes("set/train", 1);
    cr_assert_eq(rename("set/test1", "set/test"), 0);
    expect_refused("", STATUS_RUNTIME, "set/test: holds no folder of a class, expected those of set/train");
}

Test(picture_folder, a_class_of_the_test_set_alone)
{
    write_classes("set/train", 1), write_classes("set/test", 5);
    write_grey("set/test/emu/1.png", 9);
    expect_refused("", STATUS_RUNTIME, "set/test/emu: no such class in set/train, expected one of its 2 folders");
}

Test(picture_folder, names_that_are_no_names_of_classes)
{
    write_classes("set", 1);
    write_grey("set/a\nb/1.png", 9);
    expect_refused("", STATUS_RUNTIME,
                   "set/a\\nb: control character (byte 0x0a) in the folder's name, expected a class name");
    cr_assert_eq(rename("set/a\nb", "set/\xFF"), 0);
    expect_refused("", STATUS_RUNTIME,
                   "set/\\xff: invalid UTF-8 (byte 0xff) in the folder's name, expected a class name");
}

/* --- what is no picture --- */

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    cr_assert(descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0);
    close(descriptor);
}

Test(picture_folder, hostile_files, .timeout = 60)
{
    struct dataset dataset;
    write_classes("set", 10);
    write_text("set/cat/.hidden.png", "x"), write_text("set/cat/Thumbs.db", "x"),
        write_text("set/dog/Desktop.ini", "x");
    make_folders("set/.git/objects", true), make_folders("set/__MACOSX/cat", true);
    write_text("set/README.txt", "x"), write_text("set/cat/notes", "x");
    write_text("set/cat/empty.png", ""), write_text("set/cat/web.jpg", "<html>");
    write_grey("set/stray.png", 1);
    cr_assert(mkfifo("set/dog/pipe.jpg", 0600) == 0 && mkfifo("set/dog/pipe", 0600) == 0);
    make_socket("set/dog/socket");
    cr_assert(symlink("nowhere", "set/dog/gone.png") == 0 && symlink("/dev/zero", "set/dog/zero.png") == 0);
    cr_assert(symlink("endless.png", "set/dog/endless.png") == 0);
    load_good(&dataset, "max_skipped = 0.7\n");
    expect_samples(&dataset.train, "cat/1.png 0, cat/2.png 0, dog/1.png 1, dog/2.png 1");
    expect_skipped(&dataset, "set/README.txt: not a .png, .jpg or .jpeg file\n"
                             "*set/cat/empty.png: expected a PNG or JPEG file, found an empty one\n"
                             "set/cat/notes: not a .png, .jpg or .jpeg file\n"
                             "*set/cat/web.jpg: expected a PNG or JPEG file, found a web page\n"
                             "*set/dog/endless.png: cannot be reached: Too many levels of symbolic links\n"
                             "*set/dog/gone.png: cannot be reached: No such file or directory\n"
                             "set/dog/pipe: is a pipe, expected a file\n"
                             "*set/dog/pipe.jpg: is a pipe, expected a file\n"
                             "set/dog/socket: is a socket, expected a file\n"
                             "*set/dog/zero.png: is a device, expected a file\n"
                             "*set/stray.png: lies in no folder of a class\n");
    dataset_free(&dataset);
}

/* Links lead to files, and to folders once; a circle ends. */
Test(picture_folder, links, .timeout = 60)
{
    struct dataset dataset;
    write_classes("set/train", 10);
    write_grey("elsewhere/far.png", 1), write_grey("fox/fox.png", 2);
    cr_assert(symlink("../../../elsewhere", "set/train/cat/far") == 0 && symlink("..", "set/train/cat/loop") == 0);
    cr_assert(symlink("../..", "set/train/cat/root") == 0 && symlink(".", "set/train/cat/self") == 0);
    cr_assert(symlink("far", "set/train/cat/again") == 0);
    cr_assert(symlink("1.png", "set/train/dog/link.png") == 0 && symlink("../../fox", "set/train/fox") == 0);
    load_good(&dataset, "");
    expect_samples(&dataset.train,
                   "train/cat/1.png 0, train/cat/2.png 0, train/cat/again/far.png 0, train/dog/1.png 1, "
                   "train/dog/2.png 1, train/dog/link.png 1, train/fox/fox.png 2");
    expect_skipped(&dataset, "set/train/cat/far: leads to a folder that has been read already\n"
                             "set/train/cat/loop: leads to a folder that has been read already\n"
                             "set/train/cat/root: leads to a folder that has been read already\n"
                             "set/train/cat/self: leads to a folder that has been read already\n");
    dataset_free(&dataset);
}

/* Each folder links twice to the next one, so that there are 2^40 ways to the last. */
Test(picture_folder, links_that_fan_out, .timeout = 60)
{
    struct dataset dataset;
    write_classes("set", 10);
    for (int i = 0; i < 40; i++) {
        char *folder = memory_format("set/cat/%02d", i), *next = memory_format("../%02d", i + 1);
        char *a = memory_format("%s/a", folder), *b = memory_format("%s/b", folder);
        make_folders(folder, true);
        cr_assert(symlink(next, a) == 0 && symlink(next, b) == 0);
        free(folder), free(next), free(a), free(b);
    }
    make_folders("set/cat/40", true);
    load_good(&dataset, "");
    cr_expect_eq(dataset.train.count, 4);
    dataset_free(&dataset);
}

Test(picture_folder, names_with_newlines_and_other_bytes)
{
    struct dataset dataset;
    write_classes("set", 10);
    write_grey("set/cat/new\nline.png", 1), write_grey("set/cat/\xFF.png", 2),
        write_grey("set/cat/\xF0\x9F\x90\x88.png", 3);
    load_good(&dataset, "");
    expect_samples(&dataset.train, "cat/1.png 0, cat/2.png 0, cat/new\nline.png 0, cat/\xF0\x9F\x90\x88.png 0, "
                                   "cat/\xFF.png 0, dog/1.png 1, dog/2.png 1");
    dataset_free(&dataset);
}

Test(picture_folder, a_thousand_classes, .timeout = 120)
{
    struct dataset dataset;
    size_t size;
    write_grey("good.png", 9);
    char *bytes = support_file_read("good.png", &size);
    for (int i = 0; i < 1000; i++) {
        char *path = memory_format("set/train/class %d/1.png", i);
        make_folders(path, false);
        support_file_write(path, bytes, size);
        free(path);
    }
    free(bytes);
    load_good(&dataset, "");
    cr_expect(dataset.classes == 1000 && dataset.train.count == 1000);
    cr_expect_str_eq(dataset.class_names[999], "class 999");
    cr_expect_eq(dataset.train.labels[999], 999);
    dataset_free(&dataset);
}

/* --- permissions --- */

/* The superuser may read everything, so it becomes another user. */
static void enter_as_nobody(void)
{
    enter_folder();
    cr_assert_eq(chmod(test_folder, 0777), 0);
    if (geteuid() == 0) cr_assert_eq(seteuid(65534), 0);
}

static void leave_as_before(void)
{
    if (getuid() == 0) cr_assert_eq(seteuid(0), 0);
    leave_folder();
}

TestSuite(picture_folder_permissions, .init = enter_as_nobody, .fini = leave_as_before);

Test(picture_folder_permissions, files_and_folders_within_a_class_are_left_out)
{
    struct dataset dataset;
    write_classes("set", 10);
    write_grey("set/cat/sub/1.png", 1), write_grey("set/cat/locked.png", 1);
    cr_assert(chmod("set/cat/sub", 0) == 0 && chmod("set/cat/locked.png", 0) == 0);
    load_good(&dataset, "max_skipped = 0.4\n");
    expect_samples(&dataset.train, "cat/1.png 0, cat/2.png 0, dog/1.png 1, dog/2.png 1");
    expect_skipped(&dataset, "*set/cat/locked.png: cannot open: Permission denied\n"
                             "*set/cat/sub: cannot read the folder: Permission denied\n");
    dataset_free(&dataset);
    cr_assert_eq(chmod("set/cat/sub", 0700), 0);
}

Test(picture_folder_permissions, the_folder_of_a_class_is_an_error)
{
    write_classes("set", 10);
    cr_assert_eq(chmod("set/dog", 0), 0);
    expect_refused("", STATUS_RUNTIME, "set/dog: cannot read the folder: Permission denied");
    cr_assert_eq(chmod("set/dog", 0700), 0);
}
