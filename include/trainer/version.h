/* The version of the library: that of the headers, and that of the library which a program runs with. */
#ifndef TRAINER_VERSION_H
#define TRAINER_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

/* Of these headers. */
#define TRAINER_VERSION_MAJOR 0
#define TRAINER_VERSION_MINOR 1
#define TRAINER_VERSION_PATCH 0
#define TRAINER_VERSION_TEXT "0.1.0"

/* A number that grows with the version: 10000 * major + 100 * minor + patch. */
#define TRAINER_VERSION_NUMBER (TRAINER_VERSION_MAJOR * 10000 + TRAINER_VERSION_MINOR * 100 + TRAINER_VERSION_PATCH)

/* The same of the library. */
const char *trainer_version_text(void);
int trainer_version_number(void);

#ifdef __cplusplus
}
#endif

#endif
