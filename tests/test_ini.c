/* Tests the syntax of config files: good ones, refused ones, and every line that libinih would misread in silence. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/ini.h"
#include "support.h"
#include "util/memory.h"
#include "util/rng.h"

/* Reads `size` bytes as the file "x.ini" in a new folder, which is the current one during the call. */
static bool read_bytes(struct ini_file *ini, const char *bytes, size_t size, struct status *status)
{
    char *folder = support_folder();
    cr_assert(chdir(folder) == 0);
    support_file_write("x.ini", bytes, size);
    bool good = ini_read(ini, "x.ini", status);
    support_folder_remove(folder);
    return good;
}

static bool read_text(struct ini_file *ini, const char *text, struct status *status)
{
    return read_bytes(ini, text, strlen(text), status);
}

static void expect_entry(const struct ini_entry *entry, const char *section, const char *key, const char *value,
                         int line)
{
    cr_expect_str_eq(entry->section, section);
    cr_expect_str_eq(entry->key, key);
    cr_expect_str_eq(entry->value, value);
    cr_expect_eq(entry->line, line, "%s.%s: line %d, not %d", section, key, entry->line, line);
}

static void expect_value(const char *line, const char *value)
{
    char *text = memory_format("[s]\n%s\n", line);
    struct ini_file ini;
    struct status status = {0};
    cr_assert(read_text(&ini, text, &status), "%s: %s", line, status.message);
    cr_assert_eq(ini.entry_count, 1, "%s", line);
    cr_expect_str_eq(ini.entries[0].value, value, "%s: \"%s\", not \"%s\"", line, ini.entries[0].value, value);
    ini_free(&ini);
    free(text);
}

static void expect_failure(const char *text, size_t size, const char *message)
{
    struct ini_file ini;
    struct status status = {0};
    cr_assert_not(read_bytes(&ini, text, size, &status));
    cr_expect_eq(status.code, STATUS_USAGE);
    cr_expect_str_eq(status.message, message);
}

Test(ini, reads_sections_keys_values_and_lines)
{
    const char *text = "# a comment\n"
                       "\n"
                       "[first]\n"
                       "key = value\n"
                       "  ; an indented comment\n"
                       "tight=1\n"
                       "blanks\t = \t2 words \t\n"
                       "empty =\n"
                       "[second]\n"
                       "[third]   # a comment\n"
                       "last = 3";
    struct ini_file ini;
    struct status status;
    cr_assert(read_text(&ini, text, &status));
    cr_assert_eq(ini.section_count, 3);
    cr_expect_str_eq(ini.sections[1].name, "second");
    cr_expect_eq(ini.sections[1].line, 9);
    cr_expect_eq(ini.sections[2].line, 10);
    cr_assert_eq(ini.entry_count, 5);
    expect_entry(&ini.entries[0], "first", "key", "value", 4);
    expect_entry(&ini.entries[1], "first", "tight", "1", 6);
    expect_entry(&ini.entries[2], "first", "blanks", "2 words", 7);
    expect_entry(&ini.entries[3], "first", "empty", "", 8);
    expect_entry(&ini.entries[4], "third", "last", "3", 11);
    ini_free(&ini);
}

Test(ini, takes_byte_order_mark_and_crlf)
{
    struct ini_file ini;
    struct status status;
    cr_assert(read_text(&ini, "\xEF\xBB\xBF[s]\r\n# comment\r\n\r\na = 1\r\nb = 2 # two\r\n", &status));
    cr_assert_eq(ini.entry_count, 2);
    expect_entry(&ini.entries[0], "s", "a", "1", 4);
    expect_entry(&ini.entries[1], "s", "b", "2", 5);
    ini_free(&ini);
}

Test(ini, takes_files_without_keys)
{
    const char *const texts[] = {"", "\n", "\xEF\xBB\xBF", "# only a comment", "[s]", "\r\n\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ini_file ini;
        struct status status;
        cr_expect(read_text(&ini, texts[i], &status), "text %zu", i);
        cr_expect_eq(ini.entry_count, 0);
        ini_free(&ini);
    }
}

