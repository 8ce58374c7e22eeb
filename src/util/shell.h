/* Names in commands that the program prints. */
#ifndef UTIL_SHELL_H
#define UTIL_SHELL_H

/* The path as a word that a shell reads back to the same path, in a new string (free it with free()). A path of
 * letters, digits and a few signs stays as it is; any other is quoted: 'my run', 'it'\''s', and $'two\nlines' where it
 * holds control characters (bash, zsh, ksh and POSIX 2024), so that the command stays one line. A path that begins with
 * "-" gets "./" before it, so that no program takes it for an option. */
char *shell_quote_path(const char *path);

#endif
