/* Lines on the standard error about things that do not stop the program. */
#ifndef UTIL_WARNING_H
#define UTIL_WARNING_H

/* Prints "trainer: ", the text and a newline. File and tensor names may hold anything: control characters become '?',
 * so that the text stays one line and no terminal obeys it. */
void warning_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