Test(ini, a_comment_starts_after_a_blank)
{
    expect_value("k = 2 # c", "2");
    expect_value("k = 2 ; c", "2");
    expect_value("k = 2\t#c", "2");
    expect_value("k = 2\t;c", "2");
    expect_value("k = 2 #", "2");
    expect_value("k = # c", "");
    expect_value("k = ;", "");
    expect_value("k = a#b", "a#b");
    expect_value("k = a;b", "a;b");
    expect_value("k = a;b ;c", "a;b");
    expect_value("k =#1", "#1");
    expect_value("k =;1", ";1");
}

Test(ini, a_value_may_hold_equals_colon_and_brackets)
{
    expect_value("k = a=b", "a=b");
    expect_value("k = c:\\data", "c:\\data");
    expect_value("k = [x]", "[x]");
    expect_value("k == 1", "= 1");
    expect_value("k = \xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80", "\xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80");
}

/* libinih alone cuts a line of more than 197 bytes and reads the rest as another line. */
Test(ini, a_value_is_as_long_as_it_is)
{
    for (size_t length = 1; length < 100000; length += length < 300 ? 1 : 9973) {
        char *value = memory_alloc(length + 1, 1);
        memset(value, 'v', length);
        char *line = memory_format("k = %s   # %s", value, value), *tight = memory_format("k=%s\r", value);
        expect_value(line, value);
        expect_value(tight, value);
        free(value), free(line), free(tight);
    }
}

Test(ini, a_key_and_a_section_take_190_bytes)
{
    char name[INI_NAME_LIMIT + 2] = "", *text;
    memset(name, 'n', INI_NAME_LIMIT);
    struct ini_file ini;
    struct status status;
    text = memory_format("[%s]\n%s = 1\n%s\t= 2\n", name, name + 1, name);
    cr_assert(read_text(&ini, text, &status), "%s", status.message);
    expect_entry(&ini.entries[1], name, name, "2", 3);
    ini_free(&ini);
    free(text);
    name[INI_NAME_LIMIT] = 'n';
    text = memory_format("[s]\n%s = 1\n", name);
    expect_failure(text, strlen(text), "x.ini:2: key of 191 bytes, expected at most 190");
    free(text);
    text = memory_format("[%s]\n", name);
    expect_failure(text, strlen(text), "x.ini:1: section name of 191 bytes, expected at most 190");
    free(text);
}

/* libinih cuts a section's name to 49 bytes. */
Test(ini, a_long_section_name_stays_whole)
{
    char text[256] = "[";
    memset(text + 1, 'n', 150);
    strcpy(text + 151, "]\na = 1\n");
    struct ini_file ini;
    struct status status;
    cr_assert(read_text(&ini, text, &status));
    cr_expect_eq(strlen(ini.entries[0].section), 150);
    ini_free(&ini);
}

Test(ini, the_same_key_in_two_sections_is_fine)
{
    struct ini_file ini;
    struct status status;
    cr_assert(read_text(&ini, "[a]\nname = 1\n[b]\nname = 2\n", &status));
    cr_expect_eq(ini.entry_count, 2);
    ini_free(&ini);
}

/* libinih alone goes on after an error, and gives the keys after "[b" to the section before. */
Test(ini, stops_at_the_first_error)
{
    struct ini_file ini;
    struct status status;
    cr_assert_not(read_text(&ini, "[a]\nx = 1\n[b\nx = 2\n[a]\ny\n", &status));
    cr_expect_str_eq(status.message, "x.ini:3: expected \"]\" at the end of \"[b\"");
    cr_expect_eq(ini.entry_count, 0);
    cr_expect_null(ini.entries);
}

Test(ini, a_nul_does_not_end_the_file)
{
    expect_failure("[a]\n\0x = 1\n", 11, "x.ini:2: NUL character (byte 0x00) in column 1");
    expect_failure("[a]\nx = 1\n\0", 11, "x.ini:3: NUL character (byte 0x00) in column 1");
}

