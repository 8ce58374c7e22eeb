/* Errors of the second kind, which a programmer causes (a wrong shape, a null, a library call that cannot fail here).
 * CHECK stops the program and prints the statement that did not hold, with file and line. */
#ifndef CHECK_H
#define CHECK_H

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) check_failed(#condition, __FILE__, __LINE__);                                                \
    } while (0)

_Noreturn void check_failed(const char *statement, const char *file, int line);

#endif
