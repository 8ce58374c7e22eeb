/* The default of experiment.name, which is made from the config's file name. */
#ifndef TRAINER_CONFIG_EXPERIMENT_NAME_H
#define TRAINER_CONFIG_EXPERIMENT_NAME_H

/* Returns the file's name without folder and ending, in a new string. */
char *experiment_name_of_file(const char *path);

/* Returns the same name in a form that fits a config and a folder, in at most EXPERIMENT_NAME_SIZE - 1 bytes: "_"
 * replaces each byte that a value may not have in its place (a comment sign, a blank or a quotation mark at an end, a
 * control character, invalid UTF-8). */
char *experiment_name_fit(const char *path);

#endif
