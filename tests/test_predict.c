/* Tests trainer predict over lists: files, folders and names on the standard input. A bad picture gives an error and
 * ends nothing. The output stays text, JSON or a table. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <png.h>
#include <string.h>
#include <sys/stat.h>

#include <trainer/predictor.h>

#include "program_support.h"
#include "session_support.h"

static char *folder;

static const char config[] =
    "[data]\ndataset = synthetic\nsynthetic_train = 30\nsynthetic_test = 12\nsynthetic_classes = 3\nsynthetic_size = 5\n"
    "[model]\nkind = mlp\nhidden = 4\n[train]\nbatch_size = 10\nmax_steps = 3\n[backend]\ndevice = cpu\nthreads = 1\n";

static void enter(void)
{
    folder = support_folder();
    cr_assert(chdir(folder) == 0);
    support_file_write("c.ini", config, strlen(config));
    program_expect(program_run("c.ini", "--out", "run", "--quiet", NULL), 0, "", "");
}

static void leave(void)
{
    support_folder_remove(folder);
}

TestSuite(predict, .init = enter, .fini = leave);

static void write_picture(const char *path, uint8_t grey)
{
    const uint8_t pixels[4] = {grey, 0, grey, 255};
    png_image png = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_GRAY};
    cr_assert(png_image_write_to_file(&png, path, 0, pixels, 0, NULL), "%s", png.message);
}

static void write_text(const char *path, const char *text)
{
    support_file_write(path, text, strlen(text));
}

/* Returns the file names in the answer, in their order, with a '!' behind those that have an error. */
static char *names_in(const char *out)
{
    json_error_t error;
    json_t *value = json_loads(out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(value, "%s: %s", error.text, out);
    const json_t *predictions = json_object_get(value, "predictions");
    char *names = memory_copy_string("");
    for (size_t i = 0; i < json_array_size(predictions); i++) {
        const json_t *entry = json_array_get(predictions, i);
        bool is_bad = json_object_get(entry, "error") != NULL;
        cr_expect_eq(is_bad, json_object_get(entry, "logits") == NULL);
        char *longer =
            memory_format("%s%s%s ", names, json_string_value(json_object_get(entry, "file")), is_bad ? "!" : "");
        free(names);
        names = longer;
    }
    json_decref(value);
    return names;
}

static void expect_names(struct program_result result, int code, const char *expected, const char *error)
{
    char *names = names_in(result.out);
    cr_expect_eq(result.code, code, "exit code %d: %s", result.code, result.error);
    cr_expect_str_eq(names, expected, "\"%s\", not \"%s\"", names, expected);
    cr_expect_str_eq(result.error, error, "\"%s\", not \"%s\"", result.error, error);
    free(names), free(result.out), free(result.error);
}

/* --- a bad picture among good ones --- */

static const char bad_line[] = "trainer: bad.png: neither a PNG nor a JPEG file\n"
                               "trainer: none.png: cannot open: No such file or directory\n"
                               "trainer: 2 of 4 pictures could not be read\n";

Test(predict, goes_on_after_a_bad_picture)
{
    write_picture("a.png", 10), write_picture("b.png", 200);
    write_text("bad.png", "no picture");
    expect_names(program_run("predict", "run", "bad.png", "a.png", "none.png", "b.png", "--json", NULL), 1,
                 "bad.png! a.png none.png! b.png ", bad_line);
    struct program_result text = program_run("predict", "run", "bad.png", "a.png", "none.png", "b.png", NULL);
    const char *second = strstr(text.out, "b.png\n");
    cr_expect_eq(text.code, 1);
    cr_expect(strncmp(text.out, "a.png\n  ", 8) == 0 && second && strchr(second, '%'), "%s", text.out);
    cr_expect_str_eq(text.error, bad_line);
    free(text.out), free(text.error);
    /* A bad picture that is the only one gives one line. */
    program_expect(program_run("predict", "run", "bad.png", NULL), 1, "",
                   "trainer: bad.png: neither a PNG nor a JPEG file\n");
    expect_names(program_run("predict", "run", "bad.png", "--json", NULL), 1, "bad.png! ",
                 "trainer: bad.png: neither a PNG nor a JPEG file\n");
}

/* --- folders --- */

Test(predict, takes_the_pictures_of_a_folder_in_their_order)
{
    cr_assert(mkdir("f", 0777) == 0 && mkdir("f/sub.png", 0777) == 0 && mkdir("empty", 0777) == 0);
    const char *const names[] = {"f/b.png",       "f/B.PNG",         "f/10.jpeg", "f/9.JPG",
                                 "f/.hidden.png", "f/sub.png/x.png", "z.png"};
    for (int i = 0; i < 7; i++) write_picture(names[i], (uint8_t)i);
    write_text("f/list.txt", "no picture"), write_text("f/png", "no picture");
    expect_names(program_run("predict", "run", "f", "z.png", "--json", NULL), 0,
                 "f/10.jpeg f/9.JPG f/B.PNG f/b.png z.png ", "");
    expect_names(program_run("predict", "run", "--json", "f/", NULL), 0, "f/10.jpeg f/9.JPG f/B.PNG f/b.png ", "");
    write_text("f/a.jpg", "GIF89a");
    expect_names(program_run("predict", "run", "--json", "f", "empty", NULL), 1,
                 "f/10.jpeg f/9.JPG f/B.PNG f/a.jpg! f/b.png empty! ",
                 "trainer: f/a.jpg: expected a PNG or JPEG file, found a GIF picture\n"
                 "trainer: empty: no file in this folder ends in .png, .jpg or .jpeg\n"
                 "trainer: 2 of 6 pictures could not be read\n");
}

Test(predict, takes_subfolders_where_asked)
{
    const char *const folders[] = {"f", "f/b", "f/b/c", "f/.git", "f/none"};
    for (int i = 0; i < 5; i++) cr_assert_eq(mkdir(folders[i], 0777), 0);
    const char *const names[] = {"f/b/2.png", "f/b/c/3.jpg.png", "f/a.png", "f/z.png", "f/.git/x.png", "f/b/.y.png"};
    for (int i = 0; i < 6; i++) write_picture(names[i], (uint8_t)i);
    write_text("f/b/notes.txt", "no picture");
    expect_names(program_run("predict", "run", "f", "-r", "--json", NULL), 0,
                 "f/a.png f/b/2.png f/b/c/3.jpg.png f/z.png ", "");
    expect_names(program_run("predict", "run", "f", "--json", NULL), 0, "f/a.png f/z.png ", "");
    cr_assert(symlink("../../b", "f/b/c/again") == 0 && symlink("../z.png", "f/none/link.png") == 0);
    expect_names(program_run("predict", "run", "f/", "f/a.png", "--recursive", "--json", NULL), 1,
                 "f/a.png f/b/2.png f/b/c/3.jpg.png f/b/c/again! f/none/link.png f/z.png f/a.png ",
                 "trainer: f/b/c/again: a link to a folder that holds it\n"
                 "trainer: 1 of 7 pictures could not be read\n");
}

Test(predict, says_that_subfolders_are_left_out)
{
    cr_assert(mkdir("f", 0777) == 0 && mkdir("f/cat", 0777) == 0);
    program_expect(program_run("predict", "run", "f", NULL), 1, "",
                   "trainer: f: no file in this folder ends in .png, .jpg or .jpeg; --recursive takes its subfolders "
                   "too\n");
    program_expect(program_run("predict", "run", "f", "-r", NULL), 1, "",
                   "trainer: f: no file in this folder or below ends in .png, .jpg or .jpeg\n");
}

/* --- a list on the standard input --- */

static struct program_result run_with_input(const char *text, const char *word, const char *option)
{
    write_text("list", text);
    int kept = dup(STDIN_FILENO), list = open("list", O_RDONLY);
    cr_assert(list >= 0 && dup2(list, STDIN_FILENO) == STDIN_FILENO);
    struct program_result result = program_run("predict", "run", word, option, NULL);
    if (kept >= 0) dup2(kept, STDIN_FILENO), close(kept);
    close(list);
    return result;
}

Test(predict, takes_a_list_on_the_standard_input)
{
    cr_assert_eq(mkdir("f", 0777), 0);
    write_picture("a b.png", 1), write_picture("f/c.png", 2), write_picture("last.png", 3);
    expect_names(run_with_input("a b.png\r\n\nf\nnone.png\nlast.png", "-", "--json"), 1,
                 "a b.png f/c.png none.png! last.png ",
                 "trainer: none.png: cannot open: No such file or directory\n"
                 "trainer: 1 of 4 pictures could not be read\n");
    expect_names(run_with_input("", "-", "--json"), 0, "", "");
    expect_names(run_with_input("a b.png\n", "f", "--json"), 0, "f/c.png ", "");
}

/* --- tables --- */

/* Returns class, name and probability of the first `top` classes of a picture, as JSON has them. */
static char *columns_of(const char *path, const char *top)
{
    struct program_result result = program_run("predict", "run", path, "--json", "--top", top, NULL);
    json_t *value = json_loads(result.out, 0, NULL);
    cr_assert(value);
    const json_t *classes = json_object_get(json_array_get(json_object_get(value, "predictions"), 0), "top");
    char *columns = memory_copy_string("");
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const json_t *entry = json_array_get(classes, i);
        char *longer = memory_format("%s%" JSON_INTEGER_FORMAT ",%s,%.9g,", columns,
                                     json_integer_value(json_object_get(entry, "class")),
                                     json_string_value(json_object_get(entry, "name")),
                                     json_number_value(json_object_get(entry, "probability")));
        free(columns);
        columns = longer;
    }
    json_decref(value);
    free(result.out), free(result.error);
    return columns;
}

