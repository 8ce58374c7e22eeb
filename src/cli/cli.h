/* The command line of the program: `trainer CONFIG`, `trainer SUBCOMMAND ...`, `trainer help`. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* Runs the program with the arguments of main and returns its exit code. An error is one line on stderr that starts
 * with "trainer: ".
 *   0  success
 *   1  the run failed
 *   2  the command line or the config is wrong
 *   3  a signal stopped the run, which is saved
 *   4  a loss or weight was not finite */
int cli_run(int argc, char **argv);

#endif
