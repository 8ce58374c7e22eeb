/* Tests orders of modules: which names a line fits, in which order the modules come, and which texts are refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "train/module_order.h"
#include "util/memory.h"

static struct module_order *parse(const char *text)
{
    struct status status = {0};
    struct module_order *order = module_order_parse("names.txt", text, &status);
    cr_assert(order, "%s", status.message);
    return order;
}

static bool knows(const char *text, const char *name)
{
    struct module_order *order = parse(text);
    struct module_place place;
    bool found = module_order_find(order, name, strlen(name), &place);
    module_order_free(order);
    return found;
}

Test(module_order, a_line_fits_whole_names)
{
    cr_expect(knows("conv1", "conv1"));
    cr_expect_not(knows("conv1", "conv12"));
    cr_expect_not(knows("conv1", "conv"));
    cr_expect_not(knows("conv1", "conv1.0"));
    cr_expect_not(knows("conv1.0", "conv1"));
    cr_expect(knows("a.#.b", "a.12.b"));
    cr_expect_not(knows("a.#.b", "a.x.b"));
    cr_expect_not(knows("a.#.b", "a.1x.b"));
    cr_expect_not(knows("a.#.b", "a..b"));
    cr_expect(knows("a.*", "a.1.conv.2"));
    cr_expect_not(knows("a.*", "a"));
    cr_expect(knows("a.#: b, c.0", "a.1.c.0"));
    cr_expect_not(knows("a.#: b, c.0", "a.1.c"));
    cr_expect_not(knows("a.#: b, c.0", "a.1"));
}

static int by_place(const void *a, const void *b)
{
    return module_place_compare(a, b);
}

/* The names, sorted by the order, with blanks between. */
static void expect_sorted(const char *text, const char *const *names, int count, const char *expected)
{
    struct module_order *order = parse(text);
    struct module_place places[16];
    char found[256] = "";
    for (int i = 0; i < count; i++)
        cr_assert(module_order_find(order, names[i], strlen(names[i]), &places[i]), "%s", names[i]);
    qsort(places, (size_t)count, sizeof *places, by_place);
    for (int i = 0; i < count; i++) {
        const char *name = NULL;
        for (int k = 0; k < count; k++)
            if (names[k] == places[i].name) name = names[k];
        strcat(strcat(found, i > 0 ? " " : ""), name);
    }
    cr_expect_str_eq(found, expected);
    module_order_free(order);
}

Test(module_order, lines_then_numbers_then_ends)
{
    const char *const names[] = {"fc", "l.10.a", "l.2.a", "stem", "l.2.c.0", "l.10.c.0", "l.02.b"};
    expect_sorted("# first\nstem\n\nl.#: c.0, a, b  # the blocks\r\nfc\n", names, 7,
                  "stem l.2.c.0 l.2.a l.02.b l.10.c.0 l.10.a fc");
}

Test(module_order, words_in_place_of_a_star_come_in_their_order)
{
    const char *const names[] = {"f.10.0", "f.1.conv.1", "f.1.conv.0.1", "f.2", "f.1.conv.0.0", "f.0.1", "f.0.0"};
    expect_sorted("f.*", names, 7, "f.0.0 f.0.1 f.1.conv.0.0 f.1.conv.0.1 f.1.conv.1 f.2 f.10.0");
}

Test(module_order, the_first_line_that_fits_counts)
{
    const char *const names[] = {"b.0.a", "b.0.c", "b.1.a", "b.1.c"};
    expect_sorted("b.0: c, a\nb.#: a, c", names, 4, "b.0.c b.0.a b.1.a b.1.c");
}

static void expect_refused(const char *text, const char *message)
{
    struct status status = {0};
    cr_assert_null(module_order_parse("names.txt", text, &status), "%s", text);
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message, "\"%s\", not \"%s\"", status.message, message);
}

Test(module_order, texts_that_are_none)
{
    expect_refused("", "names.txt: expected the name of a module in a line");
    expect_refused("# nothing\n\n", "names.txt: expected the name of a module in a line");
    expect_refused("a\n: b", "names.txt:2: expected the name of a module");
    expect_refused("a: b,, c", "names.txt:1: expected the name of a module");
    expect_refused("a:", "names.txt:1: expected the name of a module");
    expect_refused("a..b", "names.txt:1: expected words with single dots between");
    expect_refused("a.", "names.txt:1: expected words with single dots between");
    expect_refused("a b", "names.txt:1: expected no blank in a name");
    expect_refused("a.#1", "names.txt:1: expected * and # as words of their own");
    expect_refused("*.a", "names.txt:1: expected * as the last word of the line");
    expect_refused("a.*: b", "names.txt:1: expected * as the last word of the line");
    expect_refused("a: b.#", "names.txt:1: expected no * or # behind the colon");
}

Test(module_order, files_that_are_none)
{
    struct status status = {0};
    char *folder = support_folder(), *path = memory_format("%s/names.txt", folder);
    cr_expect_null(module_order_read(path, &status));
    cr_expect_eq(status.code, STATUS_RUNTIME);
    support_file_write(path, "a\0b", 3);
    cr_expect_null(module_order_read(path, &status));
    support_file_write(path, "a\nb\x01\n", 5);
    cr_expect_null(module_order_read(path, &status));
    support_file_write(path, "a\nb\n", 4);
    struct module_order *order = module_order_read(path, &status);
    cr_expect(order);
    module_order_free(order);
    free(path);
    support_folder_remove(folder);
}

Test(module_order, the_programs_own_are_good)
{
    int count = 0;
    for (const char *text; (text = module_order_builtin(count)); count++) module_order_free(parse(text));
    cr_expect_eq(count, 3);
}