Test(predict, prints_a_table)
{
    write_picture("a.png", 10), write_picture("x, \"y\"\nz.png", 200);
    write_text("b,d.png", "BM");
    char *first = columns_of("a.png", "1"), *second = columns_of("x, \"y\"\nz.png", "1"),
         *both = columns_of("a.png", "2");
    char *table = memory_format("file,class,name,probability,error\na.png,%s\n"
                                "\"b,d.png\",,,,\"b,d.png: expected a PNG or JPEG file, found a BMP picture\"\n"
                                "\"x, \"\"y\"\"\nz.png\",%s\n",
                                first, second);
    program_expect(program_run("predict", "run", "--csv", "a.png", "b,d.png", "x, \"y\"\nz.png", NULL), 1, table,
                   "trainer: b,d.png: expected a PNG or JPEG file, found a BMP picture\n"
                   "trainer: 1 of 3 pictures could not be read\n");
    char *wide = memory_format("file,class,name,probability,class_2,name_2,probability_2,error\na.png,%s\nno.png,,,,,,,"
                               "no.png: cannot open: No such file or directory\n",
                               both);
    program_expect(program_run("predict", "run", "--csv", "--top", "2", "a.png", "no.png", NULL), 1, wide,
                   "trainer: no.png: cannot open: No such file or directory\n"
                   "trainer: 1 of 2 pictures could not be read\n");
    free(first), free(second), free(both), free(table), free(wide);
}

Test(predict, prints_json_or_a_table)
{
    program_expect(program_run("predict", "run", "a.png", "--csv", "--json", NULL), 2, "",
                   "trainer: --json and --csv: expected one of them\n");
}

/* --- the public interface --- */

Test(predict, the_library_gives_the_scores_of_the_program)
{
    struct trainer_status status;
    uint8_t pixels[3 * 5 * 5];
    double scores[3];
    write_picture("a.png", 10);
    struct program_result result = program_run("predict", "run", "a.png", "--json", NULL);
    json_t *value = json_loads(result.out, 0, NULL);
    cr_assert(value, "%s", result.error);
    const json_t *prediction = json_array_get(json_object_get(value, "predictions"), 0);
    struct trainer_predictor *predictor = trainer_predictor_open("run", NULL, 0, &status);
    cr_assert(predictor, "%s", status.message);
    cr_assert(trainer_predictor_read(predictor, "a.png", pixels, &status), "%s", status.message);
    trainer_predictor_scores(predictor, pixels, 1, scores);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(json_real_value(json_array_get(json_object_get(prediction, "logits"), i)), scores[i]);
    trainer_predictor_free(predictor);
    json_decref(value);
    free(result.out), free(result.error);
}
