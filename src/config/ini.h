/* Reads the syntax of a config file: sections, keys, values and the lines they stand in. Their meaning is
 * experiment.h's.
 *
 *   # a comment; it may be indented
 *   [section]
 *   key = value   # a comment: '#' or ';' after a blank. "a#b" is a value
 *
 * One section or key per line, in the first column. Blanks around '=' and at the end of a line do not count; a value
 * may be empty. UTF-8, with or without a byte order mark; lines end with LF or CRLF. A section's name and a key take at
 * most INI_NAME_LIMIT bytes; a value has no limit of its own. A section opened twice, a key given twice, a continued
 * line and text after ']', which libinih would let pass, are errors. */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "util/status.h"

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

/* Reads `path`. The message of an error (STATUS_USAGE) begins with "path:line: ", or with "path: " where the error is
 * in no line. Free with ini_free. */
bool ini_read(struct ini_file *ini, const char *path, struct status *status);

/* Reads `size` bytes of text, at most INI_FILE_LIMIT, instead; `path` is for messages. */
bool ini_read_text(struct ini_file *ini, const char *path, const char *text, size_t size, struct status *status);
void ini_free(struct ini_file *ini);

#endif
