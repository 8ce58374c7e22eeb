/* The wish to stop. The first SIGINT, SIGTERM or SIGHUP is noted, and stop_wanted tells of it. The second ends the
 * process at once, as it would without this module. A signal that the process was started to ignore (nohup) stays
 * ignored. */
#ifndef UTIL_STOP_H
#define UTIL_STOP_H

#include <stdbool.h>

/* Notes signals from now on, and forgets an earlier wish; stop_uninstall gives the signals their former effect, and the wish
 * stays known. Of calls by several threads the first and the last count. */
void stop_install(void);
void stop_uninstall(void);

bool stop_wanted(void);
const char *stop_signal_name(void); /* "SIGTERM"; NULL where no signal came */

#endif
