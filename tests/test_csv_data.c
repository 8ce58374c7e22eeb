/* Tests data sets of tables (data.dataset = csv): how their columns, pictures and classes are found, and what is refused.
 * Picture N is a grey PNG of 2x2 whose pixels are N. */
#include <criterion/criterion.h>

#include <sys/stat.h>
#include <unistd.h>

#include "config/experiment.h"
#include "data/data_private.h"
#include "data/dataset.h"
#include "dataset_support.h"
#include "io/image.h"
#include "support.h"
#include "util/memory.h"
#include "util/warning.h"

/* --- folders with pictures and a table --- */

static void write_picture(const char *folder, const char *name, uint8_t number)
{
    uint8_t pixels[4] = {number, number, number, number};
    const struct image image = {1, 2, 2, pixels};
    struct status status = {0};
    char *path = support_path(folder, name);
    cr_assert(image_write_png(&image, path, &status), "%s", status.message);
    free(path);
}

/* A new folder with the pictures 1.png to 6.png, in a folder below it if `below` is not NULL. */
static char *make_folder(const char *below)
{
    char *folder = support_folder(), *pictures = below ? support_path(folder, below) : memory_copy_string(folder);
    if (below) cr_assert_eq(mkdir(pictures, 0700), 0);
    for (int i = 1; i <= 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        write_picture(pictures, name, (uint8_t)i);
    }
    free(pictures);
    return folder;
}

static char *write_table(const char *folder, const char *text)
{
    char *path = support_path(folder, "t.csv");
    support_file_write(path, text, strlen(text));
    return path;
}

static bool load_with(struct dataset *dataset, struct dataset_source source, struct status *status)
{
    source.pictures.max_skipped = 0.5;
    return csv_load(dataset, &source, status);
}

static struct dataset load(const char *folder, const char *text, struct dataset_source source)
{
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    char *path = write_table(folder, text);
    source.path = path;
    cr_assert(load_with(&dataset, source, &status), "%s", status.message);
    source.pictures.max_skipped = 0.5;
    cr_assert(csv_describe(&description, &source, &status), "%s", status.message);
    cr_expect(description.channels == dataset.channels && description.height == dataset.height);
    cr_expect(description.width == dataset.width && description.classes == dataset.classes);
    free(path);
    return dataset;
}

/* Checks the numbers and labels of a set's pictures, as "1:0 2:1", number and label. */
static void expect_set(const struct dataset *dataset, const struct image_set *set, const char *expected)
{
    char *found = memory_copy_string("");
    int64_t size = dataset->channels * dataset->height * dataset->width;
    for (int64_t i = 0; i < set->count; i++) {
        char *before = found;
        found = memory_format("%s%s%d:%d", before, i > 0 ? " " : "", *image_set_pixels(set, i, size), set->labels[i]);
        free(before);
    }
    cr_expect_str_eq(found, expected);
    free(found);
}

static void expect_names(const struct dataset *dataset, int64_t count, const char *const *names)
{
    cr_assert(dataset->classes == count && dataset->class_names);
    for (int64_t i = 0; i < count; i++) cr_expect_str_eq(dataset->class_names[i], names[i]);
}

