/* Enums whose values have names, in configs and on the command line. Each has one list, X(enumerator, name) per value,
 * from which the enum, its names and their number are made:
 *
 *   #define SIZE_CHOICES(X) X(SIZE_SMALL, "small") X(SIZE_LARGE, "large")
 *   enum size { SIZE_CHOICES(CHOICE_ENUMERATOR) };
 *   const char *const names[] = {SIZE_CHOICES(CHOICE_NAME)};
 *   int count = SIZE_CHOICES(CHOICE_COUNT);
 */
#ifndef CHOICE_H
#define CHOICE_H

#define CHOICE_ENUMERATOR(enumerator, name) enumerator,
#define CHOICE_NAME(enumerator, name) name,
#define CHOICE_COUNT(enumerator, name) +1
#define CHOICE_WORD(enumerator, name) name ", " /* the names as the beginning of a listing in a sentence */

/* The names of a list in the order of the values, ended by NULL. */
#define CHOICE_NAMES(list) ((const char *const[]){list(CHOICE_NAME) NULL})

#endif
