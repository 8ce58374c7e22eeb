/* The syntax of a config file, and nothing of its meaning: sections, keys, values and the lines they stand in.
 *
 *   # a comment; it may be indented
 *   [section]
 *   key = value   # a comment: '#' or ';' after a blank. "a#b" is a value
 *
 * One section or key per line, in the first column. Blanks around '=' and at the end of a line do not count; a value
 * may be empty. UTF-8, with or without a byte order mark; lines end with LF or CRLF. A section's name and a key take at
 * most INI_NAME_LIMIT bytes; a value is as long as it is. Text that libinih would let pass (a section opened twice, a
 * key given twice, a continued line, text after ']') is an error. */
#ifndef TRAINER_INI_H
#define TRAINER_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "trainer/status.h"

enum {
    INI_NAME_LIMIT = 190,         /* bytes of a key or of a section's name */
    INI_FILE_LIMIT = 1024 * 1024, /* bytes of a file */
    INI_ENTRY_LIMIT = 1024,       /* keys of a file, and sections of a file */
};

struct ini_section {
    char *name;
    int line; /* 1 is the first line of the file */
};

struct ini_entry {
    const char *section; /* the name in ini_file.sections */
    char *key, *value;
    int line;
};

struct ini_file {
    struct ini_section *sections; /* in the file's order */
    int section_count;
    struct ini_entry *entries; /* in the file's order */
    int entry_count;
};

/* Reads `path`. An error (STATUS_USAGE) reads "path:line: ...", or "path: ..." where no line is to blame. Free with
 * ini_free. */
bool ini_read(struct ini_file *ini, const char *path, struct status *status);

/* The same from `size` bytes of text, at most INI_FILE_LIMIT; `path` is for messages. */
bool ini_read_text(struct ini_file *ini, const char *path, const char *text, size_t size, struct status *status);
void ini_free(struct ini_file *ini);

#endif
