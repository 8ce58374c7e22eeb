/* Lines on the standard error about things that do not stop the program. */
#ifndef UTIL_WARNING_H
#define UTIL_WARNING_H

/* Prints "trainer: ", the text and a newline. File and tensor names may hold anything: control characters become '?',
 * so that the text stays one line and no terminal obeys it. */
void warning_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From here on the calling thread's warnings are kept in place of being printed, until it calls warning_take. Who reads
 * thousands of files counts and lists them so. */
void warning_collect(void);

/* Returns what the calling thread has kept since warning_collect, and has warnings printed again: their texts without
 * "trainer: ", one per line, with a newline after each but the last; NULL where there was none. Free with free(). */
char *warning_take(void);

#endif
