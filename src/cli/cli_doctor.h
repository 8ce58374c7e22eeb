/* What `trainer doctor` finds on the machine. */
#ifndef TRAINER_CLI_DOCTOR_H
#define TRAINER_CLI_DOCTOR_H

#include <stdbool.h>

struct cli_finding {
    const char *group, *name; /* "GPU", "driver" */
    char *text;               /* owned: what is there, or why nothing is */
    bool missing;             /* the program could do more with it */
    char *remedy;             /* owned: what brings it, where it is missing; else NULL */
};

enum { CLI_FINDINGS_MAX = 64 };

struct cli_findings {
    int count;
    struct cli_finding all[CLI_FINDINGS_MAX]; /* those of a group follow one another */
};

/* Looks at the machine; free with cli_findings_free. `root` is put in front of the paths of the system's files: "" for
 * the machine itself, a folder for tests. */
void cli_findings_collect(struct cli_findings *findings, const char *root);
void cli_findings_free(struct cli_findings *findings);

#endif