Test(ini, only_one_carriage_return_ends_a_line)
{
    expect_failure("[a]\r\r\n", 6, "x.ini:1: control character (byte 0x0d) in column 4");
    struct ini_file ini;
    struct status status;
    cr_assert(read_text(&ini, "[a]\nx = 1\r", &status), "at the end of the file");
    expect_entry(&ini.entries[0], "a", "x", "1", 2);
    ini_free(&ini);
}

Test(ini, names_what_cannot_be_read)
{
    char *folder = support_folder();
    struct ini_file ini;
    struct status status;
    cr_assert(chdir(folder) == 0);
    cr_assert_not(ini_read(&ini, "none.ini", &status));
    cr_expect_str_eq(status.message, "none.ini: cannot open: No such file or directory");
    cr_assert_not(ini_read(&ini, ".", &status));
    cr_expect_str_eq(status.message, ".: cannot read: Is a directory");
    support_file_write("secret.ini", "[s]\n", 4);
    cr_assert(chmod("secret.ini", 0) == 0);
    if (geteuid() != 0) { /* root reads everything */
        cr_assert_not(ini_read(&ini, "secret.ini", &status));
        cr_expect_str_eq(status.message, "secret.ini: cannot open: Permission denied");
    }
    support_folder_remove(folder);
}

Test(ini, limits_the_size_of_a_file)
{
    char *text = memory_alloc(INI_FILE_LIMIT + 2, 1);
    memset(text, '#', INI_FILE_LIMIT + 1);
    struct ini_file ini;
    struct status status;
    cr_assert(read_bytes(&ini, text, INI_FILE_LIMIT, &status), "one comment of the largest size");
    ini_free(&ini);
    expect_failure(text, INI_FILE_LIMIT + 1, "x.ini: larger than 1048576 bytes, not a config file");
    free(text);
}

static void expect_too_many(const char *format, const char *message)
{
    char *text = memory_alloc(INI_ENTRY_LIMIT + 2, 16);
    size_t length = (size_t)sprintf(text, "[s]\n");
    for (int i = 0; i <= INI_ENTRY_LIMIT; i++) length += (size_t)sprintf(text + length, format, i);
    expect_failure(text, length, message);
    free(text);
}

Test(ini, limits_the_number_of_keys_and_sections)
{
    expect_too_many("k%d=\n", "x.ini:1026: more than 1024 keys");
    expect_too_many("[s%d]\n", "x.ini:1025: more than 1024 sections");
}

/* Any bytes give a result or one line of text. With sanitizers the test also finds lost memory. */
Test(ini, survives_damaged_files)
{
    const char seed_text[] =
        "\xEF\xBB\xBF# c\r\n[model]\r\nkind = mlp ; x\nhidden = 1, 2\n[train]\nmax_steps = 10 # y\n";
    char *folder = support_folder();
    cr_assert(chdir(folder) == 0);
    struct rng rng = rng_create(1, RNG_STREAM_SEARCH, 0);
    const char interesting[] = "[]=:;# \t\r\n\0\"\\\x80\xFF\xC3x";
    for (int trial = 0; trial < 3000; trial++) {
        char text[sizeof seed_text];
        memcpy(text, seed_text, sizeof text);
        for (uint32_t i = rng_below(&rng, 6); i > 0; i--)
            text[rng_below(&rng, sizeof text)] = interesting[rng_below(&rng, sizeof interesting)];
        support_file_write("x.ini", text, 1 + rng_below(&rng, sizeof text));
        struct ini_file ini;
        struct status status = {0};
        if (ini_read(&ini, "x.ini", &status))
            ini_free(&ini);
        else
            cr_expect(strncmp(status.message, "x.ini:", 6) == 0 && !strchr(status.message, '\n'), "%s", status.message);
    }
    support_folder_remove(folder);
}
