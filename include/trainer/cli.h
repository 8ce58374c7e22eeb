/* The command line: `trainer CONFIG`, `trainer SUBCOMMAND ...`, `trainer help`. */
#ifndef TRAINER_CLI_H
#define TRAINER_CLI_H

/* Does what the arguments of main say, and returns the exit code of the program: 0 success, 1 the run failed, 2 the
 * command line or the config is wrong. An error is one line on stderr that starts with "trainer: ". */
int cli_run(int argc, char **argv);

#endif