/* Loads the table from a folder with pictures, and expects the training set and the names of two classes. */
static void expect_two(const char *below, const char *text, const char *train, const char *first, const char *second)
{
    char *folder = make_folder(below);
    struct dataset dataset = load(folder, text, (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, train);
    expect_names(&dataset, 2, (const char *const[]){first, second});
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(csv_data, forms_of_tables)
{
    static const char train[] = "1:1 3:0 2:1";
    expect_two(NULL, "id,label\n1,dog\n3,cat\n2,dog\n", train, "cat", "dog");
    expect_two("train", "id,label\n1,dog\n3,cat\n2,dog\n", train, "cat", "dog");
    expect_two("images", "id,breed\r\n1,dog\r\n3,cat\r\n2,dog", train, "cat", "dog");
    expect_two(NULL, "\xEF\xBB\xBFlabel;filename\rdog;1.png\rcat;3.png\rdog;2.png\r", train, "cat", "dog");
    expect_two(NULL, "1.png\tdog\n3.png\tcat\n\n2.png\tdog\n", train, "cat", "dog");
    expect_two("p", "p/1.png dog\n./p/3.png   cat \np/2.png\tdog\n", train, "cat", "dog");
    expect_two("p", "path,label\np\\1.png, dog\np\\3.png, cat\np\\2.png, dog\n", train, "cat", "dog");
    expect_two(NULL, "1,dog\n3,cat\n2,dog\n", train, "cat", "dog");
    expect_two(NULL, "\"id\",\"label\"\n\"1\",\"a \"\"big\"\", dog\"\n\"3\",\"cat\"\n2,\"a \"\"big\"\", dog\"\n",
               "1:0 3:1 2:0", "a \"big\", dog", "cat");
}

Test(csv_data, a_column_tells_the_sets)
{
    static const char *const texts[] = {
        "image,label,split\n1.png,a,train\n2.png,b,Test\n3.png,b,training\n4.png,a,VAL\n5.png,a,test\n",
        "subset\tclass\tpath\ntrain\ta\t1.png\ntest\tb\t2.png\ntrain\tb\t3.png\ndev\ta\t4.png\ntest\ta\t5.png\n"};
    char *folder = make_folder(NULL);
    for (int i = 0; i < 2; i++) {
        struct dataset dataset = load(folder, texts[i], (struct dataset_source){0});
        expect_set(&dataset, &dataset.train, "1:0 3:1");
        expect_set(&dataset, &dataset.validation, "4:0");
        expect_set(&dataset, &dataset.test, "2:1 5:0");
        dataset_free(&dataset);
    }
    struct dataset dataset =
        load(folder, "name,label,is_valid\n1.png,a,False\n2.png,b,True\n3.png,b,False\n", (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, "1:0 3:1");
    expect_set(&dataset, &dataset.validation, "2:1");
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(csv_data, keys_choose_columns_and_folder)
{
    static const char text[] = "a,b,c,d\n1,cat,x,6\n2,dog,y,5\n3,dog,x,4\n";
    char *folder = make_folder("p"), *pictures = support_path(folder, "p");
    struct dataset_source source = {.pictures = {.folder = pictures, .image_column = "d", .label_column = "3"}};
    struct dataset dataset = load(folder, text, source);
    expect_set(&dataset, &dataset.train, "6:0 5:1 4:0");
    expect_names(&dataset, 2, (const char *const[]){"x", "y"});
    dataset_free(&dataset);
    source.pictures.label_column = "b";
    dataset = load(folder, text, source);
    expect_set(&dataset, &dataset.train, "6:0 5:1 4:1");
    dataset_free(&dataset);
    free(pictures);
    support_folder_remove(folder);
}

Test(csv_data, absolute_paths_are_taken)
{
    char *folder = make_folder("p"), *other = support_folder();
    char *text = memory_format("%s/p/1.png,a\n%s/p/2,b\n", folder, folder);
    struct dataset dataset = load(other, text, (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, "1:0 2:1");
    dataset_free(&dataset);
    free(text);
    support_folder_remove(folder), support_folder_remove(other);
}

/* --- classes --- */

Test(csv_data, whole_numbers_keep_their_order)
{
    char *folder = make_folder(NULL);
    struct dataset dataset = load(folder, "id,label\n1,10\n2,9\n3,2\n4,9\n", (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, "1:2 2:1 3:0 4:1");
    expect_names(&dataset, 3, (const char *const[]){"2", "9", "10"});
    dataset_free(&dataset);
    dataset = load(folder, "id,label\n1,1\n2,0\n3,2\n", (struct dataset_source){.class_names = "x, y, z, t"});
    expect_set(&dataset, &dataset.train, "1:1 2:0 3:2");
    expect_names(&dataset, 4, (const char *const[]){"x", "y", "z", "t"});
    dataset_free(&dataset);
    dataset = load(folder, "id,label\n1,1\n2,0\n3,2\n", (struct dataset_source){.classes = 5});
    cr_expect(dataset.classes == 5);
    dataset_free(&dataset);
    dataset = load(folder, "id,label\n1,7\n2,3\n3,7\n", (struct dataset_source){.class_names = "three, seven"});
    expect_set(&dataset, &dataset.train, "1:1 2:0 3:1");
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(csv_data, names_of_the_config_rule_the_order)
{
    char *folder = make_folder(NULL);
    struct dataset dataset =
        load(folder, "id,label\n1,cat\n2,dog\n3,cat\n", (struct dataset_source){.class_names = "dog, cat, bird"});
    expect_set(&dataset, &dataset.train, "1:1 2:0 3:1");
    expect_names(&dataset, 3, (const char *const[]){"dog", "cat", "bird"});
    dataset_free(&dataset);
    dataset = load(folder, "id,label\n1,n02\n2,n01\n3,n02\n", (struct dataset_source){.class_names = "house, tree"});
    expect_set(&dataset, &dataset.train, "1:1 2:0 3:1");
    expect_names(&dataset, 2, (const char *const[]){"house", "tree"});
    dataset_free(&dataset);
    support_folder_remove(folder);
}

/* --- rows that are left out --- */

Test(csv_data, missing_pictures_are_skipped_with_their_line)
{
    char *folder = make_folder(NULL), *made = support_path(folder, "made.png");
    cr_assert_eq(mkdir(made, 0700), 0);
    struct dataset dataset =
        load(folder, "id,label\n1,a\nnone,b\n2,b\nmade.png,a\n3.png,a\n", (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, "1:0 2:1 3:0");
    cr_assert_eq(dataset.skipped_count, 2);
    cr_expect(strstr(dataset.skipped[0].path, "/made.png") && strstr(dataset.skipped[1].path, "/none"));
    cr_expect(strstr(dataset.skipped[0].reason, "is a folder (line 5 of "), "%s", dataset.skipped[0].reason);
    cr_expect(strstr(dataset.skipped[1].reason, "no such file (line 3 of "), "%s", dataset.skipped[1].reason);
    dataset_free(&dataset);
    free(made);
    support_folder_remove(folder);
}

Test(csv_data, rows_that_repeat_are_counted)
{
    char *folder = make_folder(NULL);
    struct dataset dataset = load(folder, "id,label\n1,a\n2,b\n1.png,a\n./1.png,a\n", (struct dataset_source){0});
    expect_set(&dataset, &dataset.train, "1:0 2:1");
    char *path = support_path(folder, "t.csv");
    struct dataset_source source = {.path = path, .pictures = {.height = 2, .width = 2, .channels = 1}};
    struct dataset_description description;
    struct status status = {0};
    warning_collect();
    cr_assert(csv_describe(&description, &source, &status), "%s", status.message);
    char *warning = warning_take();
    cr_assert(warning != NULL);
    cr_expect(strstr(warning, "t.csv: 2 rows name a picture of another row, and are left out"), "%s", warning);
    dataset_free(&dataset);
    free(warning), free(path);
    support_folder_remove(folder);
}

/* --- what is refused --- */

/* Expects the message, in which %s stands for the table's path where it begins with "%s". */
static void expect_refused_with(const char *text, struct dataset_source source, enum status_code code,
                                const char *message)
{
    char *folder = make_folder(NULL), *path = write_table(folder, text);
    struct dataset dataset, empty = {0};
    struct dataset_description description;
    struct status status = {0}, of_description = {0};
    source.path = path;
    cr_assert_not(load_with(&dataset, source, &status), "expected: %s", message);
    const char *found = strstr(status.message, path);
    char *shown = found ? memory_format("%.*s@%s", (int)(found - status.message), status.message, found + strlen(path))
                        : memory_copy_string(status.message);
    cr_expect_str_eq(shown, message);
    cr_expect_eq(status.code, code);
    cr_expect_eq(memcmp(&dataset, &empty, sizeof empty), 0);
    if (!csv_describe(&description, &source, &of_description)) cr_expect_str_eq(of_description.message, status.message);
    free(shown), free(path);
    support_folder_remove(folder);
}

static void expect_refused(const char *text, const char *message)
{
    expect_refused_with(text, (struct dataset_source){0}, STATUS_RUNTIME, message);
}

Test(csv_data, contradictions_name_both_rows)
{
    expect_refused("id,label\n1,a\n2,b\n1.png,b\n",
                   "@:4: 1.png has the label \"b\" here and \"a\" in line 2, expected one of them");
    expect_refused(
        "id,label,split\n1,a,train\n2,b,train\n1.png,a,test\n",
        "@:4: 1.png has its place in the test set here and the training set in line 2, expected one of them");
}

Test(csv_data, errors_name_line_and_column)
{
    expect_refused("id,label\n1,a\n2,b,c\n", "@:3: 3 fields, expected 2 as in the first row");
    expect_refused("id,label\n1,a\n2\n", "@:3: 1 fields, expected 2 as in the first row");
    expect_refused("id,label\n1,a\n2,\n", "@:3:3: nothing, expected a label");
    expect_refused("id,label\n1,a\n2,\033[2J\n",
                   "@:3:3: control character (byte 0x1b) in a label, expected text in UTF-8");
    expect_refused("id,label\n1,a\n2,\xe9\n", "@:3:3: invalid UTF-8 (byte 0xe9) in a label, expected text in UTF-8");
    expect_refused("id,label\n\"1\",a\n2,\"b\n3,c\n", "@:3:3: quotes that are not closed, expected a second '\"'");
    expect_refused("id,label\n\"x\ny\",a\n1,a\n2\n", "@:5: 1 fields, expected 2 as in the first row");
    expect_refused("id,label,split\n1,a,train\n2,b,tset\n", "@:3:5: \"tset\", expected train, val or test");
    expect_refused("id,label,split\n1,a,train\n2,b,train\n3,c,test\n",
                   "@:4:3: label \"c\", expected one that the training set has");
    expect_refused("id,label\n1,a\n2,a\n", "@: every label is \"a\", expected at least 2 classes");
    expect_refused("name,label,is_valid\n1,a,1\n", "@: no row of the training set");
    expect_refused_with("id,label\n1,cat\n2,dgo\n", (struct dataset_source){.class_names = "dog, cat"}, STATUS_RUNTIME,
                        "@:3:3: label \"dgo\", expected one of data.class_names");
}

Test(csv_data, tables_without_rows_or_pictures)
{
    expect_refused("", "@: this is an empty file, expected a table: text in UTF-8 with a row per picture");
    expect_refused("\n\n", "@: no row, expected one for each picture");
    expect_refused("id,label\n", "@: no row behind the head, expected one for each picture");
    expect_refused("<!DOCTYPE html>\n",
                   "@: this is an HTML or XML page, expected a table: text in UTF-8 with a row per picture");
    expect_refused("\xFF\xFEi\n", "@: this is text in UTF-16, expected a table: text in UTF-8 with a row per picture");
}

Test(csv_data, none_of_the_pictures_is_there)
{
    char *folder = support_folder(), *path = write_table(folder, "id,label\nx1,a\nx2,b\n");
    struct dataset dataset;
    struct status status = {0};
    cr_assert_not(load_with(&dataset, (struct dataset_source){.path = path}, &status));
    char *expected =
        memory_format("%s: none of its 2 pictures is there, the first: %s/x1: no such file (line 2 of %s); "
                      "expected them beside the table, in train/ or images/ there, or in data.images",
                      path, folder, path);
    cr_expect_str_eq(status.message, expected);
    free(expected), free(path);
    support_folder_remove(folder);
}

Test(csv_data, columns_that_cannot_be_told)
{
    expect_refused_with(
        "id,a,b\n1,x,y\n2,y,x\n", (struct dataset_source){0}, STATUS_USAGE,
        "data.label_column: expected the name or the number (from 1) of a column of @ (id, a, b), found auto");
    expect_refused_with(
        "1.png,x,y\n2.png,y,x\n", (struct dataset_source){0}, STATUS_USAGE,
        "data.label_column: expected the name or the number (from 1) of a column of @ (there are 3, without "
        "names), found auto");
    expect_refused_with(
        "id,a,b\n1,x,y\n", (struct dataset_source){.pictures = {.label_column = "c"}}, STATUS_USAGE,
        "data.label_column: expected the name or the number (from 1) of a column of @ (id, a, b), found "
        "\"c\"");
    expect_refused_with(
        "id,a,b\n1,x,y\n", (struct dataset_source){.pictures = {.image_column = "4"}}, STATUS_USAGE,
        "data.image_column: expected the name or the number (from 1) of a column of @ (id, a, b), found "
        "\"4\"");
}

Test(csv_data, a_pipe_is_not_waited_for, .timeout = 10)
{
    char *folder = make_folder(NULL), *pipe = support_path(folder, "pipe.png"), *table = support_path(folder, "t.csv");
    struct dataset dataset;
    struct status status = {0};
    cr_assert_eq(mkfifo(pipe, 0600) | mkfifo(table, 0600), 0);
    cr_assert_not(load_with(&dataset, (struct dataset_source){.path = table}, &status));
    cr_assert_eq(unlink(table), 0);
    dataset = load(folder, "1.png,a\npipe.png,b\n2.png,b\n", (struct dataset_source){0});
    cr_assert_eq(dataset.skipped_count, 1);
    cr_expect(strstr(dataset.skipped[0].reason, "not a regular file"));
    dataset_free(&dataset);
    free(pipe), free(table);
    support_folder_remove(folder);
}

/* --- tables of pixels --- */

/* Returns the text of a table of three images of `pixels` pixels; pixel p of image n is 10n + p. */
static char *pixel_table(const char *head, int pixels, bool label_first)
{
    char *text = memory_copy_string(head);
    for (int n = 0; n < 3; n++)
        for (int i = 0; i <= pixels; i++) {
            char *before = text;
            bool label = i == (label_first ? 0 : pixels);
            int value = label ? n % 2 : 10 * n + i - label_first;
            text = memory_format("%s%d%s", before, value, i < pixels ? "," : "\n");
            free(before);
        }
    return text;
}

static void expect_pixels(struct dataset dataset, int64_t height, int64_t width)
{
    cr_expect(dataset.channels == 1 && dataset.height == height && dataset.width == width && dataset.classes == 2);
    cr_assert_eq(dataset.train.count, 3);
    for (int n = 0; n < 3; n++) {
        cr_expect_eq(dataset.train.labels[n], n % 2);
        for (int i = 0; i < height * width; i++) cr_expect_eq(dataset.train.pixels[n * height * width + i], 10 * n + i);
    }
    dataset_free(&dataset);
}

Test(csv_data, reads_tables_of_pixels)
{
    static const char digits[] = "label,pixel0,pixel1,pixel2,pixel3,pixel4,pixel5,pixel6,pixel7,pixel8,pixel9,pixel10,"
                                 "pixel11,pixel12,pixel13,pixel14,pixel15\n";
    static const char grid[] = "1x1,1x2,1x3,1x4,2x1,2x2,2x3,2x4,3x1,3x2,3x3,3x4,4x1,4x2,4x3,4x4,digit\n";
    char *folder = support_folder(), *text = pixel_table(digits, 16, true);
    expect_pixels(load(folder, text, (struct dataset_source){0}), 4, 4);
    struct dataset_source wide = {.pictures = {.height = 2, .width = 8}};
    expect_pixels(load(folder, text, wide), 2, 8);
    free(text);
    text = pixel_table(grid, 16, false);
    expect_pixels(load(folder, text, (struct dataset_source){0}), 4, 4);
    free(text);
    text = pixel_table("", 16, false);
    expect_pixels(load(folder, text, (struct dataset_source){.pictures = {.label_column = "17"}}), 4, 4);
    free(text);
    text = pixel_table("", 16, true);
    expect_pixels(load(folder, text, (struct dataset_source){.pictures = {.label_column = "1"}}), 4, 4);
    free(text);
    support_folder_remove(folder);
}

/* A label that is a text shows itself; the head of pandas has bare numbers. */
Test(csv_data, tables_of_pixels_show_which_column_is_the_label)
{
    static const char row[] = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15";
    static const char *const heads[] = {"", "label,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"};
    char *folder = support_folder();
    for (int i = 0; i < 2; i++) {
        char *text = memory_format("%sb,%s\na,%s\n", heads[i], row, row);
        struct dataset dataset = load(folder, text, (struct dataset_source){0});
        expect_names(&dataset, 2, (const char *const[]){"a", "b"});
        cr_expect(dataset.train.count == 2 && dataset.train.labels[0] == 1 && dataset.train.labels[1] == 0);
        for (int p = 0; p < 32; p++) cr_expect_eq(dataset.train.pixels[p], p % 16);
        dataset_free(&dataset);
        free(text);
    }
    support_folder_remove(folder);
}

Test(csv_data, tables_of_pixels_take_floats_that_are_whole)
{
    static const char text[] =
        "1.7e+01,0.0,1,2,3,4,5,6,7,8,9,10,11,12,13,255.00,0\n0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1\n";
    char *folder = support_folder();
    struct dataset dataset = load(folder, text, (struct dataset_source){.pictures = {.label_column = "17"}});
    cr_expect(dataset.train.pixels[0] == 17 && dataset.train.pixels[1] == 0 && dataset.train.pixels[15] == 255);
    dataset_free(&dataset);
    support_folder_remove(folder);
}

Test(csv_data, tables_of_pixels_that_are_wrong)
{
    char *text = pixel_table("", 16, true);
    struct dataset_source first = {.pictures = {.label_column = "1"}}, size = first, colour = first;
    expect_refused_with(text, (struct dataset_source){0}, STATUS_USAGE,
                        "data.label_column: expected the name or the number (from 1) of a column of @ (there are 17, "
                        "without names), found auto");
    size.pictures.height = size.pictures.width = 5;
    expect_refused_with(
        text, size, STATUS_USAGE,
        "data.image_size: expected a width and height whose product is 16, the number of pixels in a row "
        "of @, found another one");
    colour.pictures.channels = 3;
    expect_refused_with(text, colour, STATUS_USAGE,
                        "data.channels: expected auto or 1, as @ holds the pixels of grey images, found 3");
    free(text);
    text = pixel_table("", 17, true);
    expect_refused_with(
        text, first, STATUS_USAGE,
        "data.image_size: expected a width and height whose product is 17, the number of pixels in a row "
        "of @, found auto");
    free(text);
    static const char row[] = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n";
    const char *bad[] = {"1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,256,16\n", "1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,1.5,16\n",
                         "1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,,16\n", "1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,-1,16\n"};
    const char *shown[] = {"256", "1.5", "", "-1"};
    for (int i = 0; i < 4; i++) {
        text = memory_format("%s%s", row, bad[i]);
        char *message = memory_format("@:2:36: \"%s\", expected a pixel: a whole number of 0 to 255", shown[i]);
        expect_refused_with(text, first, STATUS_RUNTIME, message);
        free(text), free(message);
    }
}

/* --- a run's config --- */

Test(csv_data, the_config_leads_to_the_table)
{
    char *folder = make_folder("p"), *table = write_table(folder, "a,b\n1,x\n2,y\n3,x\n4,y\n5,x\n6,y\n");
    char *text = memory_format("[data]\ndataset = csv\npath = %s\nimages = %s/p\nimage_column = a\nlabel_column = b\n"
                               "test_size = 2\n",
                               table, folder);
    struct experiment experiment;
    struct dataset dataset;
    struct dataset_description description;
    struct status status = {0};
    cr_assert(experiment_load_text(&experiment, "test.ini", text, NULL, 0, &status), "%s", status.message);
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status), "%s", status.message);
    cr_assert(describe_data(&description, &experiment, &status), "%s", status.message);
    cr_expect(dataset.train.count == 4 && dataset.test.count == 2 && dataset.classes == 2);
    cr_expect(description.height == 2 && description.width == 2 && description.classes == 2);
    cr_expect_str_eq(image_set_name(&dataset.train, 0) + 1, ".png");
    dataset_free(&dataset);
    experiment_free(&experiment);
    free(text), free(table);
    support_folder_remove(folder);
}
