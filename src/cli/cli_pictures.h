/* Pictures that the command line names: files, folders, and a list on the standard input. */
#ifndef TRAINER_CLI_PICTURES_H
#define TRAINER_CLI_PICTURES_H

#include <stdbool.h>

#include "util/status.h"

/* Calls `visit` for each picture that the words name, in their order:
 *   - A file stands for itself.
 *   - A folder stands for the files in it whose names end in .png, .jpg or .jpeg, in any case, in the order of the bytes
 *     of their names. Names that begin with a dot are left out. With `recursive` its subfolders are entered, in the same
 *     order and through links; else they are left out.
 *   - "-" stands for the lines of the standard input, each of which names a file or a folder.
 * `problem` is NULL, or the reason why a folder or the standard input gives no pictures. `path` is then its name. */
void cli_pictures_visit(char **words, int count, bool recursive,
                        void (*visit)(void *argument, const char *path, const struct status *problem), void *argument);

#endif
