/* The wish to stop. The first SIGINT, SIGTERM or SIGHUP is noted, and stop_wanted tells of it. The second ends the
 * process at once, as it would without this module. A signal that the process was started to ignore (nohup) stays
 * ignored. */
#ifndef UTIL_STOP_H
#define UTIL_STOP_H

#include <stdbool.h>

void stop_install(void);   /* notes signals from now on; forgets an earlier wish */
void stop_uninstall(void); /* gives the signals their former effect; the wish stays known */

bool stop_wanted(void);
const char *stop_signal_name(void); /* "SIGTERM"; NULL where no signal came */

#endif
