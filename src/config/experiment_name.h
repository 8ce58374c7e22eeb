/* experiment.name where the config does not say it: made of the config's file name. */
#ifndef TRAINER_CONFIG_EXPERIMENT_NAME_H
#define TRAINER_CONFIG_EXPERIMENT_NAME_H

/* The file's name without folder and ending, in a new string. */
char *experiment_name_of_file(const char *path);

/* The same as a name that a config can hold and a folder can have, of at most EXPERIMENT_NAME_SIZE - 1 bytes: each byte that
 * a value may not have in its place (a comment sign, a blank or a quotation mark at an end, a control character, invalid
 * UTF-8) is "_". */
char *experiment_name_fit(const char *path);

#endif
